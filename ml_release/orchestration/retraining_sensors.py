"""The triggers of a retraining: each looks at small records, and one governor decides for all.

Memory is recorded evidence, so that no cursor has to be right: a sensor that is reset, or a second
daemon, asks for nothing twice.
"""

from collections.abc import Mapping

import dagster as dg

from ml_release.domain.governor_memory import Asked, Kind
from ml_release.orchestration.jobs import REQUEST_TAG, run_in_flight, training_request
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.retraining import (
    end_request,
    governor_memory,
    look_at_triggers,
    retraining_window,
)

_SECONDS_BETWEEN_TICKS = 30
_SENSORS: Mapping[Kind, str] = {
    "drift": "Retrains when the inputs have drifted where it hurts and newer data can be learned.",
    "performance": "Retrains when the version that answers has lost skill since its release.",
    "label_volume": "Retrains when enough new labels were gathered since it last asked.",
    "staleness": "Retrains when what the champion has learned from is too old.",
    "new_partition": "Retrains when a partition has matured, if the line declares that.",
}


def retraining_sensors(line: ReleaseLine, wiring: Wiring) -> list[dg.SensorDefinition]:
    """One sensor per trigger that is seen in records."""
    return [retraining_sensor(line, wiring, kind) for kind in _SENSORS]


def retraining_sensor(line: ReleaseLine, wiring: Wiring, kind: Kind) -> dg.SensorDefinition:
    """The sensor ``<line>_<kind>``."""

    @dg.sensor(
        name=f"{line.name}_{kind}",
        job_name=f"{line.name}_train",
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=_SENSORS[kind],
    )
    def trigger(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        request, said = _look(line, wiring, kind, context.instance)
        if request is None:
            return dg.SkipReason(said)
        return dg.SensorResult(run_requests=[request])

    return trigger


def retraining_schedules(line: ReleaseLine, wiring: Wiring) -> list[dg.ScheduleDefinition]:
    """The schedule ``<line>_retraining``, if the line declares one."""
    cron = line.policies.retraining.schedule
    if cron is None:
        return []

    @dg.schedule(
        name=f"{line.name}_retraining",
        job_name=f"{line.name}_train",
        cron_schedule=cron,
        execution_timezone=line.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Asks for a retraining by the calendar; the governor decides.",
    )
    def by_the_calendar(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        request, said = _look(line, wiring, "schedule", context.instance)
        return dg.SkipReason(said) if request is None else request

    return [by_the_calendar]


def _look(
    line: ReleaseLine, wiring: Wiring, kind: Kind, instance: dg.DagsterInstance
) -> tuple[dg.RunRequest | None, str]:
    with reported():
        running = _running(line, wiring, instance)
        governed = look_at_triggers(
            line,
            (kind,),
            environment=wiring.environment,
            evidence=wiring.evidence,
            deployments=wiring.deployments,
            landing=wiring.landing,
            now=wiring.clock.now(),
            running=running,
        )
        asked = governed.request
        if asked is None or asked.partition is None:
            return None, governed.said[kind]
        return _request(line, wiring, asked, partition=asked.partition), asked.reason


def _running(line: ReleaseLine, wiring: Wiring, instance: dg.DagsterInstance) -> str:
    """What is training, in words; a request whose run broke is remembered as such first."""
    running = run_in_flight(instance, line, "train")
    if running:
        return f"run {running} is training already"
    memory = governor_memory(line, environment=wiring.environment, evidence=wiring.evidence)
    last = memory.in_flight()
    if last is not None:
        tag = dg.RunsFilter(job_name=f"{line.name}_train", tags={REQUEST_TAG: last.key})
        # A request of which no run is known may be on its way; it is given up after its time.
        if instance.get_runs(tag, limit=1):
            end_request(
                line,
                last.key,
                "broken",
                environment=wiring.environment,
                evidence=wiring.evidence,
            )
    return ""


def _request(line: ReleaseLine, wiring: Wiring, asked: Asked, *, partition: str) -> dg.RunRequest:
    first, fresh_from = retraining_window(line, partition, tables=wiring.tables)
    config, tags = training_request(
        line,
        first=first,
        last=partition,
        fresh_from=fresh_from,
        trigger=asked.kind,
        reason=asked.reason,
        request=asked.key,
    )
    return dg.RunRequest(run_key=asked.key, run_config=config, tags=tags)
