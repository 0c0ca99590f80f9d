"""Isolation: whatever a variant does to its process, the champion answers, and the log says so."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.adapters.onnx_models import OnnxModel
from ml_release.domain.deployment import Shadow
from ml_release.domain.features import feature_values
from ml_release.errors import IntegrityError, UnavailableError
from ml_release.serving import predictions, shadows, workers
from ml_release.serving.loaders import serving_loader
from ml_release.serving.workers import IsolatedModel, Limits, Workers
from ml_release_tests.serving.test_endpoint import INFER, INVOCATIONS, Client
from ml_release_tests.serving.world import FEATURES, LINE, ROW, World, v2_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml_release.serving.server import Parts

PLANTED = "ml_release_tests.serving.faulty_process"
Make = "Callable[[World], Parts]"


@pytest.fixture
def make() -> Iterator[Any]:
    """Builds servers without network and ends their processes."""
    made: list[Parts] = []

    def build(world: World) -> Parts:
        made.append(world.parts())
        return made[-1]

    yield build
    for parts in made:
        parts.reconciler.close()


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives the next isolated models a fault."""

    def planted(fault: str) -> None:
        monkeypatch.setattr(workers, "_MODULE", PLANTED)
        monkeypatch.setenv("FAULT", fault)

    return planted


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """On a busy machine a sound answer may take its time: only the hanging one is to be late."""
    is_late = "hang" in request.node.name
    patient = Limits(answer_s=0.1 if is_late else 20.0, memory_bytes=2**29)
    monkeypatch.setattr(workers, "Limits", lambda **given: replace(patient, **given))


def with_canary(world: World, weight: float = 50) -> None:
    world.declare(
        world.variant(1, weight=100 - weight), world.variant(2, role="canary", weight=weight)
    )


def ask(client: Client, n: int = 24) -> list[Any]:
    return [client.post(INFER, v2_body([ROW]), x_unit_id=f"u{i}") for i in range(n)]


def until(parts: Parts, holds: Callable[[Any], bool]) -> None:
    """Reconcile again and again until something holds of the line."""
    deadline = time.monotonic() + 30
    while not holds(parts.reconciler.table.lines[LINE]) and time.monotonic() < deadline:
        time.sleep(0.1)
        parts.reconciler.reconcile()


def values_of(n: int) -> dict[str, Any]:
    """Feature values with missing and unknown ones among them."""
    draw = np.random.default_rng(3)
    columns: dict[str, Any] = {
        "distance": np.where(draw.random(n) < 0.1, np.nan, draw.uniform(0, 3000, n)),
        "carrier": draw.choice(np.array(["UA", "DL", "B6", "??", None], dtype=object), n),
        "departure": np.datetime64("2013-01-01T00:00", "us")
        + draw.integers(0, 10**5, n).astype("timedelta64[m]"),
        "carrier_rate": draw.uniform(0, 0.5, n),
    }
    return feature_values(FEATURES, columns)


def test_a_model_in_its_own_process_gives_the_same_bits(
    artefacts: dict[int, dict[str, bytes]],
) -> None:
    """Numbers, missing ones, words and unknown words come across unchanged."""
    pool = Workers()
    model = pool.load(artefacts[2])
    try:
        values = values_of(500)
        expected = serving_loader().load(artefacts[2]).predict(values)
        assert model.predict(values).tobytes() == expected.tobytes()
        assert model.platform == "onnxruntime_onnx"
    finally:
        model.end()
        pool.close()


def test_a_canary_answers_its_units_from_its_own_process(world: World, make: Any) -> None:
    """Sound, it is told apart by its header only."""
    with_canary(world)
    parts = make(world)
    canary = parts.reconciler.table.lines[LINE].route.answering[2].loaded
    assert isinstance(canary.model, IsolatedModel)
    answers = ask(Client(parts))
    assert {a.headers["x-model-version"] for a in answers} == {"1", "2"}
    assert (world.logged()["outcome"] == "ok").all()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise", "planted"),
        ("nan", "expected probabilities"),
        ("hang", "no answer within"),
        ("memory", "emory"),
        ("crash", "SIGSEGV"),
        ("exit", "exit code 7"),
    ],
)
def test_a_canary_that_misbehaves_harms_nobody(
    world: World, make: Any, plant: Any, fault: str, words: str
) -> None:
    """The champion answers its units, the record counts it against the canary and says why."""
    champion = ask(Client(make(world)), 1)[0].json["outputs"][0]["data"]
    plant(fault)
    with_canary(world)
    parts = make(world)
    answers = ask(Client(parts))
    assert {a.status for a in answers} == {200}
    assert all(a.json["outputs"][0]["data"] == champion for a in answers)
    assert {a.headers["x-model-version"] for a in answers} == {"1"}
    fallen = world.logged().query("outcome == 'fallback'")
    assert 4 <= len(fallen) <= 20
    assert set(fallen["assigned_version"]) == {2}
    assert set(fallen["version"]) == {1}
    assert words in fallen["error"].iloc[0]
    assert parts.endpoint.counts[LINE].fallbacks[2] == len(fallen)


