"""What every adapter of `TrialServer` has to do, and that the process leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.git_deployments import GitDeployments
from ml_release.adapters.in_memory import InMemoryDeployments, InMemoryTrialServer
from ml_release.adapters.inference_tables import InferenceTables
from ml_release.adapters.online_files import OnlineFiles
from ml_release.adapters.onnx_models import OnnxLoader
from ml_release.adapters.seals import Seals
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.adapters.trial_server import Parts, TrialServerProcess
from ml_release.domain.artefact import SIGNATURE_FILE, signature_from_json
from ml_release.domain.deployment import DeclaredState, Evidence
from ml_release.domain.malformed_requests import malformed_requests
from ml_release.domain.trial import Trial, TrialLoad, TrialRequest
from ml_release.errors import UnavailableError
from ml_release_tests.serving.world import HISTORY, LINE, ROW, World, make_files

if TYPE_CHECKING:
    from ml_release.ports import TrialServer

PATH = f"/models/{LINE}/invocations"
GOOD = json.dumps({"dataframe_records": [ROW]}).encode()
AT = datetime(2013, 10, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two versions are published; nothing is declared, and no history is there."""
    world = World.at(tmp_path_factory.mktemp("world"))
    for number in (1, 2):
        world.publish(number, make_files(seed=number))
    return world


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where throw-away homes are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def real(world: World) -> TrialServerProcess:
    seals = Seals(SigningKeys(world.settings.keys))
    parts = Parts(
        deployments=lambda root: GitDeployments(root, seals),
        online=OnlineFiles,
        inference=InferenceTables,
    )
    return TrialServerProcess(world.settings, parts=parts, now=lambda: AT)


@pytest.fixture(params=["in_memory", "process"])
def server(request: pytest.FixtureRequest, world: World, scratch: Path) -> TrialServer:
    if request.param == "in_memory":
        return InMemoryTrialServer(world.models, OnnxLoader(), deployments=InMemoryDeployments)
    return real(world)


def trial(world: World, version: int = 1, target: int | None = None) -> Trial:
    state = DeclaredState(
        line=LINE,
        environment="staging",
        release="on-trial",
        variants=(world.variant(version),),
        evidence=Evidence(verdict_digest="v", policy_digest="p", feature_version="f"),
        rollback_target=None if target is None else world.variant(target),
    )
    return Trial(state=state, history=HISTORY, start_limit_s=60)


def test_a_server_answers_describes_itself_and_logs(server: TrialServer, world: World) -> None:
    """One request, one answer of the version, one row in the log."""
    with server.start(trial(world, target=2)) as running:
        answer = running.ask("POST", PATH, body=GOOD, request_id="the-first")
        assert (answer.status, answer.version) == (200, 1)
        (prediction,) = json.loads(answer.body)["predictions"]
        assert 0 < prediction < 1
        assert json.loads(running.ask("GET", f"/v2/models/{LINE}").body)["versions"] == ["1"]
        serving = json.loads(running.ask("GET", "/status").body)["lines"][LINE]["serving"]
        assert serving["variants"][0]["model_digest"] == world.digests[1]
        assert serving["rollback_target"]["version"] == 2
        assert serving["rollback_target"]["loaded"] is True
        assert running.logged() == {"the-first": 1}
        assert 0 < running.start_s < 60
        assert (running.memory_mb() or 0) > 0


def test_load_is_answered_and_logged_under_its_ids(server: TrialServer, world: World) -> None:
    """Every request is sent once, and progress ends with all of them."""
    requests = [TrialRequest(request_id=f"load-{n}", body=GOOD) for n in range(60)]
    told: list[tuple[int, int]] = []
    with server.start(trial(world)) as running:
        measured = running.load(
            PATH,
            TrialLoad(requests=requests, connections=4, seconds=30),
            on_progress=lambda done, total: told.append((done, total)),
        )
        logged = running.logged()
    assert sorted(measured.acknowledged) == sorted(request.request_id for request in requests)
    assert (measured.failed, len(measured.latencies_ms), told[-1]) == (0, 60, (60, 60))
    assert logged == dict.fromkeys(measured.acknowledged, 1)
    assert (measured.quantile_ms(0.99) or 0) > 0


def test_bad_bodies_under_load_are_no_acknowledged_requests(
    server: TrialServer, world: World
) -> None:
    """They are answered, so they have a latency, and they fail."""
    requests = [TrialRequest(request_id=str(n), body=GOOD if n else b"{}") for n in range(3)]
    with server.start(trial(world)) as running:
        measured = running.load(PATH, TrialLoad(requests=requests, connections=2, seconds=30))
    assert (sorted(measured.acknowledged), measured.failed) == (["1", "2"], 1)
    assert len(measured.latencies_ms) == 3


def test_every_malformed_request_is_refused(server: TrialServer, world: World) -> None:
    """With a 4xx each; a good one is answered after them."""
    signature = signature_from_json(world.models.read(world.digests[1])[SIGNATURE_FILE])
    with server.start(trial(world)) as running:
        found = {
            one.name: running.ask("POST", PATH, body=one.body).status
            for one in malformed_requests(signature, ROW)
        }
        assert running.ask("POST", PATH, body=GOOD).status == 200
    assert len(found) > 20
    assert {name: status for name, status in found.items() if not 400 <= status < 500} == {}


