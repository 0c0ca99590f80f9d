"""The assets that read the inference log: window, drift report, performance report."""

import dagster as dg

from ml_release.domain import drift, history_health, performance_judge, skew
from ml_release.domain.features import History
from ml_release.domain.history_health import HistoryUse
from ml_release.orchestration.endpoint_assets import endpoint_key
from ml_release.orchestration.performance_page import performance_metadata
from ml_release.orchestration.rendering import check_news, check_specs, picture, reported
from ml_release.orchestration.tables import drift_table, number
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.drift_evidence import trends
from ml_release.workflows.history_health import check_history
from ml_release.workflows.monitoring import DriftReport, observe_window, report_drift
from ml_release.workflows.performance import report_performance
from ml_release.workflows.skew import check_skew


def inference_window_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/inference_window``."""
    key = dg.AssetKey([line.name, "inference_window"])
    looks_up = any(isinstance(feature, History) for feature in line.features)
    history_rules = history_health.DESCRIPTIONS if looks_up else {}

    @dg.asset(
        key=key,
        deps=[endpoint_key(line)],
        check_specs=check_specs(key, {**skew.DESCRIPTIONS, **history_rules}, blocking=False),
        group_name=line.name,
        kinds={"json"},
        description="The newest days of the champion's answers, counted over its reference bins.",
    )
    def inference_window() -> dg.MaterializeResult:
        with reported():
            window = observe_window(
                line,
                environment=wiring.environment,
                inference_log=wiring.inference_log,
                deployments=wiring.deployments,
                models=wiring.models,
                evidence=wiring.evidence,
                profiles=wiring.profiles,
            )
            verdict = check_skew(
                line,
                environment=wiring.environment,
                inference_log=wiring.inference_log,
                landing=wiring.landing,
                evidence=wiring.evidence,
                models=wiring.models,
                deployments=wiring.deployments,
                window=window,
            )
            history = check_history(line, environment=wiring.environment, evidence=wiring.evidence)
        return dg.MaterializeResult(
            metadata={
                "version": str(window.version or "none"),
                "as of": str(window.as_of or "no events"),
                "days": window.days,
                "dagster/row_count": window.rows,
                "errors": window.errors,
                "records that came late": window.late,
                "labels": window.labels,
                "latency p50, ms": number(window.latency_p50_ms),
                "latency p99, ms": number(window.latency_p99_ms),
                **_history_metadata(window.history),
            },
            # Most traffic has no landed row yet to compare with, and an old table answers better
            # than none: both are news, and stop no run.
            check_results=[
                *check_news(key, skew.RULES, line.name, verdict),
                *check_news(key, tuple(history_rules), line.name, history),
            ],
        )

    return inference_window


def _history_metadata(use: HistoryUse | None) -> dict[str, int | str]:
    if use is None:
        return {}
    return {
        "history look-ups": use.look_ups,
        "history keys not met": use.misses,
        "history keys not met, share": number(use.miss_share),
        "history age median, days": number(use.age_median_days),
        "history age largest, days": number(use.age_largest_days),
        "rows before their history table": use.rows_before_table,
    }


def drift_report_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/drift_report``."""
    key = dg.AssetKey([line.name, "drift_report"])

    @dg.asset(
        key=key,
        # Not of the performance: labels that cannot be read hide no drift. What they say of a shift
        # is taken as it was recorded last.
        deps=[dg.AssetKey([line.name, "inference_window"])],
        check_specs=check_specs(key, drift.DESCRIPTIONS, blocking=False),
        group_name=line.name,
        kinds={"numpy"},
        description="Whether the newest window's inputs have moved away from the reference of the"
        " version that answered, and whether that hurts.",
    )
    def drift_report() -> dg.MaterializeResult:
        with reported():
            report = report_drift(
                line,
                environment=wiring.environment,
                models=wiring.models,
                evidence=wiring.evidence,
                plotter=wiring.plotter,
                tables=wiring.tables,
            )
        # Drift is news for a person and for the retraining sensor; it stops no run.
        return dg.MaterializeResult(
            metadata={"outcome": "nothing is declared yet"}
            if report is None
            else {
                "outcome": report.verdict.outcome.value,
                "rows": report.window.rows,
                "as of": str(report.window.as_of or "no events"),
                "drifted": ", ".join(drift.drifted_features(report.verdict)) or "none",
                "data quality": ", ".join(report.record.problems) or "no problem",
                **_season(report),
                "features": drift_table(report.record),
                **trends(report.record),
                **{name: picture(png) for name, png in report.plots.items()},
            },
            check_results=check_news(
                key, drift.RULES, line.name, None if report is None else report.verdict
            ),
        )

    return drift_report


def _season(report: DriftReport) -> dict[str, str | int]:
    told: dict[str, str | int] = {}
    if report.season is not None:
        told["same season"] = "a second reference" if report.season else "has not landed"
    if report.realised is not None:
        told["labels that say what it costs"] = report.realised
    return told


def performance_report_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/performance_report``."""
    key = dg.AssetKey([line.name, "performance_report"])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, name]) for name in ("inference_window", "labels")],
        check_specs=check_specs(key, performance_judge.DESCRIPTIONS, blocking=False),
        group_name=line.name,
        kinds={"numpy"},
        description="Scores of the champion's answers whose label is due and was gathered, held"
        " against its release.",
    )
    def performance_report() -> dg.MaterializeResult:
        with reported():
            report = report_performance(
                line,
                environment=wiring.environment,
                inference_log=wiring.inference_log,
                deployments=wiring.deployments,
                tables=wiring.tables,
                answers=wiring.answers,
                evidence=wiring.evidence,
                plotter=wiring.plotter,
                now=wiring.clock.now(),
            )
        # Worse than at release is news for a person and for the retraining; it stops no run.
        return dg.MaterializeResult(
            metadata=performance_metadata(report),
            check_results=check_news(
                key,
                performance_judge.RULES,
                line.name,
                report.verdict,
                plots={"no_worse_than_at_release": report.plots},
            ),
        )

    return performance_report
