"""Fairness and texts in Dagster: checks that warn, numbers that are drawn, assets that exist."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from ml_release.domain.fairness_watch import GAPS, SLICES
from ml_release.domain.text_drift import DESCRIPTIONS as TEXT_RULES
from ml_release.orchestration.fairness_asset import fairness_report_asset
from ml_release.orchestration.jobs import monitor_job
from ml_release.orchestration.text_asset import text_report_asset
from ml_release_tests.orchestration.house import definitions_of, run, wiring_of
from ml_release_tests.workflows import fair_house, steps

if TYPE_CHECKING:
    from ml_release_tests.small_line import House


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_a_wider_gap_warns_and_its_numbers_are_shown(
    house: House, instance: dg.DagsterInstance
) -> None:
    """The run goes on: what becomes of the version is decided elsewhere."""
    steps.prepare(house, "2013-01", "2013-02", "2013-03")
    fair_house.release(house)
    fair_house.answer(house, days=20, against="AA")
    result = run(house, "monitor", instance, assets=["fairness_report"])
    assert result.success
    metadata = metadata_of(result)
    assert metadata["outcome"] == "fail"
    assert metadata["windows"] == 2
    assert metadata["labelled answers"] == 420
    assert metadata["gap, carrier: demographic parity difference"] == 1.0
    assert isinstance(metadata["score, carrier BB"], float)
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks.keys() == {GAPS, SLICES}
    assert not checks[GAPS].passed
    assert checks[GAPS].severity is dg.AssetCheckSeverity.WARN
    assert "shown in 2 of 2 windows in a row" in (checks[GAPS].description or "")
    assert date(2013, 4, 20).isoformat() in str(metadata["window"])


def test_undeclared_nothing_is_told(house: House, instance: dg.DagsterInstance) -> None:
    """No check passes by that."""
    result = run(house, "monitor", instance, assets=["fairness_report"])
    assert result.success
    assert metadata_of(result) == {"outcome": "nothing is declared to watch"}
    assert not any(check.passed for check in result.get_asset_check_evaluations())


def test_a_line_has_the_checks_that_it_declares_something_for(house: House) -> None:
    """Others could never pass."""
    for line, expected in (
        (house.line, {SLICES}),
        (house.line.model_copy(update={"slices": ()}), set()),
        (fair_house.fair(house.line), {GAPS, SLICES}),
    ):
        asset = fairness_report_asset(line, wiring_of(house))
        assert {spec.name for spec in asset.check_specs} == expected


def test_texts_are_reported_of_lines_that_declare_them(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Others have neither the asset nor its step in the monitor job."""
    key = dg.AssetKey([house.line.name, "text_report"])
    assert key not in definitions_of(house).resolve_all_asset_keys()
    house.line = house.line.model_copy(update={"text_columns": ("carrier",)})
    assert key in definitions_of(house).resolve_all_asset_keys()
    asset = text_report_asset(house.line, wiring_of(house))
    assert {spec.name for spec in asset.check_specs} == {*TEXT_RULES}
    assert monitor_job(house.line).name == "small_line_monitor"
    result = run(house, "monitor", instance, assets=["text_report"])
    assert result.success
    assert metadata_of(result) == {"outcome": "nothing is declared yet"}
