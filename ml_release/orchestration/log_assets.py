"""The asset that keeps the inference log: archives and deletes, in a run and not in a server.

A server that answers in microseconds cannot stop to write Parquet, and a person wants to see what
was deleted, when and under which policy. So a sensor asks once a day, or as soon as segments are
finished, and the run shows both.
"""

import dagster as dg

from ml_release.orchestration.endpoint_assets import endpoint_key
from ml_release.orchestration.jobs import LINE_TAG
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.tables import number
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.log_keeping import keep_log

_SECONDS_BETWEEN_TICKS = 300


def inference_archive_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/inference_archive``."""

    @dg.asset(
        key=[line.name, "inference_archive"],
        deps=[endpoint_key(line)],
        group_name=line.name,
        kinds={"parquet"},
        description="The finished part of the inference log as Parquet, without what the line does"
        " not keep any longer.",
    )
    def inference_archive() -> dg.MaterializeResult:
        with reported():
            kept = keep_log(line, archive=wiring.inference_archive, now=wiring.clock.now())
        archived, deleted = kept.archived, kept.deleted
        smaller = archived.bytes_before / archived.bytes_after if archived.bytes_after else None
        return dg.MaterializeResult(
            metadata={
                "segments archived": archived.segments,
                "rows archived": archived.rows,
                "torn lines": archived.torn_lines,
                "times smaller": number(smaller),
                "segments left open": archived.left_open,
                "kept from": "everything is kept"
                if kept.kept_from is None
                else kept.kept_from.isoformat(),
                "records deleted": deleted.records,
                "labels deleted": deleted.labels,
                "files deleted": deleted.files,
                "files rewritten": deleted.rewritten,
                "bytes freed": deleted.bytes_freed,
            }
        )

    return inference_archive


def finished_segments_sensor(line: ReleaseLine, wiring: Wiring) -> dg.SensorDefinition:
    """Asks for archiving when servers have finished segments, and for deletion once a day."""

    @dg.sensor(
        name=f"{line.name}_finished_segments",
        job_name=f"{line.name}_keep_log",
        minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Archives finished segments of the inference log; deletes once a day.",
    )
    def finished_segments(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        finished = wiring.inference_archive.finished(line.name)
        now = wiring.clock.now()
        today = now.date().isoformat()
        is_due = line.policies.retention is not None and context.cursor != today
        if not finished and not is_due:
            return dg.SkipReason("no segment is finished, and nothing is to be deleted today")
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=f"keep:{now.isoformat()}", tags={LINE_TAG: line.name})
            ],
            cursor=today,
        )

    return finished_segments
