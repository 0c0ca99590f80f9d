"""The asset ``<line>/slo_report``: what the line promises, what is left of its error budgets."""

import dagster as dg

from ml_release.domain import slo
from ml_release.domain.slo_record import SloRecord
from ml_release.orchestration.rendering import check_results, check_specs, picture, reported
from ml_release.orchestration.tables import number, text_table
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.slo import SloReport, report_slo

_SOURCES = ("inference_window", "performance_report", "fairness_report")
_NOW = tuple(rule for rule in slo.RULES if rule != slo.BUDGET)


def slo_report_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/slo_report``."""
    key = dg.AssetKey([line.name, "slo_report"])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, name]) for name in _SOURCES],
        check_specs=check_specs(key, slo.DESCRIPTIONS, blocking=False),
        group_name=line.name,
        kinds={"json"},
        description="What the line promises, how fast its error budgets burn, and what is left of"
        " them; where one is spent, promotions are frozen.",
    )
    def slo_report() -> dg.MaterializeResult:
        with reported():
            report = report_slo(
                line,
                environment=wiring.environment,
                profiles=wiring.profiles,
                deployments=wiring.deployments,
                evidence=wiring.evidence,
                plotter=wiring.plotter,
                now=wiring.clock.now(),
            )
        verdicts = {line.name: report.verdict}
        is_spent = bool(slo.exhausted(report.verdict))
        warn = dg.AssetCheckSeverity.WARN
        return dg.MaterializeResult(
            metadata=_shown(report),
            check_results=[
                *check_results(key, _NOW, verdicts, severity=warn),
                *check_results(
                    key,
                    (slo.BUDGET,),
                    verdicts,
                    severity=dg.AssetCheckSeverity.ERROR if is_spent else warn,
                ),
            ],
        )

    return slo_report


def _shown(report: SloReport) -> dict[str, float | str | dg.MetadataValue]:
    record = report.record
    spent = [f.subject for f in slo.exhausted(report.verdict)]
    return {
        "outcome": report.verdict.outcome.value,
        "as of": "no events" if record.as_of is None else record.as_of.isoformat(),
        "promotions": f"FROZEN: {', '.join(spent)}" if spent else "not frozen by a budget",
        "promises": _table(record),
        "verdict digest": report.verdict.digest,
        **_numbers(record),
        **{name: picture(png) for name, png in report.plots.items()},
    }


def _numbers(record: SloRecord) -> dict[str, float]:
    """What Dagster plots over time; what is not known is left out."""
    found: dict[str, float | None] = {"model age, days": record.model_age_days}
    for one in record.standings:
        found[f"budget left, {one.name}"] = one.left
        for burn in one.burns:
            found[f"burn rate, {one.name}, {burn.long_hours} h"] = burn.long_rate
    return {name: value for name, value in found.items() if value is not None}


def _table(record: SloRecord) -> dg.TableMetadataValue:
    return text_table(
        ("promise", "objective", "events", "bad", "budget left", "burns too fast"),
        (
            (
                one.name,
                f"{100 * one.objective:g} % of {one.unit}",
                str(one.events),
                str(one.bad),
                number(one.left),
                one.level or "no",
            )
            for one in record.standings
        ),
    )
