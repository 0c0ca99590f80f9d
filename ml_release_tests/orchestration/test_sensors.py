"""The sensor that asks for monitoring, and that no sensor waits for somebody to switch it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ml_release.orchestration.sensors import new_records_sensor
from ml_release_tests.orchestration.house import definitions_of, wiring_of

if TYPE_CHECKING:
    from ml_release_tests.small_line import House


def evaluate(
    house: House, instance: dg.DagsterInstance, *, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    """One tick of the sensor."""
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=definitions_of(house)
    )
    result = new_records_sensor(house.line, wiring_of(house))(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_new_records_ask_for_monitoring_once(house: House, instance: dg.DagsterInstance) -> None:
    """The cursor holds the size of the log; the same size again is nothing new."""
    folder = house.log_folder / "small_line"
    assert isinstance(evaluate(house, instance), dg.SkipReason)
    folder.mkdir(parents=True)
    (folder / "records-1.jsonl").write_bytes(b"{}\n")
    result = evaluate(house, instance)
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or []
    assert request.run_key == "log:3"
    again = evaluate(house, instance, cursor=result.cursor)
    assert isinstance(again, dg.SkipReason)
    assert "nothing new" in (again.skip_message or "")


def test_a_log_that_was_cleared_is_news_too(house: House, instance: dg.DagsterInstance) -> None:
    """A window that was counted on records that are gone must not stand."""
    assert isinstance(evaluate(house, instance, cursor="300"), dg.SensorResult)


def test_all_sensors_are_on_by_default(house: House) -> None:
    """A system that watches only after somebody has found the switch watches nothing."""
    sensors = definitions_of(house).get_repository_def().sensor_defs
    assert {sensor.name for sensor in sensors} == {
        "small_line_auto_rollback",
        "small_line_drift",
        "small_line_experiment",
        "small_line_finished_segments",
        "small_line_incident",
        "small_line_kill_switch",
        "small_line_label_volume",
        "small_line_new_partition",
        "small_line_new_records",
        "small_line_performance",
        "small_line_reduce_canary",
        "small_line_rollout",
        "small_line_staleness",
        "small_line_three_truths",
    }
    assert {sensor.default_status for sensor in sensors} == {dg.DefaultSensorStatus.RUNNING}
