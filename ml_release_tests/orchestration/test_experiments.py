"""Experiments in Dagster: two jobs, a report with its checks, every branch of the sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.domain.experiment_design import digest_of_experiment
from ml_release.orchestration.experiment_jobs import ending_config, experiment_sensor
from ml_release_tests.orchestration.house import definitions_of, failure, run, wiring_of
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_experiments import serve

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release_tests.small_line import House

FORM = {
    "name": "colours",
    "versions": [2],
    "baseline_mean": 0.3,
    "minimum_detectable_effect": 0.1,
    "by": "Ada",
    "reason": "is the new one better?",
}


@pytest.fixture(scope="session")
def the_two(tmp_path_factory: pytest.TempPathFactory) -> House:
    from ml_release_tests.small_line import MONTHS, House

    house = House(tmp_path_factory.mktemp("two"))
    steps.prepare(house, *MONTHS)
    steps.release(house, last="2013-03")
    steps.train(house)
    steps.evaluate(house)
    steps.register(house)
    return house


@pytest.fixture
def two(the_two: House, tmp_path: Path) -> House:
    """Version 1 answers, version 2 is registered."""
    return the_two.copied(tmp_path / "inference")


def begin(house: House, instance: dg.DagsterInstance, **changes: Any) -> dg.ExecuteInProcessResult:
    form = {**FORM, **changes}
    config = {"ops": {"small_line_declare_experiment": {"config": form}}}
    return run(house, "begin_experiment", instance, run_config=config)


def report(house: House, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    result = run(house, "monitor", instance, assets=["experiment_report"])
    assert result.success
    return result


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = (event for event in result.all_events if event.is_step_materialization)
    return {key: value.value for key, value in event.materialization.metadata.items()}


def tick(
    house: House, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=definitions_of(house)
    )
    result = experiment_sensor(house.line, wiring_of(house))(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def skipped(house: House, instance: dg.DagsterInstance) -> str:
    result = tick(house, instance)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or ""


def test_an_experiment_is_begun_judged_and_ended_for_harm(
    two: House, instance: dg.DagsterInstance
) -> None:
    """The sensor asks with the run configuration that the job takes; afterwards it is silent."""
    assert skipped(two, instance) == "no experiment is declared"
    begun = begin(two, instance)
    assert begun.success, failure(begun)
    assert metadata_of(begun)["changed"] is True
    assert "not judged yet" in skipped(two, instance)
    serve(two, {1: 0.6, 2: 0.3})
    judged = report(two, instance)
    assert metadata_of(judged)["answer"] == "stop for harm"
    checks = {c.check_name: c.passed for c in judged.get_asset_check_evaluations()}
    assert checks == {
        "experiment_is_unharmful": False,
        "sample_ratio_matches": True,
        "arms_overlap": True,
    }
    first = tick(two, instance)
    assert isinstance(first, dg.SensorResult)
    again = tick(two, instance, first.cursor)
    assert isinstance(again, dg.SensorResult)
    (request,), (other,) = first.run_requests or [], again.run_requests or []
    assert request.run_key != other.run_key
    assert "experiment_is_unharmful" in request.tags["ml_release/reason"]
    ended = run(two, "end_experiment", instance, run_config=dict(request.run_config))
    assert ended.success
    assert metadata_of(ended)["ended"] == "colours"
    state = two.deployments.history(steps.LINE, "production")[-1].state
    assert (state.experiment, len(state.variants)) == (None, 1)
    assert skipped(two, instance) == "no experiment is declared"


def test_a_better_arm_waits_for_a_person(two: House, instance: dg.DagsterInstance) -> None:
    """The report names the winner; the sensor ends nothing."""
    assert begin(two, instance, error_tolerance=0.3).success
    serve(two, {1: 0.3, 2: 0.6})
    found = metadata_of(report(two, instance))
    assert (found["answer"], found["winner"]) == ("stop and name a winner", "version 2")
    assert "regret.png" in found
    assert "no harm is shown" in skipped(two, instance)


def test_a_report_without_an_experiment_or_without_its_plan_says_so(
    two: House, instance: dg.DagsterInstance
) -> None:
    """No check passes, and no run is stopped."""
    result = report(two, instance)
    assert metadata_of(result) == {"answer": "no experiment is declared"}
    assert not any(check.passed for check in result.get_asset_check_evaluations())
    assert begin(two, instance).success
    experiment = two.deployments.history(steps.LINE, "production")[-1].state.experiment
    assert experiment is not None
    steps.forget(two, "experiment_plan", digest_of_experiment(experiment))
    assert "expected the plan" in metadata_of(report(two, instance))["answer"]


def test_a_verdict_that_was_edited_fails_the_tick(two: House, instance: dg.DagsterInstance) -> None:
    """Cannot tell is not harmless."""
    assert begin(two, instance).success
    serve(two, {1: 0.3, 2: 0.3}, units=50)
    report(two, instance)
    experiment = two.deployments.history(steps.LINE, "production")[-1].state.experiment
    assert experiment is not None
    steps.edit(
        two,
        "experiment_verdict",
        digest_of_experiment(experiment),
        lambda document: document.update(outcome="pass"),
    )
    with pytest.raises(dg.Failure, match="The record was edited"):
        tick(two, instance)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"allocation": "roulette"}, "fixed or thompson", id="allocation"),
        pytest.param({"alpha": 2.0}, "alpha: ", id="alpha"),
        pytest.param({"baseline_mean": 1.5}, "a mean from 0 to 1", id="baseline"),
        pytest.param({"versions": [9]}, "version 9", id="version"),
        pytest.param({"reason": " "}, "empty 'reason'", id="nobody says why"),
        pytest.param({"latency_limit_ms": -1.0}, "latency_limit_ms", id="latency"),
    ],
)
def test_a_form_that_makes_no_sense_fails_with_its_message(
    two: House, instance: dg.DagsterInstance, changes: dict[str, Any], message: str
) -> None:
    """Nothing is declared."""
    before = two.deployments.history(steps.LINE, "production")
    assert message in failure(begin(two, instance, **changes))
    assert two.deployments.history(steps.LINE, "production") == before


def test_ending_nothing_changes_nothing(two: House, instance: dg.DagsterInstance) -> None:
    """Asked for twice it is done once."""
    config = ending_config(two.line, None, by="Ada", why="done")
    result = run(two, "end_experiment", instance, run_config=config)
    assert result.success
    assert metadata_of(result)["changed"] is False