def test_a_canary_that_hangs_is_ended_and_started_again(
    world: World, make: Any, plant: Any
) -> None:
    """After some questions without an answer nobody waits for it any more."""
    plant("hang")
    with_canary(world)
    parts = make(world)
    client = Client(parts)
    ask(client)
    route = parts.reconciler.table.lines[LINE].route
    assert "in a row" in str(route.answering[2].loaded.model.gone)
    begun = time.monotonic()
    ask(client)
    assert time.monotonic() - begun < 5
    until(parts, lambda line: bool(line.problems))
    assert "in a row" in parts.reconciler.table.lines[LINE].problems[0]
    until(parts, lambda line: not line.problems)
    again = parts.reconciler.table.lines[LINE].route.answering[2].loaded.model
    assert again.gone is None


@pytest.mark.parametrize("role", ["canary", "champion"])
def test_a_version_that_crashes_while_loading_leaves_the_current_one(
    world: World, make: Any, plant: Any, role: str
) -> None:
    """A new champion is tried in a process of its own before it comes into the server's."""
    parts = make(world)
    plant("crash-loading")
    if role == "canary":
        with_canary(world)
    else:
        world.declare(2)
    parts.reconciler.reconcile()
    line = parts.reconciler.table.lines[LINE]
    assert "SIGSEGV" in line.problems[0]
    assert {a.headers["x-model-version"] for a in ask(Client(parts), 5)} == {"1"}


def test_a_version_that_keeps_crashing_is_tried_less_and_less(
    world: World, make: Any, plant: Any
) -> None:
    """It is not loaded again before its pause is over."""
    parts = make(world)
    plant("crash-loading")
    with_canary(world)
    versions = parts.reconciler._versions
    for times in (1, 2, 3):
        with pytest.raises(IntegrityError, match="SIGSEGV"):
            versions.get(LINE, world.digests[2], None, isolated=True)
        with pytest.raises(IntegrityError, match=f"failed {times} times"):
            versions.get(LINE, world.digests[2], None, isolated=True)
        place = (LINE, world.digests[2], True)
        pause = versions._setbacks[place].next_try - time.monotonic()
        assert 2 ** (times - 1) - 0.5 < pause <= 2 ** (times - 1)
        versions._setbacks[place] = replace(versions._setbacks[place], next_try=0.0)


def test_too_many_questions_at_once_fail_at_once(
    plant: Any, artefacts: dict[int, dict[str, bytes]]
) -> None:
    """What waits for a variant is bounded."""
    plant("hang")
    pool = Workers(workers.Limits(waiting=3))
    model = pool.load(artefacts[2])
    try:
        model.predict(values_of(1))
        waiting = [model.ask(values_of(1)) for _ in range(3)]
        with pytest.raises(UnavailableError, match="3 questions wait"):
            model.ask(values_of(1))
        model.end()
        for future in waiting:
            with pytest.raises(UnavailableError):
                future.result(5)
        with pytest.raises(UnavailableError, match="it was ended"):
            model.ask(values_of(1))
    finally:
        model.end()


def with_shadow(world: World, sample_percent: float = 100) -> None:
    shadow = Shadow(version=2, model_digest=world.digests[2], sample_percent=sample_percent)
    world.declare(1, shadows=(shadow,))


def test_a_shadow_is_asked_in_secret(world: World, make: Any) -> None:
    """Its answers stand in the log beside those that were given, and nowhere else."""
    with_shadow(world)
    parts = make(world)
    client = Client(parts)
    for i in range(5):
        rows = [{**ROW, "distance": 100.0 * (i + 1)}, ROW]
        answered = client.post(
            INVOCATIONS, {"dataframe_records": rows}, x_request_id=f"r{i}", x_unit_id="u"
        )
        assert answered.headers["x-model-version"] == "1"
    parts.endpoint.shadows.ask_waiting()
    logged = world.logged()
    shadows = logged[logged["shadow"]].set_index(["request_id", "row"])
    live = logged[~logged["shadow"]].set_index(["request_id", "row"])
    assert len(shadows) == len(live) == 10
    assert set(shadows["version"]) == {2}
    own = world.parts()
    world.declare(2)
    own.reconciler.reconcile()
    for i in range(5):
        rows = [{**ROW, "distance": 100.0 * (i + 1)}, ROW]
        expected = Client(own).post(INVOCATIONS, {"dataframe_records": rows}).json["predictions"]
        assert shadows.loc[f"r{i}", "prediction"].tolist() == expected
    assert parts.endpoint.counts[LINE].shadows_asked == 5


