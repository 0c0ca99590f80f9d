"""The asset that holds served answers against the fairness their version was approved with."""

import dagster as dg

from ml_release.domain.fairness_record import FairnessWindow, WatchedGap, WatchedSlice
from ml_release.domain.fairness_watch import DESCRIPTIONS
from ml_release.orchestration.rendering import check_news, check_specs, picture, reported
from ml_release.orchestration.tables import number, text_table
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.fairness_watch import FairnessReport, watch_fairness
from ml_release.workflows.fairness_windows import fairness_rules


def fairness_report_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/fairness_report``; without checks for a line with nothing to watch."""
    key = dg.AssetKey([line.name, "fairness_report"])
    rules = fairness_rules(line)

    @dg.asset(
        key=key,
        # That one brings the answers and their labels up to date.
        deps=[dg.AssetKey([line.name, "performance_report"])],
        check_specs=check_specs(key, {rule: DESCRIPTIONS[rule] for rule in rules}, blocking=False),
        group_name=line.name,
        kinds={"numpy"},
        description="Gaps between groups and scores of slices on matured answers, against those"
        " that the served version was approved with.",
    )
    def fairness_report() -> dg.MaterializeResult:
        with reported():
            report = watch_fairness(
                line,
                environment=wiring.environment,
                answers=wiring.answers,
                deployments=wiring.deployments,
                evidence=wiring.evidence,
                plotter=wiring.plotter,
                now=wiring.clock.now(),
            )
        # A wider gap is news for people and for the decision about the version; it stops no run.
        return dg.MaterializeResult(
            metadata={"outcome": "nothing is declared to watch"}
            if report is None
            else _metadata(report),
            check_results=check_news(
                key, rules, line.name, None if report is None else report.verdict
            ),
        )

    return fairness_report


def _metadata(report: FairnessReport) -> dict[str, dg.MetadataValue | str | int | float]:
    shown: dict[str, dg.MetadataValue | str | int | float] = {
        "outcome": report.verdict.outcome.value,
        "version": report.record.version,
        "windows": len(report.record.windows),
        **{name: picture(png) for name, png in report.plots.items()},
    }
    if report.history_problem:
        shown["history began anew"] = report.history_problem
    if not report.record.windows:
        return shown
    newest = report.record.windows[0]
    return {
        **shown,
        "window": f"{newest.first_day} to {newest.last_day}",
        "matured answers": newest.matured,
        "labelled answers": newest.labelled,
        "gaps and slices": _table(newest),
        # As numbers, so that Dagster draws their history.
        **{f"gap, {gap.name}": gap.value for gap in newest.gaps if gap.value is not None},
        **{f"score, {one.name}": one.value for one in newest.slices if one.value is not None},
    }


def _table(window: FairnessWindow) -> dg.TableMetadataValue:
    every: tuple[WatchedGap | WatchedSlice, ...] = (*window.gaps, *window.slices)
    return text_table(
        ("subject", "measure", "value", "low", "high", "approved", "limit", "adjusted p", "rows"),
        (
            (
                one.name,
                one.measure if isinstance(one, WatchedGap) else one.score,
                number(one.value),
                number(one.low),
                number(one.high),
                number(one.baseline),
                number(one.limit),
                number(one.p_adjusted),
                str(one.n),
            )
            for one in every
        ),
    )
