"""Every branch of every trigger's sensor, evaluated: a request not returned does nothing."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.domain.backtest import BacktestRecord, Gain, Meeting
from ml_release.orchestration import backtest_asset
from ml_release.orchestration.retraining_sensors import retraining_schedules, retraining_sensor
from ml_release.workflows.monitoring import INFERENCE_WINDOW
from ml_release.workflows.retraining import governor_memory
from ml_release_tests.orchestration.house import (
    definitions_of,
    failure,
    materialized,
    run,
    train,
    wiring_of,
)
from ml_release_tests.orchestration.monitored import SERVED_TO, decided, seen
from ml_release_tests.workflows.steps import with_policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ml_release.domain.governor_memory import GovernorMemory, Kind
    from ml_release_tests.small_line import House

LINE = "small_line"
OFTEN: tuple[Kind, ...] = ("drift", "performance", "label_volume", "staleness", "new_partition")


@pytest.fixture(scope="module")
def the_champion(tmp_path_factory: pytest.TempPathFactory) -> House:
    from ml_release_tests.small_line import MONTHS, House
    from ml_release_tests.workflows import steps

    house = House(tmp_path_factory.mktemp("champion"))
    steps.prepare(house, *MONTHS[:3])
    steps.release(house, last="2013-03")
    house.line = with_policy(house.line, "retraining", on_new_partition=True, maximum_age_days=30)
    return house


@pytest.fixture
def champion(the_champion: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Version 1, of January to March, answers everybody."""
    return the_champion.copied(tmp_path_factory.mktemp("inference"))


