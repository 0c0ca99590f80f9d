"""What a release line becomes in Dagster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ml_release.orchestration.data_assets import partitions_of
from ml_release.orchestration.jobs import training_request
from ml_release_tests.orchestration.asset_graph import SNAPSHOT, describe
from ml_release_tests.orchestration.house import (
    definitions_of,
    materialized,
    promotion_config,
    run,
    train,
)
from ml_release_tests.small_line import SMALL_LINE

if TYPE_CHECKING:
    from ml_release_tests.small_line import House


def test_the_asset_graph_is_the_reviewed_one(house: House) -> None:
    """A change of assets, checks, jobs or sensors shows as a diff of asset_graph.json.

    Write it anew with ``python -m ml_release_tests.orchestration.asset_graph``.
    """
    assert describe(definitions_of(house)) == SNAPSHOT.read_text(encoding="utf-8")


def test_definitions_are_loadable(house: House) -> None:
    """Every job's configuration and resources resolve."""
    dg.Definitions.validate_loadable(definitions_of(house))


def test_partitions_are_the_declared_months() -> None:
    """Both ends included."""
    keys = partitions_of(SMALL_LINE).get_partition_keys()
    assert (keys[0], keys[-1], len(keys)) == ("2013-01", "2013-12", 12)


def test_a_line_without_a_last_month_goes_on() -> None:
    """Months that are over, up to today."""
    landing = SMALL_LINE.landing.model_copy(update={"last_partition": None})
    line = SMALL_LINE.model_copy(update={"landing": landing})
    assert len(partitions_of(line).get_partition_keys()) > 12


def test_every_asset_can_be_materialized_in_one_go(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Also monitoring, on a log that holds nothing yet: its checks hold, and stop no run."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    result = run(house, "monitor", instance)
    assert result.success
    assert materialized(result) == {
        "inference_window",
        "labels",
        "drift_report",
        "performance_report",
        "fairness_report",
        "slo_report",
        "release_kpis",
        "rollback_verification",
        "experiment_report",
        "decision",
        "evidently_report",
        "monitoring_report",
    }
    checks = result.get_asset_check_evaluations()
    assert len(checks) == 45
    # Of the release alone something is known.
    assert {check.check_name for check in checks if check.passed} == {
        "lead_time_is_short",
        "versions_can_be_rebuilt",
    }


def test_a_search_asked_for_in_the_run_shows_in_the_candidate(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Its table and its picture; each trial is logged with the best value so far."""
    config, tags = training_request(
        house.line, first="2013-01", last="2013-03", fresh_from="2013-01", trials=3
    )
    result = run(house, "train", instance, run_config=config, tags=tags)
    assert result.success
    (candidate,) = result.asset_materializations_for_node("small_line__candidate")
    table = candidate.metadata["search"]
    assert isinstance(table, dg.TableMetadataValue)
    rows = {str(row.data["search"]): str(row.data["value"]) for row in table.records}
    assert rows["trials"] == "3 complete, 0 pruned, 0 failed"
    assert rows["budget"] == "3 trials, 600 seconds"
    assert "search_history.png" in candidate.metadata
    logged = [event.user_message for event in instance.all_logs(result.run_id)]
    assert (
        sum(
            message.startswith(f"trial {n} of 3, best so far 0.")
            for n in (1, 2, 3)
            for message in logged
        )
        == 3
    )


def test_promoting_and_rolling_back_are_jobs_with_typed_requests(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Version 2 takes over, a rollback restores version 1 and withdraws 2."""
    assert train(house, instance).success
    config = promotion_config(reason="first release", version=1, to="PRODUCTION")
    assert run(house, "promote", instance, run_config=config).success
    assert train(house, instance, last="2013-04").success
    assert run(house, "promote", instance).success
    back = {"ops": {"small_line_roll_back": {"config": {"by": "ada", "reason": "too slow"}}}}
    result = run(house, "rollback", instance, run_config=back)
    assert result.success
    assert materialized(result) == {"production_endpoint", "incident"}
    history = house.deployments.history("small_line", "production")
    assert [one.state.champion.version for one in history] == [1, 2, 1]
    assert [(one.actor, one.reason) for one in history][::2] == [
        ("ada", "first release"),
        ("ada", "too slow"),
    ]
    assert history[-1].state.withdrawn == (2,)
    assert house.registry.named("small_line", "champion") == 1


def test_restoring_is_a_job_that_changes_nothing_where_nothing_was_edited(
    house: House, instance: dg.DagsterInstance
) -> None:
    """It ends as a materialization of the endpoint, as every move."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    again = {"ops": {"small_line_restore_sealed": {"config": {"by": "ada", "reason": "edited"}}}}
    result = run(house, "restore", instance, run_config=again)
    assert result.success
    assert materialized(result) == {"production_endpoint"}
    assert len(house.deployments.history("small_line", "production")) == 1
    nobody = {"ops": {"small_line_restore_sealed": {"config": {"by": "", "reason": "edited"}}}}
    assert not run(house, "restore", instance, run_config=nobody).success


def test_a_rollback_without_a_name_is_refused(house: House, instance: dg.DagsterInstance) -> None:
    """Somebody answers for every move."""
    back = {"ops": {"small_line_roll_back": {"config": {"by": " ", "reason": "x"}}}}
    result = run(house, "rollback", instance, run_config=back)
    assert not result.success
