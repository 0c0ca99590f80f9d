"""Sensors: gather what was recorded, ask the decision, return the request. They never notify.

All three read small recorded documents, never the log itself, so that a tick costs milliseconds.
"""

import json
from datetime import date
from typing import Any

import dagster as dg

from ml_release.domain.retraining import (
    RetrainingDecision,
    RetrainingEvidence,
    decide_on_drift,
    decide_on_labels,
)
from ml_release.orchestration.jobs import (
    LINE_TAG,
    REASON_TAG,
    TRIGGER_TAG,
    training_request,
)
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.labels import newest_labels
from ml_release.workflows.monitoring import newest_drift_verdict, newest_window
from ml_release.workflows.retraining import retraining_evidence, retraining_window

_SECONDS_BETWEEN_TICKS = 30


def new_records_sensor(line: ReleaseLine, wiring: Wiring) -> dg.SensorDefinition:
    """Asks for monitoring when something was added to the inference log."""

    @dg.sensor(
        name=f"{line.name}_new_records",
        job_name=f"{line.name}_monitor",
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Monitors when records or labels have been added to the inference log.",
    )
    def new_records(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        size = wiring.inference_log.size(line.name)
        seen = int(context.cursor or 0)
        if size == seen:
            return dg.SkipReason(f"nothing new since {seen} bytes")
        # Smaller than before is a log that was cleared: that is news too.
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=f"log:{size}", tags={LINE_TAG: line.name})],
            cursor=str(size),
        )

    return new_records


def drift_sensor(line: ReleaseLine, wiring: Wiring) -> dg.SensorDefinition:
    """Asks for a retraining when the newest window's inputs have drifted."""

    @dg.sensor(
        name=f"{line.name}_drift",
        job_name=f"{line.name}_train",
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Retrains when the inputs have drifted and newer data can be learned from.",
    )
    def drift(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        memory = _memory(context)
        evidence = _evidence(line, wiring, memory)
        window = newest_window(line, environment=wiring.environment, evidence=wiring.evidence)
        # A window of the version before says nothing of the present one's reference.
        is_current = window is not None and window.model_digest == evidence.champion
        verdict = (
            newest_drift_verdict(line, environment=wiring.environment, evidence=wiring.evidence)
            if is_current
            else None
        )
        decision = decide_on_drift(verdict, evidence, line.policies.retraining)
        return _answer(line, wiring, decision, evidence, memory)

    return drift


def label_volume_sensor(line: ReleaseLine, wiring: Wiring) -> dg.SensorDefinition:
    """Asks for a retraining when enough new labels of served requests were gathered."""

    @dg.sensor(
        name=f"{line.name}_label_volume",
        job_name=f"{line.name}_train",
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Retrains when enough new labels were gathered since it last asked.",
    )
    def label_volume(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        record = newest_labels(line, environment=wiring.environment, evidence=wiring.evidence)
        labels = 0 if record is None else record.labels
        memory = _memory(context)
        evidence = _evidence(line, wiring, memory)
        decision = decide_on_labels(
            labels - int(memory.get("labels", 0)), evidence, line.policies.retraining
        )
        return _answer(line, wiring, decision, evidence, {**memory, "labels": labels})

    return label_volume


def _memory(context: dg.SensorEvaluationContext) -> dict[str, Any]:
    """What the sensor keeps in its cursor: the day it last asked, and labels it had seen then."""
    memory: dict[str, Any] = json.loads(context.cursor) if context.cursor else {}
    return memory


def _evidence(line: ReleaseLine, wiring: Wiring, memory: dict[str, Any]) -> RetrainingEvidence:
    last_request = memory.get("asked_on")
    return retraining_evidence(
        line,
        environment=wiring.environment,
        evidence=wiring.evidence,
        deployments=wiring.deployments,
        landing=wiring.landing,
        last_request=None if last_request is None else date.fromisoformat(last_request),
    )


def _answer(
    line: ReleaseLine,
    wiring: Wiring,
    decision: RetrainingDecision,
    evidence: RetrainingEvidence,
    memory: dict[str, Any],
) -> dg.SensorResult | dg.SkipReason:
    if not decision.retrain or evidence.newest_partition is None or evidence.as_of is None:
        # The memory stays as it is: what was counted is counted again.
        return dg.SkipReason(decision.reason)
    first, fresh_from = retraining_window(line, evidence.newest_partition, tables=wiring.tables)
    config, tags = training_request(
        line, first=first, last=evidence.newest_partition, fresh_from=fresh_from
    )
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=decision.run_key,
                run_config=config,
                tags={**tags, REASON_TAG: decision.reason, TRIGGER_TAG: decision.trigger},
            )
        ],
        cursor=json.dumps({**memory, "asked_on": evidence.as_of.isoformat()}),
    )
