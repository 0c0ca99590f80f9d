"""The waiver job, and registering on a waiver: the check stays red, the page says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_release_tests.orchestration.house import failure, materialized, run, train
from ml_release_tests.workflows.steps import with_policy

if TYPE_CHECKING:
    import dagster as dg

    from ml_release_tests.small_line import House

RULE = "score_is_above_floor"
OP = "small_line_waive_finding"


def test_a_waived_finding_lets_a_later_run_register_and_is_shown_red(
    house: House, instance: dg.DagsterInstance
) -> None:
    """The run that evaluated it stays stopped."""
    quality = house.line.policies.evaluation.quality
    house.line = with_policy(
        house.line, "evaluation", quality=quality.model_copy(update={"floors": {"auc_score": 0.99}})
    )
    result = train(house, instance)
    assert not result.success
    assert "registered_version" not in materialized(result)
    form = {"rule": RULE, "by": "Ada", "reason": "the floor is being revised", "days": 2.0}
    config = {"ops": {OP: {"config": form}}}
    assert run(house, "waive", instance, run_config=config).success
    alone = run(house, "train", instance, assets=["registered_version"])
    assert "expected a model card, found none. Materialize model_card again" in failure(alone)
    registered = run(house, "train", instance, assets=["model_card", "registered_version"])
    assert registered.success
    (row,) = records(registered, "waived", asset="registered_version")
    assert "Does not pass. WAIVED by Ada" in metadata_of(registered, "model_card")["card"].value
    assert row.data["by"] == "Ada"
    assert row.data[""] == "\N{CROSS MARK} not a pass"
    assert RULE in row.data["finding"]
    (page,) = (text for name, text in house.reports.files.items() if name.endswith(".html"))
    assert b"Waived(" in page
    (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == RULE]
    assert not check.passed


def test_a_waiver_nobody_can_give_fails_the_job(house: House, instance: dg.DagsterInstance) -> None:
    """A candidate that passes has nothing to waive."""
    assert train(house, instance).success
    form = {"rule": RULE, "by": "Ada", "reason": "just in case", "days": 2.0}
    result = run(house, "waive", instance, run_config={"ops": {OP: {"config": form}}})
    assert not result.success
    assert "expected a finding that keeps the candidate" in failure(result)


def test_the_scorecard_is_an_asset_of_its_own(house: House, instance: dg.DagsterInstance) -> None:
    """With both checks, and a row per model."""
    from ml_release_tests.orchestration.house import definitions_of

    assert train(house, instance).success
    result = (
        definitions_of(house)
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            instance=instance,
            asset_selection=[dg_key("gate_scorecard")],
            run_config={
                "ops": {"small_line__gate_scorecard": {"config": {"windows": 1, "seeds": 1}}}
            },
        )
    )
    checks = {c.check_name for c in result.get_asset_check_evaluations()}
    assert checks == {"mutants_are_killed", "honest_retrainings_pass"}
    rows = records(result, "trials")
    assert len(rows) > 15
    assert rows[-1].data["should be"] == "released"


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> Any:
    """Metadata of one of the assets that were made."""
    (event,) = (
        event
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key.path[-1] == asset
    )
    return event.materialization.metadata


def records(result: dg.ExecuteInProcessResult, name: str, *, asset: str = "gate_scorecard") -> Any:
    """Rows of a table in the metadata of an asset."""
    return metadata_of(result, asset)[name].value.records


def dg_key(name: str) -> dg.AssetKey:
    import dagster

    return dagster.AssetKey(["small_line", name])
