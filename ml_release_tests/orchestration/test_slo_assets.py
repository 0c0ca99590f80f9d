"""Promises and release KPIs in Dagster: checks that warn or object, and numbers it can plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.domain import release_kpi_judge, slo
from ml_release_tests.orchestration.house import run
from ml_release_tests.workflows.promises import count, hours

if TYPE_CHECKING:
    from ml_release_tests.small_line import House


def shown(
    house: House, instance: dg.DagsterInstance, asset: str
) -> tuple[dict[str, Any], dict[str, dg.AssetCheckEvaluation]]:
    """Metadata and checks of one asset of the monitor job."""
    result = run(house, "monitor", instance, assets=[asset])
    assert result.success
    (event,) = result.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    return metadata, {check.check_name: check for check in result.get_asset_check_evaluations()}


@pytest.mark.parametrize(
    ("requests", "severity", "promotions"),
    [
        pytest.param([], dg.AssetCheckSeverity.WARN, "not frozen by a budget", id="nothing asked"),
        pytest.param(
            [(2000, 0)] * 80, dg.AssetCheckSeverity.WARN, "not frozen by a budget", id="kept"
        ),
        pytest.param(
            [(2000, 100)], dg.AssetCheckSeverity.ERROR, "FROZEN: availability", id="spent"
        ),
    ],
)
def test_a_spent_budget_is_an_error_and_stops_no_run(
    house: House,
    instance: dg.DagsterInstance,
    requests: list[tuple[int, int]],
    severity: dg.AssetCheckSeverity,
    promotions: str,
) -> None:
    """What is not known warns; numbers stand alone, so that Dagster plots them."""
    if requests:
        count(house, hours(house, *requests))
    metadata, checks = shown(house, instance, "slo_report")
    assert set(checks) == set(slo.RULES)
    budget = checks[slo.BUDGET]
    assert budget.severity is severity
    assert budget.passed is (len(requests) == 80)
    assert metadata["promotions"] == promotions
    numbers = {name for name, value in metadata.items() if isinstance(value, float)}
    named = {"budget left, availability", "burn rate, availability, 72 h", "budget left, latency"}
    assert (named <= numbers) is bool(requests)
    assert ("error_budgets.png" in metadata) is bool(requests)


def test_kpis_are_numbers_where_they_are_known(house: House, instance: dg.DagsterInstance) -> None:
    """And words in the table where they are not."""
    metadata, checks = shown(house, instance, "release_kpis")
    assert set(checks) == set(release_kpi_judge.RULES)
    assert not any(check.passed for check in checks.values())
    assert not any(isinstance(value, float) for value in metadata.values())
    cells = [record.data["value"] for record in metadata["KPIs"].records]
    assert cells == ["not known"] * 7
