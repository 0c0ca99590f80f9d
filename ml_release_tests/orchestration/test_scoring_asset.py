"""Batch predictions as a partitioned asset, and the job that makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ml_release.orchestration.jobs import FIRST_PARTITION_TAG, LAST_PARTITION_TAG
from ml_release.orchestration.scoring_asset import SCORED
from ml_release.workflows.batch_scoring import PREDICTIONS_TABLE
from ml_release_tests.orchestration.house import failure, run, train
from ml_release_tests.small_line import ROWS_PER_MONTH
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    import dagster as dg

    from ml_release_tests.small_line import House


def score(
    house: House, instance: dg.DagsterInstance, first: str, last: str, **config: Any
) -> dg.ExecuteInProcessResult:
    return run(
        house,
        "score",
        instance,
        run_config={"ops": {"small_line__batch_predictions": {"config": config}}},
        tags={FIRST_PARTITION_TAG: first, LAST_PARTITION_TAG: last},
    )


@pytest.fixture
def released(house: House, instance: dg.DagsterInstance) -> House:
    """Version 1, of January to March, answers."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    return house


def test_months_are_scored_in_one_run_with_progress_and_a_page_each(
    released: House, instance: dg.DagsterInstance
) -> None:
    """Rows, speed, picture and missing shares per month; the champion is named."""
    result = score(released, instance, "2013-02", "2013-03")
    assert result.success
    made = result.asset_materializations_for_node("small_line__batch_predictions")
    assert [one.partition for one in made] == ["2013-02", "2013-03"]
    written = steps.current(released, PREDICTIONS_TABLE)
    for one in made:
        metadata: dict[str, Any] = {name: value.value for name, value in one.metadata.items()}
        assert metadata["dagster/row_count"] == ROWS_PER_MONTH
        assert metadata["digest"] == written[one.partition or ""].digest
        assert metadata["version"] == 1
        assert metadata["rows per second"] > 0
        assert set(metadata["missing shares"]) == {f.name for f in released.line.features}
        assert set(metadata[SCORED]) == {"2013-02", "2013-03"}
        assert "data:image/png" in metadata["scores"]
    assert f"{ROWS_PER_MONTH} scores beside 0.3" in released.plotter.drawn
    logged = [event.user_message for event in instance.all_logs(result.run_id)]
    assert f"2013-03: {ROWS_PER_MONTH} of {ROWS_PER_MONTH} rows" in logged


def test_a_version_asked_for_is_the_one_that_scores(
    released: House, instance: dg.DagsterInstance
) -> None:
    """By its number, without being declared."""
    released.line = released.line.model_copy(
        update={"parameters": {**released.line.parameters, "max_iter": 13}}
    )
    assert train(released, instance).success
    assert score(released, instance, "2013-03", "2013-03", version=2).success
    rows = released.tables.read(
        steps.current(released, PREDICTIONS_TABLE)["2013-03"], PREDICTIONS_TABLE
    )
    assert set(rows["version"]) == {2}


def test_a_month_that_is_not_fit_is_refused_in_every_run(
    released: House, instance: dg.DagsterInstance
) -> None:
    """The run fails with the reason, and there are no predictions."""
    released.land("2013-03", steps.with_nulls("2013-03", share=0.5))
    steps.snapshot(released, "2013-03")
    result = score(released, instance, "2013-03", "2013-03")
    assert not result.success
    assert "the current one is" in failure(result)
    assert steps.current(released, PREDICTIONS_TABLE) == {}


def test_without_a_declaration_nothing_is_scored(
    house: House, instance: dg.DagsterInstance
) -> None:
    """The message says what to do."""
    result = score(house, instance, "2013-03", "2013-03")
    assert "ml-release promote small_line" in failure(result)
