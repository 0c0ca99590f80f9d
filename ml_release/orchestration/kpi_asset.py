"""The asset ``<line>/release_kpis``: how well the line releases."""

import dagster as dg

from ml_release.domain import release_kpi_judge as kpis
from ml_release.orchestration.endpoint_assets import endpoint_key, release_group
from ml_release.orchestration.rendering import check_news, check_specs, picture, reported
from ml_release.orchestration.tables import text_table
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.release_kpis import KpiReport, report_kpis


def release_kpis_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/release_kpis``."""
    key = dg.AssetKey([line.name, "release_kpis"])

    @dg.asset(
        key=key,
        deps=[
            endpoint_key(line),
            *(dg.AssetKey([line.name, name]) for name in ("inference_window", "drift_report")),
        ],
        check_specs=check_specs(key, kpis.DESCRIPTIONS, blocking=False),
        group_name=release_group(line),
        kinds={"json"},
        description="Lead time, deployments, changes that fail, time to restore, answers to drift,"
        " what can be rebuilt, and what an answer costs.",
    )
    def release_kpis() -> dg.MaterializeResult:
        with reported():
            report = report_kpis(
                line,
                environment=wiring.environment,
                profiles=wiring.profiles,
                deployments=wiring.deployments,
                evidence=wiring.evidence,
                plotter=wiring.plotter,
                now=wiring.clock.now(),
            )
        # A release is not stopped by how earlier ones went.
        return dg.MaterializeResult(
            metadata=_shown(report),
            check_results=check_news(key, kpis.RULES, line.name, report.verdict),
        )

    return release_kpis


def _shown(report: KpiReport) -> dict[str, float | str | dg.MetadataValue]:
    table = text_table(
        ("KPI", "value", "from", "how"),
        (
            (one.name.replace("_", " "), one.in_words(), str(one.n), one.said)
            for one in report.kpis.kpis
        ),
    )
    return {
        "outcome": report.verdict.outcome.value,
        "since": report.kpis.since.isoformat(),
        "KPIs": table,
        # Numbers alone are plotted; what is not known is left out, and is in the table.
        **{one.name: one.value for one in report.kpis.kpis if one.value is not None},
        **{name: picture(png) for name, png in report.plots.items()},
    }
