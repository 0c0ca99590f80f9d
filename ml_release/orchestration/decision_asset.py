"""The asset that says what monitoring leads to, with the questions it was found by."""

import dagster as dg

from ml_release.domain import decision_record
from ml_release.domain.decision_record import DecisionRecord, judge_decision
from ml_release.domain.monitoring_decision import ACTIONS
from ml_release.orchestration.rendering import check_news, check_specs, reported
from ml_release.orchestration.tables import text_table
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.monitoring_decision import decide_on_monitoring


def decision_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/decision``."""
    key = dg.AssetKey([line.name, "decision"])

    @dg.asset(
        key=key,
        deps=[
            dg.AssetKey([line.name, name])
            for name in ("drift_report", "performance_report", "fairness_report", "slo_report")
        ],
        check_specs=check_specs(key, decision_record.DESCRIPTIONS, blocking=False),
        group_name=line.name,
        kinds={"json"},
        description="Nothing, watch, mend data, retrain, reduce the canary or roll back: what"
        " follows from everything that monitoring has recorded, and by which path.",
    )
    def decision() -> dg.MaterializeResult:
        with reported():
            record = decide_on_monitoring(
                line,
                environment=wiring.environment,
                evidence=wiring.evidence,
                deployments=wiring.deployments,
                clock=wiring.clock,
            )
        # News for sensors and people; it stops no run.
        return dg.MaterializeResult(
            metadata=_metadata(record),
            check_results=check_news(key, decision_record.RULES, line.name, judge_decision(record)),
        )

    return decision


def _metadata(record: DecisionRecord) -> dict[str, dg.MetadataValue]:
    return {
        "action": dg.MetadataValue.text(record.action),
        "reason": dg.MetadataValue.text(record.reason),
        # As a number, so that its history is drawn: 0 is nothing, 5 a rollback.
        "severity": dg.MetadataValue.float(float(ACTIONS.index(record.action))),
        "version": dg.MetadataValue.text(str(record.version or "none")),
        "rolls back to": dg.MetadataValue.text(
            "no version that came through its watch"
            if record.target is None
            else f"version {record.target}"
        ),
        "path": text_table(
            ("question", "answer", "numbers"),
            ((step.question, step.answer, step.numbers) for step in record.path),
        ),
        "records": dg.MetadataValue.json(dict(record.evidence)),
        "decision digest": dg.MetadataValue.text(record.digest),
    }
