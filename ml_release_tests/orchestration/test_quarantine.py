"""A run goes on without a month that is set aside, where the policy declares that it may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release_tests.orchestration.house import failure, materialized, run, train
from ml_release_tests.small_line import trips
from ml_release_tests.workflows.steps import with_nulls, with_policy

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

BAD = "2013-02"
WHOLE = {
    "snapshot",
    "features",
    "backtest",
    "candidate",
    "evaluation",
    "model_card",
    "registered_version",
}


@pytest.fixture
def tolerant(house: House) -> House:
    """The house, with a policy that lets a window lack a quarter of its months."""
    house.line = with_policy(house.line, "quarantine", minimum_coverage=0.75, history_may_lack=True)
    return house


def metadata(result: dg.ExecuteInProcessResult, asset: str, partition: str | None = None) -> Any:
    """What the materialization of an asset says."""
    (found,) = [
        event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
        and event.asset_key.path[-1] == asset
        and (partition is None or event.materialization.partition == partition)
    ]
    return {name: value.value for name, value in found.items()}


def failed(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckSeverity]:
    return {
        check.check_name: check.severity
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }


def test_the_good_months_go_on_and_the_window_names_the_bad_one(
    tolerant: House, instance: dg.DagsterInstance
) -> None:
    """The check stays red, as a warning; the page of the candidate says what was left out."""
    tolerant.land(BAD, with_nulls(BAD, share=0.2))
    result = train(tolerant, instance, last="2013-04")
    assert result.success
    assert materialized(result) == WHOLE
    assert failed(result) == {"nulls_are_within_limits": dg.AssetCheckSeverity.WARN}
    assert metadata(result, "snapshot", BAD)["set aside"] == BAD
    reason = metadata(result, "features", BAD)["set aside"]
    assert "nulls_are_within_limits [distance] fail" in reason
    (row,) = metadata(result, "candidate")["left out"].records
    assert row.data == {"partition": BAD, "reason": reason}


def test_too_many_bad_months_stop_the_line_at_the_snapshot(
    tolerant: House, instance: dg.DagsterInstance
) -> None:
    """One month of three is more than the policy lets a window lack."""
    tolerant.land(BAD, with_nulls(BAD, share=0.2))
    result = train(tolerant, instance, last="2013-03")
    assert not result.success
    assert materialized(result) == {"snapshot"}
    assert failed(result) == {"nulls_are_within_limits": dg.AssetCheckSeverity.ERROR}
    assert tolerant.registry.versions("small_line") == ()


def test_a_month_that_cannot_be_read_does_not_keep_the_others(
    tolerant: House, instance: dg.DagsterInstance
) -> None:
    """Its check is red with the error; without enough others the step fails with it."""
    tolerant.land(BAD, trips(BAD).drop(columns="carrier"))
    result = train(tolerant, instance, last="2013-04")
    assert result.success
    assert failed(result) == {"landing_is_readable": dg.AssetCheckSeverity.WARN}
    assert "cannot be assembled" in metadata(result, "snapshot", BAD)["set aside"]
    assert len(metadata(result, "candidate")["left out"].records) == 1


def test_a_month_that_cannot_be_read_fails_the_step_where_it_is_needed(
    house: House, instance: dg.DagsterInstance
) -> None:
    """The months beside it are taken and judged all the same."""
    house.land(BAD, trips(BAD).drop(columns="carrier"))
    result = train(house, instance)
    assert not result.success
    assert "small_line partition 2013-02: the landed tables cannot be assembled" in failure(result)
    taken = {snapshot.partition for snapshot in house.tables.current("small_line", "snapshot")}
    assert taken == {"2013-01", "2013-03"}


def test_a_run_of_the_bad_month_alone_is_stopped(
    tolerant: House, instance: dg.DagsterInstance
) -> None:
    """A run that has nothing fit has nothing to go on with, however many months are good."""
    assert train(tolerant, instance, last="2013-04").success
    tolerant.land("2013-05", with_nulls("2013-05", share=0.2))
    config = {"ops": {"small_line__candidate": {"config": {"first": "2013-01"}}}}
    result = run(
        tolerant, "train", instance, run_config=config, tags={"dagster/partition": "2013-05"}
    )
    assert not result.success
    assert materialized(result) == {"snapshot"}
    assert len(tolerant.registry.versions("small_line")) == 1
