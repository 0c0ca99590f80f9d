"""The log in Dagster: when it is asked to be kept, and what the run shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ml_release.domain.retention import RetentionPolicy
from ml_release.orchestration.log_assets import finished_segments_sensor
from ml_release_tests.orchestration.house import run, wiring_of
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    from ml_release_tests.small_line import House


def tick(house: House, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    """One tick, as a result that asks for nothing where it is skipped."""
    sensor = finished_segments_sensor(house.line, wiring_of(house))
    result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
    return result if isinstance(result, dg.SensorResult) else dg.SensorResult(cursor=cursor)


def test_a_finished_segment_is_archived(house: House, instance: dg.DagsterInstance) -> None:
    """The sensor asks, the run says how much, and then there is nothing to ask for."""
    assert not tick(house, instance).run_requests
    write(house, [a_record(house, "a", "2013-04-02T12:00:00+00:00")])
    assert tick(house, instance).run_requests
    result = run(house, "keep_log", instance)
    assert result.success
    (event,) = result.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    assert (metadata["segments archived"], metadata["rows archived"]) == (1, 1)
    assert (metadata["kept from"], metadata["records deleted"]) == ("everything is kept", 0)
    assert not tick(house, instance).run_requests
    assert len(house.inference_log.records(steps.LINE, after={})[0]) == 1


def test_a_line_that_forgets_is_asked_once_a_day(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Also without a finished segment: what is archived grows old."""
    policies = house.line.policies.model_copy(
        update={"retention": RetentionPolicy(records_days=90)}
    )
    house.line = house.line.model_copy(update={"policies": policies})
    first = tick(house, instance)
    assert first.run_requests
    assert not tick(house, instance, first.cursor).run_requests
    assert tick(house, instance, "2013-01-01").run_requests
