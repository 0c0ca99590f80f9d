"""What Dagster shows of realised performance: numbers that it plots over time, tables, pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_release.orchestration.rendering import picture
from ml_release.orchestration.tables import frame_table, scores_table

if TYPE_CHECKING:
    from ml_release.domain.evaluation_measures import Measured
    from ml_release.workflows.performance import PerformanceReport

_DAYS_SHOWN = 60


def performance_metadata(report: PerformanceReport) -> dict[str, Any]:
    """Metadata of a report; a number that is not known is left out, so that its plot has a gap."""
    import pandas as pd

    record, window = report.record, report.record.window
    numbers: dict[str, float | None] = {
        **_with_ends("AUC", window.auc),
        **_with_ends("log loss", window.log_loss),
        **_with_ends("cost per 1000 decisions", window.cost_per_1000),
        "AUC change since release": _estimate(record.auc_change),
        "log loss change since release": _estimate(record.log_loss_change),
        "cost per 1000 decisions, change since release": _estimate(record.cost_per_1000_change),
        "AUC estimated": window.estimated_auc,
        "AUC estimated, newest": record.newest.auc,
        "calibration error": window.calibration_error,
        "calibration error by chance": window.calibration_expected,
        "mean probability": window.mean_probability,
        "observed rate": window.observed_rate,
    }
    days = [one.model_dump(mode="json") for one in record.per_day[-_DAYS_SHOWN:]]
    return {
        "outcome": report.verdict.outcome.value,
        "version": str(record.version or "none"),
        "window": f"{window.since} to {window.until}" if window.until else "no labelled answer",
        "labelled rows": window.n,
        "immature rows": record.immature,
        "unlabelled rows": record.unlabelled,
        "rows that are no probability, not monitored": record.not_monitored,
        "new records": report.advanced.records,
        "new labels": report.advanced.labels,
        **{name: float(value) for name, value in numbers.items() if value is not None},
        "changes of the errors": "; ".join(
            f"{one.detector} on {one.day}: {one.before:.4f} to {one.after:.4f}"
            for one in record.errors.changes
        )
        or "none",
        "scores": scores_table({f"version {record.version}, served": report.performance}),
        "per day": frame_table(pd.DataFrame(days)),
        **({"read anew": report.advanced.recounted} if report.advanced.recounted else {}),
        **({"errors counted anew": record.errors.anew} if record.errors.anew else {}),
        **{name: picture(png) for name, png in report.plots.items()},
    }


def _with_ends(name: str, found: Measured | None) -> dict[str, float | None]:
    if found is None:
        return {}
    return {name: found.estimate, f"{name} low": found.low, f"{name} high": found.high}


def _estimate(found: Measured | None) -> float | None:
    return None if found is None else found.estimate
