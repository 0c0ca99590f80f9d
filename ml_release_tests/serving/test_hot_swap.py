"""Switching versions under load: nobody notices, and the log says who answered whom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ml_release_tests.serving.load import Load

if TYPE_CHECKING:
    from ml_release_tests.serving.world import World

SECONDS = 5


def _wait_for(load: Load, commit: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if any(answer.commit == commit for answer in load.acknowledged[-50:]):
            return
        time.sleep(0.01)
    message = f"no answer by commit {commit} within {SECONDS} s"
    raise AssertionError(message)


def test_a_release_and_a_rollback_under_load_fail_no_request(world: World) -> None:
    """Versions 1, 2 and 1 again answer in turn; each answer is in the log exactly as given."""
    commits = [world.declare(1).commit]
    with world.server() as (url, _):
        load = Load(url)
        load.start()
        try:
            _wait_for(load, commits[0])
            commits.append(world.declare(2, rollback_target=1).commit)
            _wait_for(load, commits[1])
            commits.append(world.declare(1).commit)
            _wait_for(load, commits[2])
        finally:
            load.stop()
    assert load.failed == []
    version_of = dict(zip(commits, (1, 2, 1), strict=True))
    assert {answer.commit for answer in load.acknowledged} == set(commits)
    assert all(answer.version == version_of[answer.commit] for answer in load.acknowledged)
    frame = world.logged()
    logged = frame[["request_id", "version", "route_commit", "prediction"]]
    told = [(a.request_id, a.version, a.commit, a.prediction) for a in load.acknowledged]
    assert sorted(logged.itertuples(index=False, name=None)) == sorted(told)
    assert (frame["outcome"] == "ok").all()
    assert frame["model_digest"].tolist() == [world.digests[v] for v in frame["version"]]


def test_no_thread_sees_the_old_version_after_the_new_one(world: World) -> None:
    """The switch is one moment: each client's answers change version once."""
    with world.server() as (url, _):
        load = Load(url)
        load.start()
        try:
            time.sleep(0.2)
            commit = world.declare(2).commit
            _wait_for(load, commit)
        finally:
            load.stop()
    for thread in range(load.threads):
        versions = [a.version for a in load.acknowledged if a.request_id.startswith(f"{thread}-")]
        assert versions == sorted(versions)