def test_a_shadow_sees_its_share_of_requests(world: World, make: Any) -> None:
    """At 20 percent about a fifth of them."""
    with_shadow(world, 20)
    parts = make(world)
    client = Client(parts)
    for i in range(300):
        client.post(INFER, v2_body([ROW]), x_request_id=f"r{i}")
    assert 35 <= parts.endpoint.shadows._queue.qsize() <= 85


@pytest.mark.parametrize("fault", ["raise", "nan", "crash", "memory"])
def test_a_shadow_that_misbehaves_touches_no_answer(
    world: World, make: Any, plant: Any, fault: str
) -> None:
    """Its failures are logged as its own."""
    champion = ask(Client(make(world)), 1)[0].json["outputs"][0]["data"]
    plant(fault)
    with_shadow(world)
    parts = make(world)
    for _ in range(3):
        answers = ask(Client(parts), 4)
        parts.endpoint.shadows.ask_waiting()
        assert all(a.json["outputs"][0]["data"] == champion for a in answers)
    logged = world.logged()
    assert (logged.loc[~logged["shadow"], "outcome"] == "ok").all()
    assert (logged.loc[logged["shadow"], "outcome"] == "error").all()
    assert logged["shadow"].sum() == 12


def test_a_shadow_is_asked_where_the_champion_failed_too(
    world: World, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise every failure that is kept beside another answer would be the shadow's."""
    with_shadow(world)
    parts = make(world)

    def predict(*asked: object) -> Any:
        message = "out of cheese"
        raise RuntimeError(message)

    with monkeypatch.context() as patched:
        patched.setattr(OnnxModel, "predict", predict)
        patched.setattr(OnnxModel, "predict_row", predict)
        assert [a.status for a in ask(Client(parts), 2)] == [500, 500]
    parts.endpoint.shadows.ask_waiting()
    logged = world.logged()
    assert logged.loc[~logged["shadow"], "outcome"].tolist() == ["error"] * 2
    assert logged.loc[logged["shadow"], "outcome"].tolist() == ["ok"] * 2


def test_a_request_that_a_shadow_fails_on_fails_no_other(
    world: World, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though they were asked together."""
    with_shadow(world)
    parts = make(world)
    client = Client(parts)
    for i in range(4):
        client.post(INFER, v2_body([{**ROW, "distance": 100.0 * i}]), x_request_id=f"r{i}")
    answer = predictions.predict_rows

    def picky(loaded: Any, columns: Any, history: Any) -> Any:
        if 200.0 in columns["distance"]:
            message = "not this one"
            raise RuntimeError(message)
        return answer(loaded, columns, history)

    monkeypatch.setattr(shadows, "predict_rows", picky)
    parts.endpoint.shadows.ask_waiting()
    logged = world.logged()
    outcomes = logged[logged["shadow"]].set_index("request_id")["outcome"].to_dict()
    assert outcomes == {"r0": "ok", "r1": "ok", "r2": "error", "r3": "ok"}


def test_a_shadow_that_is_too_slow_is_asked_less(world: World, make: Any) -> None:
    """What does not fit into the queue is dropped and counted; nobody waits."""
    with_shadow(world)
    parts = make(world)
    parts.endpoint.shadows._queue.maxsize = 10
    ask(Client(parts), 24)
    assert parts.endpoint.counts[LINE].shadows_dropped == 14


def test_a_shadow_that_cannot_be_loaded_holds_nothing_up(world: World, make: Any) -> None:
    """The declaration is served without it, and the problem is shown."""
    shadow = Shadow(version=5, model_digest="sha256:" + "5" * 64, sample_percent=10.0)
    declared = world.declare(2, shadows=(shadow,))
    parts = make(world)
    line = parts.reconciler.table.lines[LINE]
    assert line.route.declaration.commit == declared.commit
    assert "version 5" in line.problems[0]
    assert {a.status for a in ask(Client(parts), 3)} == {200}


def children_of(pid: int) -> set[int]:
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()} | {
        int(word)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for word in (task / "children").read_text().split()
    }


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_process_outlives_a_killed_server(world: World) -> None:
    """SIGKILL to the server ends the process of its canary too."""
    with_canary(world)
    with world.server() as (_, process):
        deadline = time.monotonic() + 20
        while not (children := children_of(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert children
        process.kill()
        process.wait()
        deadline = time.monotonic() + 5
        while any(map(is_running, children)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(is_running, children))
