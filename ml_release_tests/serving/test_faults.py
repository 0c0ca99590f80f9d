"""Faults of files, of declared state and of the clock: what answers goes on to answer."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ml_release.domain.artefact import MODEL_FILE
from ml_release.domain.deployment import path_of
from ml_release.domain.identity import digest_hex
from ml_release_tests.serving.world import LINE, ROOT, ROW, World, v2_body

if TYPE_CHECKING:
    from ml_release.serving.replies import Reply
    from ml_release.serving.server import Parts

INFER = f"/v2/models/{LINE}/infer"
BODY = json.dumps(v2_body([ROW])).encode()


def ask(parts: Parts) -> Reply:
    return parts.endpoint.handle("POST", INFER, {"content-type": "application/json"}, BODY)


def version_of(reply: Reply) -> str:
    return dict(reply.headers)["x-model-version"]


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_model_file_that_was_cut_short_is_not_served(
    parts: Parts, world: World, kept: int
) -> None:
    """As a copy that was interrupted leaves it; the version before answers."""
    file = world.settings.models / digest_hex(world.digests[2]) / MODEL_FILE
    file.write_bytes(file.read_bytes()[:kept])
    world.declare(2)
    parts.reconciler.reconcile()
    assert version_of(ask(parts)) == "1"
    assert "expected digest" in parts.reconciler.table.lines[LINE].problems[0]


def git(world: World, *arguments: str) -> None:
    """Plain git in a clone, as somebody by hand."""
    work = world.settings.home / "clone"
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@localhost")
    if not work.exists():
        clone = ["git", "clone", str(world.settings.deployments), str(work)]
        subprocess.run(clone, check=True, capture_output=True, env=environ)
    subprocess.run(
        ["git", "-C", str(work), *who, *arguments], check=True, capture_output=True, env=environ
    )


def test_a_declaration_that_went_back_is_followed(parts: Parts, world: World) -> None:
    """A stale copy of the repository: what it declares is served, under its own commit."""
    first = world.deployments.read(LINE, "production")
    assert first is not None
    world.declare(2, rollback_target=1)
    parts.reconciler.reconcile()
    assert version_of(ask(parts)) == "2"
    git(world, "push", "--force", "origin", f"{first.commit}:refs/heads/main")
    parts.reconciler.reconcile()
    reply = ask(parts)
    assert (version_of(reply), dict(reply.headers)["x-route-commit"]) == ("1", first.commit)


def test_a_line_whose_file_was_deleted_is_answered_by_nobody(parts: Parts, world: World) -> None:
    """Deleting it is a commit of its own: the line is not declared any more, and comes back."""
    git(world, "rm", path_of(LINE, "production"))
    git(world, "commit", "-m", "by hand")
    git(world, "push", "origin", "HEAD:main")
    parts.reconciler.reconcile()
    assert ask(parts).status == 404
    git(world, "revert", "--no-edit", "HEAD")
    git(world, "push", "origin", "HEAD:main")
    parts.reconciler.reconcile()
    assert version_of(ask(parts)) == "1"


_FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.path.insert(0, {root!r})
from pathlib import Path
from ml_release.settings import read_settings
from ml_release.serving.server import build
parts = build(read_settings({{"ML_RELEASE_HOME": {home!r}}}))
parts.reconciler.reconcile()
ask = lambda: parts.endpoint.handle("POST", {path!r}, {{}}, {body!r}).status
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
seen = [ask()]
resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
seen += [ask(), ask()]
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
seen += [ask()]
print(seen)
"""


def test_a_full_disk_is_no_prediction_and_room_is_one_again(world: World) -> None:
    """No record, no answer; what was answered before and after is in the log, whole."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    code = _FULL.format(root=str(ROOT), home=str(world.settings.home), path=INFER, body=BODY)
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout.strip() == "[200, 503, 503, 200]", done.stderr
    assert len(world.logged()) == 2


def test_a_clock_that_jumps_changes_no_answer(parts: Parts, world: World) -> None:
    """An hour back, a day on, back to the epoch: every request is answered and logged in order."""
    noon = datetime(2013, 10, 1, 12, tzinfo=UTC)
    moments = [
        noon,
        noon - timedelta(hours=1),
        noon + timedelta(days=1),
        datetime(1970, 1, 1, tzinfo=UTC),
        noon,
    ]
    answers = []
    for moment in moments:
        parts.endpoint._route.now = lambda moment=moment: moment  # type: ignore[misc]
        reply = ask(parts)
        assert reply.status == 200
        answers.append(json.loads(reply.body)["outputs"][0]["data"])
    assert answers == answers[:1] * len(moments)
    frame = world.logged()
    assert frame["received_time"].tolist() == moments
    assert (frame["latency_ms"] >= 0).all()
    # Negative before the day of the table; the epoch is the last of 1969 in New York.
    assert frame["history_age_days"].tolist() == [0, 0, 1, -15980, 0]
