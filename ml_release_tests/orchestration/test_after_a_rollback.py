"""After a rollback every automation goes on; none of them brings the withdrawn version back."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from ml_release.errors import MlReleaseError
from ml_release_tests.orchestration.house import definitions_of, run
from ml_release_tests.orchestration.test_rollback_in_need import BACK, serving, two
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

__all__ = ["two"]
_TICKS, _PAUSE = 50, 10


def evaluated(
    house: House, instance: dg.DagsterInstance, cursors: dict[str, str | None]
) -> list[tuple[str, dg.RunRequest]]:
    """What every sensor asks for now, by the name of its job."""
    definitions = definitions_of(house)
    asked = []
    for sensor in definitions.get_repository_def().sensor_defs:
        context = dg.build_sensor_context(
            instance=instance, cursor=cursors.get(sensor.name), definitions=definitions
        )
        found = sensor(context)
        if isinstance(found, dg.SensorResult):
            cursors[sensor.name] = found.cursor
            asked += [(sensor.job_name or "", request) for request in found.run_requests or []]
    return asked


def test_fifty_ticks_of_every_sensor_serve_it_no_request(
    two: House,
    instance: dg.DagsterInstance,
) -> None:
    """With traffic, the alias moved by hand each time, and the old state declared again."""
    old = two.deployments.history("small_line", "production")[-1].state
    assert run(two, "rollback", instance, run_config=BACK).success
    rolled_back_at = two.clock.now()
    cursors: dict[str, str | None] = {}
    jobs: set[str] = set()
    for tick in range(_TICKS):
        two.clock.move(timedelta(minutes=1))
        two.registry.point_alias("small_line", "champion", 2)
        if tick % _PAUSE == 0:
            moment = two.clock.now().isoformat()
            write(two, [a_record(two, f"tick-{tick}", moment, received_time=moment)])
            standing = two.deployments.read("small_line", "production")
            assert standing is not None
            with suppress(MlReleaseError):
                two.deployments.declare(
                    old,
                    expected_commit=standing.commit,
                    trailers={"Actor": "eve", "Reason": "as it was"},
                    at=two.clock.now(),
                )
        for job, request in evaluated(two, instance, cursors):
            jobs.add(job)
            run(
                two,
                job.removeprefix("small_line_"),
                instance,
                run_config=dict(request.run_config),
                tags=dict(request.tags),
            )
        assert serving(two) == (1, (2,))
    assert {"small_line_monitor", "small_line_compare_truths"} <= jobs
    records, _ = two.inference_log.records("small_line", after={})
    since = records[records["received_time"] > rolled_back_at]
    assert len(since) == _TICKS // _PAUSE
    assert set(since["version"]) == {1}
    assert run(two, "compare_truths", instance).success
    assert two.registry.named("small_line", "champion") == 1
