"""The asset that compares the newest landed texts with those of the served version."""

import dagster as dg

from ml_release.domain.text_drift import DESCRIPTIONS, TextShift
from ml_release.orchestration.rendering import check_news, check_specs, reported
from ml_release.orchestration.tables import number, text_table
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.text_drift import TextReport, watch_texts


def text_report_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/text_report``, of a line that declares text columns."""
    key = dg.AssetKey([line.name, "text_report"])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, "inference_window"])],
        check_specs=check_specs(key, DESCRIPTIONS, blocking=False),
        group_name=line.name,
        kinds={"scikitlearn"},
        description="Whether a classifier can tell the newest landed texts from those the served"
        " version was trained beside, and the words by which.",
    )
    def text_report() -> dg.MaterializeResult:
        with reported():
            report = watch_texts(
                line,
                environment=wiring.environment,
                tables=wiring.tables,
                models=wiring.models,
                deployments=wiring.deployments,
                evidence=wiring.evidence,
                classifier=wiring.text_classifier,
            )
        return dg.MaterializeResult(
            metadata={"outcome": "nothing is declared yet"}
            if report is None
            else _metadata(report),
            check_results=check_news(
                key, tuple(DESCRIPTIONS), line.name, None if report is None else report.verdict
            ),
        )

    return text_report


def _metadata(report: TextReport) -> dict[str, dg.MetadataValue | str | int | float]:
    return {
        "outcome": report.verdict.outcome.value,
        "version": report.record.version,
        "partition": report.record.partition or "none since the version's window",
        "words": _words(report.record.shifts),
        # As numbers, so that Dagster draws their history.
        **{f"AUC, {one.column}": one.auc for one in report.record.shifts if one.auc is not None},
    }


def _words(shifts: tuple[TextShift, ...]) -> dg.TableMetadataValue:
    return text_table(
        ("column", "word", "share in the reference", "share now"),
        (
            (shift.column, one.word, number(one.reference_share), number(one.current_share))
            for shift in shifts
            for one in shift.words
        ),
    )
