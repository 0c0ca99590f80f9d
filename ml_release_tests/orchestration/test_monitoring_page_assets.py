"""The pages of monitoring in Dagster: made by the monitor job, linked by path, drawn as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ml_release_tests.orchestration.house import run, train
from ml_release_tests.workflows.traffic import serve_month

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

PAGES = ["inference_window", "evidently_report", "drift_report", "monitoring_report"]


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    (event,) = result.asset_materializations_for_node(f"small_line__{asset}")
    return dict(event.metadata)


def test_the_monitor_job_writes_page_comparison_and_gauges(
    house: House, instance: dg.DagsterInstance
) -> None:
    """And makes the comparison once per day."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    serve_month(house, "2013-03")
    result = run(house, "monitor", instance, assets=PAGES)
    assert result.success
    page = metadata_of(result, "monitoring_report")
    assert isinstance(page["page"], dg.PathMetadataValue)
    assert page["page"].value == "small_line/monitoring.html"
    rows = page["ml_release_window_rows"]
    assert isinstance(rows, dg.FloatMetadataValue)
    assert rows.value
    assert rows.value > 0
    compared = metadata_of(result, "evidently_report")
    assert isinstance(compared["page"], dg.PathMetadataValue)
    assert compared["page"].value == "small_line/drift-comparison.html"
    assert compared["made now"] == dg.BoolMetadataValue(value=True)
    assert {"small_line/monitoring.html", "small_line/drift-comparison.html"} <= set(
        house.reports.files
    )
    shown = house.gauges.shown["production", "small_line"]
    assert shown.samples["ml_release_monitored_version"][0].value == 1
    again = run(house, "monitor", instance, assets=PAGES)
    assert again.success
    assert metadata_of(again, "evidently_report")["made now"] == dg.BoolMetadataValue(value=False)


def test_an_idle_line_has_a_page_that_says_so(house: House, instance: dg.DagsterInstance) -> None:
    """Nothing to compare, and no reason to fail a run."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    result = run(house, "monitor", instance, assets=PAGES)
    assert result.success
    assert metadata_of(result, "evidently_report")["page"] == dg.TextMetadataValue(
        "the window holds no answer yet"
    )
    assert metadata_of(result, "monitoring_report")["now"] == dg.TextMetadataValue(
        "Cannot tell yet"
    )
