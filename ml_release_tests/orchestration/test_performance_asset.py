"""The performance report in Dagster: its checks warn and stop nothing, its numbers are numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ml_release.domain.performance_judge import RULES
from ml_release_tests.orchestration.house import run, train
from ml_release_tests.workflows.traffic import a_label, serve_month, write

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

NUMBERS = (
    "AUC", "AUC low", "AUC high", "log loss", "log loss low", "log loss high",
    "AUC change since release", "log loss change since release", "AUC estimated",
    "AUC estimated, newest", "calibration error", "calibration error by chance",
    "mean probability", "observed rate",
)  # fmt: skip


def test_a_model_that_is_wrong_warns_and_stops_nothing(
    house: House, instance: dg.DagsterInstance
) -> None:
    """All labels turned; what Dagster plots over time are floats, whose names stay."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    rows = serve_month(house, "2013-03")
    known = rows[rows["is_late"].notna()]
    write(
        house,
        [],
        [
            a_label(name, 1 - int(label))
            for name, label in zip(known["request_id"], known["is_late"], strict=True)
        ],
    )
    result = run(
        house, "monitor", instance, assets=["inference_window", "labels", "performance_report"]
    )
    assert result.success
    checks = {
        one.check_name: one
        for one in result.get_asset_check_evaluations()
        if one.asset_key.path[-1] == "performance_report"
    }
    assert set(checks) == set(RULES)
    for rule in ("no_worse_than_at_release", "calibration_holds"):
        assert not checks[rule].passed
    assert {one.severity for one in checks.values()} == {dg.AssetCheckSeverity.WARN}
    assert not any(one.blocking for one in checks.values())
    assert "performance.png" in checks["no_worse_than_at_release"].metadata
    (event,) = result.asset_materializations_for_node("small_line__performance_report")
    for name in NUMBERS:
        assert isinstance(event.metadata[name], dg.FloatMetadataValue), name
    shown = {name: value.value for name, value in event.metadata.items()}
    change = shown["AUC change since release"]
    assert isinstance(change, float)
    assert change < 0
    assert shown["labelled rows"] == len(known) == shown["new labels"]
    assert "reliability.png" in shown


def test_a_number_that_is_not_known_is_left_out(house: House, instance: dg.DagsterInstance) -> None:
    """A plot then has a gap, and no zero."""
    result = run(
        house, "monitor", instance, assets=["inference_window", "labels", "performance_report"]
    )
    assert result.success
    (event,) = result.asset_materializations_for_node("small_line__performance_report")
    assert not set(NUMBERS) & set(event.metadata)
    assert event.metadata["outcome"].value == "inconclusive"
