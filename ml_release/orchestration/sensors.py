"""The sensor that asks for monitoring when the inference log has grown."""

import dagster as dg

from ml_release.orchestration.jobs import LINE_TAG
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine

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