def tick(house: House, kind: Kind, instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(instance=instance, definitions=definitions_of(house))
    result = retraining_sensor(house.line, wiring_of(house), kind)(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def skipped(result: object) -> str:
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or ""


def requested(result: object) -> dg.RunRequest:
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or []
    return request


def raise_all(house: House) -> None:
    """Everything that a trigger looks at says to retrain."""
    decided(house, "retrain", labels=100)


def memory(house: House) -> GovernorMemory:
    return governor_memory(house.line, environment="production", evidence=house.evidence)


@pytest.mark.parametrize("kind", OFTEN)
def test_a_raised_trigger_asks_for_one_retraining(
    champion: House, instance: dg.DagsterInstance, kind: Kind
) -> None:
    """With a run key, the window up to the newest matured month, and trigger, reason, request."""
    raise_all(champion)
    request = requested(tick(champion, kind, instance))
    asked = memory(champion).in_flight()
    assert asked is not None
    assert request.run_key == asked.key
    assert request.run_config["ops"]["small_line__candidate"]["config"] == {
        "first": "2013-01",
        "last": "2013-04",
    }
    assert request.tags["dagster/asset_partition_range_start"] == "2013-04"
    assert request.tags["dagster/asset_partition_range_end"] == "2013-04"
    assert request.tags["ml_release/trigger"] == kind
    assert request.tags["ml_release/reason"] == asked.reason
    assert request.tags["ml_release/request"] == asked.key
    for other in OFTEN:
        # Labels that asked are counted, all others wait for the request in flight.
        said = skipped(tick(champion, other, instance))
        assert ("0 of 100" if kind == other == "label_volume" else "has not ended") in said


@pytest.mark.parametrize(
    ("kind", "plant", "reason"),
    [
        ("drift", lambda house: decided(house, "watch"), "the decision is to watch"),
        ("drift", lambda house: decided(house, "nothing"), "the decision is to nothing"),
        (
            "drift",
            lambda house: decided(house, "retrain", causes=("performance",)),
            "the decision is to retrain",
        ),
        (
            "performance",
            lambda house: decided(house, "retrain", causes=("drift",)),
            "the decision is to retrain",
        ),
        ("drift", seen, "nothing was decided yet"),
        ("performance", lambda _: None, "nothing was decided yet"),
        (
            "performance",
            lambda house: decided(house, "retrain", model_digest="sha256:" + "1" * 64),
            "nothing was decided yet",
        ),
        (
            "performance",
            lambda house: decided(house, "retrain", evidence={INFERENCE_WINDOW: "sha256:0"}),
            "nothing was decided yet",
        ),
        ("label_volume", lambda house: seen(house, labels=99), "99 of 100 new labels"),
        ("label_volume", lambda _: None, "0 of 100 new labels"),
        ("staleness", lambda house: seen(house, as_of=date(2013, 4, 30)), "30 days old, limit 30"),
        ("staleness", lambda _: None, "is not known"),
        ("new_partition", lambda _: None, "no partition is complete"),
        ("new_partition", lambda house: seen(house, as_of=date(2013, 5, 1)), "learned to 2013-03"),
        (
            "label_volume",
            lambda house: decided(house, "fix_data", labels=500),
            "the decision is to fix data",
        ),
        ("staleness", lambda house: decided(house, "roll_back"), "the decision is to roll back"),
    ],
)
def test_without_a_cause_nothing_is_asked_for(
    champion: House,
    instance: dg.DagsterInstance,
    kind: Kind,
    plant: Callable[[House], object],
    reason: str,
) -> None:
    """The tick says why; broken data and a version to be rolled back teach nothing."""
    plant(champion)
    assert reason in skipped(tick(champion, kind, instance))
    assert memory(champion).asked == ()


@pytest.mark.parametrize(
    ("policy", "kind", "reason"),
    [
        ({"maximum_age_days": None}, "staleness", "no age is declared"),
        ({"on_new_partition": False}, "new_partition", "declared to be no reason"),
    ],
)
def test_what_is_not_declared_is_no_reason(
    champion: House, instance: dg.DagsterInstance, policy: dict[str, Any], kind: Kind, reason: str
) -> None:
    """A line has to want it."""
    champion.line = with_policy(champion.line, "retraining", **policy)
    raise_all(champion)
    assert reason in skipped(tick(champion, kind, instance))


@pytest.mark.parametrize("kind", OFTEN)
def test_before_anything_serves_nothing_is_asked_for(
    house: House, instance: dg.DagsterInstance, kind: Kind
) -> None:
    """Without a champion there is nothing to replace."""
    house.line = with_policy(house.line, "retraining", on_new_partition=True, maximum_age_days=30)
    seen(house, labels=500)
    assert skipped(tick(house, kind, instance))
    assert memory(house).asked == ()


def test_before_the_labels_of_a_newer_month_have_matured_nothing_is_asked_for(
    champion: House, instance: dg.DagsterInstance
) -> None:
    """One day earlier the last labels of April are not known yet."""
    decided(champion, "retrain", as_of=SERVED_TO - timedelta(days=1))
    assert "learned from 2013-03 already" in skipped(tick(champion, "drift", instance))


def test_a_training_in_flight_is_waited_for(champion: House, instance: dg.DagsterInstance) -> None:
    """Whoever has begun it."""
    raise_all(champion)
    job = definitions_of(champion).resolve_job_def("small_line_train")
    running = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert f"run {running.run_id} is training" in skipped(tick(champion, "drift", instance))
    instance.delete_run(running.run_id)
    requested(tick(champion, "drift", instance))


def test_a_request_whose_run_broke_is_asked_for_again(
    champion: House, instance: dg.DagsterInstance
) -> None:
    """It is remembered as broken; one of which no run is known is waited for."""
    raise_all(champion)
    request = requested(tick(champion, "performance", instance))
    assert "has not ended" in skipped(tick(champion, "performance", instance))
    job = definitions_of(champion).resolve_job_def("small_line_train")
    instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.FAILURE)
    champion.clock.move(timedelta(minutes=1))
    again = requested(tick(champion, "performance", instance))
    assert again.run_key != request.run_key
    assert [one.ending for one in memory(champion).asked] == ["broken", None]


def planted_backtest(monkeypatch: pytest.MonkeyPatch, *, low: float, high: float) -> None:
    """A backtest that finds this gain."""

    def found(*_: object, champion: str, partition: str, **__: object) -> BacktestRecord:
        gain = Gain(estimate=(low + high) / 2, low=low, high=high)
        return BacktestRecord(
            champion=champion,
            partition=partition,
            score="auc_score",
            newest=Meeting(rows=5000, last_day="2013-04-30", gain=gain),
            tested=Meeting(rows=5000, gain=gain),
        )

    monkeypatch.setattr(backtest_asset, "run_backtest", found)


def carried_out(
    house: House, instance: dg.DagsterInstance, kind: Kind
) -> tuple[dg.RunRequest, dg.ExecuteInProcessResult]:
    request = requested(tick(house, kind, instance))
    return request, run(
        house, "train", instance, run_config=dict(request.run_config), tags=dict(request.tags)
    )


def test_the_requested_retraining_runs_and_says_why(
    champion: House, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trigger, reason and backtest are tags of its run, and stand in its card."""
    planted_backtest(monkeypatch, low=0.01, high=0.03)
    raise_all(champion)
    request, result = carried_out(champion, instance, "label_volume")
    assert result.success, failure(result)
    assert [version.number for version in champion.registry.versions(LINE)] == [1, 2]
    (candidate,) = result.asset_materializations_for_node("small_line__candidate")
    tags = champion.experiments.resume(str(candidate.metadata["MLflow run"].value)).tags
    assert tags["ml_release.trigger"] == "label_volume"
    assert tags["ml_release.reason"] == "100 new labels, limit 100"
    assert tags["ml_release.request"] == request.run_key
    assert tags["ml_release.backtest"].startswith("newer rows are worth +0.0200")
    (card,) = result.asset_materializations_for_node("small_line__model_card")
    text = str(card.metadata["card"].value)
    assert "label_volume: 100 new labels, limit 100" in text
    assert "newer rows are worth +0.0200" in text
    (asked,) = memory(champion).asked
    assert asked.ending == "trained"
    assert "learned from 2013-04 already" in skipped(tick(champion, "staleness", instance))


@pytest.mark.parametrize(
    ("kind", "low", "high", "goes_on"),
    [
        ("label_volume", 0.01, 0.03, True),
        ("label_volume", -0.01, 0.03, False),
        ("new_partition", -0.01, 0.03, False),
        ("performance", -0.01, 0.03, True),
        ("drift", -0.01, 0.03, True),
        ("staleness", -0.01, 0.03, True),
        ("performance", -0.03, -0.01, False),
        ("drift", -0.03, -0.01, False),
    ],
)
def test_the_backtest_holds_what_is_not_worth_it(
    champion: House,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    *,
    kind: Kind,
    low: float,
    high: float,
    goes_on: bool,
) -> None:
    """Doubt holds what asks by the number of rows, harm holds all; neither is asked again."""
    planted_backtest(monkeypatch, low=low, high=high)
    raise_all(champion)
    _, result = carried_out(champion, instance, kind)
    assert ("candidate" in materialized(result)) is goes_on
    (asked,) = memory(champion).asked
    assert asked.ending == ("trained" if goes_on else "turned_down")
    assert skipped(tick(champion, kind, instance))


def test_of_two_requests_at_once_one_runs(champion: House, instance: dg.DagsterInstance) -> None:
    """Two sensors that looked at the same moment: what was remembered last stands."""
    raise_all(champion)
    before = dict(champion.evidence._documents)
    first = requested(tick(champion, "drift", instance))
    champion.evidence._documents = before
    champion.clock.move(timedelta(seconds=1))
    requested(tick(champion, "performance", instance))
    result = run(
        champion, "train", instance, run_config=dict(first.run_config), tags=dict(first.tags)
    )
    assert not result.success
    assert "Another one took its place" in failure(result)
    assert "candidate" not in materialized(result)


def test_a_person_is_never_held_and_is_remembered(
    champion: House, instance: dg.DagsterInstance
) -> None:
    """The check passes without a backtest, and the automation does not ask for the same again."""
    result = train(champion, instance, last="2013-04")
    assert result.success, failure(result)
    (asked,) = memory(champion).asked
    assert (asked.kind, asked.ending) == ("human", "trained")
    raise_all(champion)
    assert "learned from 2013-04 already" in skipped(tick(champion, "performance", instance))


def test_a_run_that_does_not_say_its_window_is_not_tried(
    champion: House, instance: dg.DagsterInstance
) -> None:
    """Doubt holds a trigger that counts labels."""
    raise_all(champion)
    request = requested(tick(champion, "label_volume", instance))
    tags = {n: v for n, v in request.tags.items() if not n.startswith("dagster/")}
    result = run(champion, "train", instance, tags=tags, assets=["backtest"])
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR


def test_a_schedule_exists_where_one_is_declared_and_asks_the_same_governor(
    champion: House, tmp_path: Path
) -> None:
    """At its moment it is raised; what holds others holds it."""
    # A schedule opens its instance again by reference, which one in memory does not have.
    instance = dg.DagsterInstance.local_temp(str(tmp_path))
    assert retraining_schedules(champion.line, wiring_of(champion)) == []
    champion.line = with_policy(champion.line, "retraining", schedule="0 6 * * 1")
    (schedule,) = retraining_schedules(champion.line, wiring_of(champion))
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.execution_timezone == "America/New_York"
    context = dg.build_schedule_context(instance=instance)
    assert "nothing is serving yet" in skipped(schedule(context))
    seen(champion)
    request = schedule(context)
    assert isinstance(request, dg.RunRequest)
    assert request.tags["ml_release/trigger"] == "schedule"
    assert "has not ended" in skipped(schedule(context))
