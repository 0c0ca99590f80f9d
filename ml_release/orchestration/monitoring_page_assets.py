"""The pages of monitoring as assets: that of the line, and that which compares rows with rows."""

import dagster as dg

from ml_release.orchestration.rendering import reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.drift_pages import compare_rows
from ml_release.workflows.monitoring_pages import write_monitoring

SHOWN = (
    "inference_window",
    "drift_report",
    "performance_report",
    "fairness_report",
    "slo_report",
    "decision",
    "release_kpis",
    "evidently_report",
)
"""The assets whose records the page shows: it is made after them."""


def evidently_report_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/evidently_report``."""

    @dg.asset(
        key=[line.name, "evidently_report"],
        deps=[dg.AssetKey([line.name, "inference_window"])],
        group_name=line.name,
        kinds={"html"},
        description="Rows of the newest window beside rows of the training data, by Evidently. Made"
        " once per day of the window; a second opinion that decides nothing.",
    )
    def evidently_report() -> dg.MaterializeResult:
        with reported():
            compared = compare_rows(
                line,
                environment=wiring.environment,
                models=wiring.models,
                evidence=wiring.evidence,
                inference_log=wiring.inference_log,
                tables=wiring.tables,
                pages=wiring.drift_pages,
                reports=wiring.reports,
                now=wiring.clock.now(),
            )
        if compared is None:
            return dg.MaterializeResult(metadata={"page": "the window holds no answer yet"})
        record = compared.record
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.path(record.place) if record.place else record.problem,
                "made now": compared.is_new,
                "as of": record.as_of,
                "rows of the window": record.current_rows,
                "rows of the training data": record.reference_rows,
            }
        )

    return evidently_report


def monitoring_report_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/monitoring_report``."""

    @dg.asset(
        key=[line.name, "monitoring_report"],
        deps=[dg.AssetKey([line.name, name]) for name in SHOWN],
        group_name=line.name,
        kinds={"html"},
        description="One page per line: what is it now, what it rests on, what is not known; and"
        " the same numbers as gauges for Prometheus.",
    )
    def monitoring_report() -> dg.MaterializeResult:
        with reported():
            written = write_monitoring(
                line,
                environment=wiring.environment,
                evidence=wiring.evidence,
                reports=wiring.reports,
                gauges=wiring.gauges,
                now=wiring.clock.now(),
            )
        page = written.page
        return dg.MaterializeResult(
            metadata={
                "now": page.headline[0],
                "page": dg.MetadataValue.path(written.place),
                "page digest": written.digest,
                "objections": len(page.objections),
                "problems": "\n".join(page.problems) or "none",
                # As numbers under stable names: Dagster draws their history.
                **{
                    name: samples[0].value
                    for name, samples in written.gauges.samples.items()
                    if not samples[0].labels
                },
            }
        )

    return monitoring_report
