"""What acts on a decision: every branch of both sensors, and the jobs that they ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.orchestration.acting_sensors import auto_rollback_sensor, reduce_canary_sensor
from ml_release_tests.full_rollout import bring, next_version, state_of, with_rollout
from ml_release_tests.orchestration.house import definitions_of, failure, run, wiring_of
from ml_release_tests.orchestration.monitored import decided
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release_tests.small_line import House

JOBS = {"rollback": "roll_back", "reject": "reject_version"}


@pytest.fixture(scope="module")
def the_settled(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Version 2 has come through its watch, and version 3, after it, through its own."""
    from ml_release_tests.small_line import MONTHS, House

    house = House(tmp_path_factory.mktemp("settled"))
    steps.prepare(house, *MONTHS)
    steps.release(house, last="2013-03")
    house.line = with_rollout(house.line)
    for number in (2, 3):
        next_version(house)
        for place in ("staged", "approved", "shadow", "canary 1", "canary 2", "canary 3"):
            bring(house, number, place, only=True)
        bring(house, number, "watch", only=True)
        bring(house, number, "settled", only=True)
    return house


@pytest.fixture
def settled(the_settled: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    return the_settled.copied(tmp_path_factory.mktemp("inference"))


def tick(
    house: House, name: str, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    make = {"rollback": auto_rollback_sensor, "reject": reduce_canary_sensor}[name]
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=definitions_of(house)
    )
    result = make(house.line, wiring_of(house))(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def skipped(result: object) -> str:
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or ""


def requested(result: object) -> tuple[dg.RunRequest, str]:
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or []
    return request, result.cursor or ""


def carry_out(
    house: House, job: str, instance: dg.DagsterInstance, request: dg.RunRequest
) -> dg.ExecuteInProcessResult:
    return run(house, job, instance, run_config=dict(request.run_config), tags=dict(request.tags))


def test_a_rollback_that_is_decided_is_asked_for_and_carried_out_once(
    settled: House, instance: dg.DagsterInstance
) -> None:
    """With the version meant, the target, and the digest of the decision; then never again."""
    decision = decided(settled, "roll_back", target=2)
    request, cursor = requested(tick(settled, "rollback", instance))
    form = request.run_config["ops"]["small_line_roll_back"]["config"]
    assert (form["version"], form["bad"], form["by"]) == (2, 3, "monitoring")
    assert decision.digest in form["reason"]
    result = carry_out(settled, "rollback", instance, request)
    assert result.success, failure(result)
    state = state_of(settled)
    assert (state.champion.version, state.withdrawn) == (2, (3,))
    newest = settled.deployments.history(steps.LINE, "production")[-1]
    assert newest.actor == "monitoring"
    assert decision.digest in newest.reason
    # The decision was about version 3; a second run of the same request changes nothing.
    assert "nothing was decided yet" in skipped(tick(settled, "rollback", instance, cursor))
    declared = len(settled.deployments.history(steps.LINE, "production"))
    assert carry_out(settled, "rollback", instance, request).success
    assert len(settled.deployments.history(steps.LINE, "production")) == declared
    assert state_of(settled) == state


def test_after_a_rollback_no_second_one_follows_by_itself(
    settled: House, instance: dg.DagsterInstance
) -> None:
    """Whatever is decided about the version that was restored: a person goes further back."""
    decided(settled, "roll_back", target=2)
    request, cursor = requested(tick(settled, "rollback", instance))
    assert carry_out(settled, "rollback", instance, request).success
    decided(settled, "roll_back", target=1)
    assert "a person goes further back" in skipped(tick(settled, "rollback", instance, cursor))


def test_a_version_that_was_promoted_meanwhile_is_not_taken_back(
    settled: House, instance: dg.DagsterInstance
) -> None:
    """The request names the version that is meant; it serves no more."""
    decided(settled, "roll_back", target=2)
    request, _ = requested(tick(settled, "rollback", instance))
    assert run(
        settled,
        "rollback",
        instance,
        run_config={"ops": {"small_line_roll_back": {"config": {"by": "ada", "reason": "odd"}}}},
    ).success
    before = state_of(settled)
    config = request.run_config["ops"]["small_line_roll_back"]["config"]
    other = {"ops": {"small_line_roll_back": {"config": {**config, "version": 1}}}}
    assert run(settled, "rollback", instance, run_config=other).success
    assert state_of(settled) == before


@pytest.mark.parametrize(
    ("action", "changes", "reason"),
    [
        ("watch", {}, "the decision is to watch"),
        ("retrain", {}, "the decision is to retrain"),
        ("reduce_canary", {}, "the decision is to reduce canary"),
        ("roll_back", {"target": None}, "no version that came through its watch"),
        ("roll_back", {"target": 2, "model_digest": "sha256:" + "1" * 64}, "nothing was decided"),
        ("roll_back", {"target": 2, "evidence": {}}, "nothing was decided"),
    ],
)
def test_what_is_no_rollback_asks_for_none(
    settled: House,
    instance: dg.DagsterInstance,
    action: str,
    changes: dict[str, Any],
    reason: str,
) -> None:
    """Nor what was decided about another version, or on an older window."""
    decided(settled, action, **changes)
    assert reason in skipped(tick(settled, "rollback", instance))


@pytest.mark.parametrize("name", JOBS)
def test_before_anything_serves_or_is_decided_nothing_is_asked_for(
    house: House, instance: dg.DagsterInstance, name: str
) -> None:
    """The tick says so."""
    assert "nothing was decided yet" in skipped(tick(house, name, instance))


def test_a_target_that_was_withdrawn_since_is_not_gone_back_to(
    settled: House, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was good when it was decided."""
    decided(settled, "roll_back", target=2)
    history = settled.deployments.history(steps.LINE, "production")
    gone = replace(history[-1], state=history[-1].state.model_copy(update={"withdrawn": (2,)}))
    monkeypatch.setattr(settled.deployments, "history", lambda *_: (*history[:-1], gone))
    assert "was withdrawn since" in skipped(tick(settled, "rollback", instance))


def test_in_its_watch_a_version_is_left_to_its_watch(
    at: Callable[[str], House], instance: dg.DagsterInstance
) -> None:
    """Two automations on one version would act twice."""
    house = at("watch")
    decided(house, "roll_back", target=1)
    assert "its watch takes it back" in skipped(tick(house, "rollback", instance))


@pytest.mark.parametrize("job", ["rollback", "rollout"])
def test_a_run_that_moves_it_already_is_waited_for(
    settled: House, instance: dg.DagsterInstance, job: str
) -> None:
    """Two at once would refuse one another's writes."""
    decided(settled, "roll_back", target=2)
    request, _ = requested(tick(settled, "rollback", instance))
    running = instance.create_run_for_job(
        definitions_of(settled).resolve_job_def(f"small_line_{job}"),
        run_config=dict(request.run_config) if job == "rollback" else {},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert f"run {running.run_id} moves it" in skipped(tick(settled, "rollback", instance))


@pytest.mark.parametrize("cursor", [None, "", "rubbish", "x:y", "other commit:3"])
def test_a_rollback_in_vain_is_asked_for_three_times(
    settled: House, instance: dg.DagsterInstance, cursor: str | None
) -> None:
    """By another key each time; then a person has to look."""
    decided(settled, "roll_back", target=2)
    keys = set()
    for _ in range(3):
        request, cursor = requested(tick(settled, "rollback", instance, cursor))
        keys.add(request.run_key)
    assert len(keys) == 3
    assert "a person has to look" in skipped(tick(settled, "rollback", instance, cursor))


def test_a_harmful_canary_is_rejected_once(
    at: Callable[[str], House], instance: dg.DagsterInstance
) -> None:
    """Through the job that people use: the word stands, and the canary is taken back."""
    house = at("canary 1")
    decided(house, "reduce_canary", canary_version=2)
    request, cursor = requested(tick(house, "reject", instance))
    result = carry_out(house, "reject", instance, request)
    assert result.success, failure(result)
    state = state_of(house)
    assert (state.champion.version, state.rollout, state.withdrawn) == (1, None, (2,))
    assert "no canary is under way" in skipped(tick(house, "reject", instance, cursor))
    assert "the decision is to reduce canary" in skipped(tick(house, "rollback", instance))


@pytest.mark.parametrize(
    ("place", "action", "version", "reason"),
    [
        ("canary 1", "watch", 2, "the decision is to watch"),
        ("canary 1", "reduce_canary", 7, "about version 7"),
        ("shadow", "reduce_canary", 2, "no canary is under way"),
        ("settled", "reduce_canary", 2, "no canary is under way"),
    ],
)
def test_without_that_canary_nothing_is_rejected(
    at: Callable[[str], House],
    instance: dg.DagsterInstance,
    *,
    place: str,
    action: str,
    version: int,
    reason: str,
) -> None:
    """The tick says why."""
    house = at(place)
    decided(house, action, canary_version=version)
    assert reason in skipped(tick(house, "reject", instance))