def test_a_version_that_cannot_be_loaded_does_not_start(server: TrialServer, world: World) -> None:
    """The error says what the server says."""
    with (
        pytest.raises(UnavailableError, match=r"has loaded it, found .*no artefact"),
        server.start(trial(world, 7)),
    ):
        raise AssertionError


def test_a_target_that_cannot_be_loaded_is_said(server: TrialServer, world: World) -> None:
    """The version on trial answers all the same."""
    with server.start(trial(world, target=7)) as running:
        serving = json.loads(running.ask("GET", "/status").body)["lines"][LINE]["serving"]
        assert serving["rollback_target"]["loaded"] is False
        assert running.ask("POST", PATH, body=GOOD).status == 200


def test_nothing_is_left_behind_whatever_happens(world: World, scratch: Path) -> None:
    """Neither the home nor a process; the artefacts that were linked to are untouched."""
    before = world.models.read(world.digests[1])
    seen = []

    def interrupted() -> None:
        with real(world).start(trial(world)) as running:
            seen.append(running._process)
            assert list(scratch.iterdir())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(scratch.iterdir()) == []
    assert seen[0].poll() is not None
    with pytest.raises(ProcessLookupError):
        os.killpg(seen[0].pid, 0)
    assert world.models.read(world.digests[1]) == before
    assert not world.settings.inference.exists()
    assert not world.settings.deployments.exists()


def test_a_killed_owner_leaves_nothing_behind(world: World, scratch: Path) -> None:
    """Not even then: another process watches over it."""
    document = trial(world).state.model_dump_json()
    program = f"""
import sys, tempfile, time
tempfile.tempdir = {str(scratch)!r}
from ml_release.domain.deployment import DeclaredState
from ml_release.domain.trial import Trial
from ml_release_tests.adapters.test_trial_server_contract import World, real
from pathlib import Path
world = World.at(Path({str(world.settings.home)!r}))
state = DeclaredState.model_validate_json({document!r})
with real(world).start(Trial(state=state, history=None, start_limit_s=60)) as running:
    print(running._process.pid, flush=True)
    time.sleep(600)
"""
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner, owner.stdout:
        pid = int(owner.stdout.readline())
        os.kill(pid, 0)
        owner.kill()
    deadline = time.monotonic() + 30
    while list(scratch.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(scratch.iterdir()) == []
    # Whoever adopted it may not have asked for its end yet: dead, and still in the table.
    assert not _answers(pid)


def _answers(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_server_that_takes_too_long_is_ended(world: World, scratch: Path) -> None:
    """Within its bound, with nothing left."""
    late = replace(trial(world), start_limit_s=0.01)
    with (
        pytest.raises(UnavailableError, match=r"within 0.01 s, found none"),
        real(world).start(late),
    ):
        raise AssertionError
    assert list(scratch.iterdir()) == []


def test_the_log_of_a_server_that_ended_is_in_the_error(
    world: World, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here its settings are none."""
    broken = World(replace(world.settings, log_durability="never"))  # type: ignore[arg-type]
    broken.digests.update(world.digests)
    with (
        pytest.raises(UnavailableError, match=r"exit code 2:\nML_RELEASE_LOG_DURABILITY"),
        real(broken).start(trial(world)),
    ):
        raise AssertionError


def test_how_production_is_operated_is_left_out(
    world: World, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that asks for tokens would refuse the trial."""
    monkeypatch.setenv("ML_RELEASE_TOKENS", str(scratch / "tokens.yaml"))
    with real(world).start(trial(world)) as running:
        assert running.ask("POST", PATH, body=GOOD).status == 200


def test_a_server_that_is_gone_answers_nothing(world: World, scratch: Path) -> None:
    """Under load every request that was sent counts as failed."""
    requests = [TrialRequest(request_id=str(n), body=GOOD) for n in range(5)]
    with real(world).start(trial(world)) as running:
        running._process.kill()
        running._process.wait()
        assert running.ask("POST", PATH, body=GOOD).status == 0
        assert running.memory_mb() is None
        measured = running.load(PATH, TrialLoad(requests=requests, connections=1, seconds=5))
    assert (measured.acknowledged, measured.failed, measured.latencies_ms) == ((), 5, ())


def test_what_is_declared_while_it_runs_is_served(server: TrialServer, world: World) -> None:
    """Its log says who answered, by which commit."""
    both = replace(trial(world), later=(world.variant(2),))
    with server.start(both) as running:
        assert running.ask("POST", PATH, body=GOOD).version == 1
        first = running.deployments.read(LINE, "staging")
        assert first is not None
        state = first.state.model_copy(update={"variants": (world.variant(2),)})
        second = running.deployments.declare(
            state, expected_commit=first.commit, trailers={"Actor": "a"}, at=AT
        )
        end = time.monotonic() + 30
        while running.ask("POST", PATH, body=GOOD).version != 2:
            assert time.monotonic() < end
        served = running.served()
    assert (served[0].version, served[0].route_commit) == (1, first.commit)
    assert (served[-1].version, served[-1].route_commit) == (2, second.commit)
    assert all(one.is_ok for one in served)
