"""Every branch of every sensor, evaluated: a request built and not returned does nothing."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from ml_release.domain.label_counts import LabelsRecord
from ml_release.domain.performance import WindowRecord
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.orchestration.sensors import (
    drift_sensor,
    label_volume_sensor,
    new_records_sensor,
)
from ml_release.workflows.labels import LABELS_RECORD
from ml_release.workflows.monitoring import DRIFT_VERDICT, INFERENCE_WINDOW
from ml_release_tests.orchestration.house import definitions_of, run, train, wiring_of

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

SERVED_TO = date(2013, 5, 2)
"""A day on which April is complete and its last label known."""


def evaluate(
    house: House, kind: str, instance: dg.DagsterInstance, *, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    """One tick of a sensor."""
    make = {"drift": drift_sensor, "labels": label_volume_sensor, "records": new_records_sensor}
    sensor = make[kind](house.line, wiring_of(house))
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=definitions_of(house)
    )
    result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def promoted(house: House, instance: dg.DagsterInstance) -> None:
    """A champion trained on January to March."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success


def observed(
    house: House,
    *,
    as_of: date | None = SERVED_TO,
    labels: int = 0,
    drift: Outcome | None = Outcome.FAIL,
    model_digest: str | None = None,
) -> None:
    """Record gathered labels, a window and, unless None, a verdict on its drift."""
    declaration = house.deployments.read(house.line.name, house.environment)
    champion = None if declaration is None else declaration.state.champion.model_digest
    window = WindowRecord(
        line=house.line.name,
        version=1,
        model_digest=champion if model_digest is None else model_digest,
        days=7,
        as_of=as_of,
        rows=5000,
        errors=0,
        labels=0,
        counts={},
        latency_p50_ms=None,
        latency_p99_ms=None,
    )
    digest = house.evidence.record(
        house.line.name, INFERENCE_WINDOW, house.environment, window.model_dump_json().encode()
    )
    gathered = LabelsRecord(
        line=house.line.name, labels=labels, contradicted=0, digest=None, sources={}
    )
    house.evidence.record(
        house.line.name, LABELS_RECORD, house.environment, gathered.model_dump_json().encode()
    )
    if drift is None:
        return
    verdict = Verdict(
        judge="drift/2",
        line=house.line.name,
        subject_digest=digest,
        findings=(Finding(rule="drift_is_harmless", subject="distance", outcome=drift),),
    )
    house.evidence.record(house.line.name, DRIFT_VERDICT, house.environment, verdict.to_json())


def skipped(result: dg.SensorResult | dg.SkipReason) -> str:
    """Why nothing was asked for."""
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or ""


def requested(result: dg.SensorResult | dg.SkipReason) -> dg.RunRequest:
    """The one run that was asked for."""
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or []
    return request


def test_drift_with_newer_data_asks_for_one_retraining(
    house: House, instance: dg.DagsterInstance
) -> None:
    """The request has a run key, the window up to the newest matured month, and its reason."""
    promoted(house, instance)
    observed(house)
    result = evaluate(house, "drift", instance)
    request = requested(result)
    assert request.run_key is not None
    assert request.run_key.startswith("drift:")
    assert request.run_config["ops"]["small_line__candidate"]["config"] == {
        "first": "2013-01",
        "last": "2013-04",
    }
    assert request.tags["dagster/asset_partition_range_start"] == "2013-04"
    assert request.tags["dagster/asset_partition_range_end"] == "2013-04"
    assert request.tags["ml_release/trigger"] == "drift"
    assert request.tags["ml_release/reason"] == "inputs drifted: distance"
    assert isinstance(result, dg.SensorResult)
    assert json.loads(result.cursor or "")["asked_on"] == "2013-05-02"


def test_the_requested_retraining_runs_and_gives_the_next_version(
    house: House, instance: dg.DagsterInstance
) -> None:
    """The run configuration and the tags of the request are those the job takes."""
    promoted(house, instance)
    observed(house)
    request = requested(evaluate(house, "drift", instance))
    result = run(
        house, "train", instance, run_config=dict(request.run_config), tags=dict(request.tags)
    )
    assert result.success
    assert [version.number for version in house.registry.versions("small_line")] == [1, 2]


@pytest.mark.parametrize(
    ("drift", "reason"),
    [
        pytest.param(None, "no drift report yet", id="no report"),
        pytest.param(Outcome.PASS, "the inputs are stable", id="stable"),
        pytest.param(Outcome.INCONCLUSIVE, "the drift report is inconclusive", id="cannot tell"),
    ],
)
def test_without_drift_nothing_is_asked_for(
    house: House, instance: dg.DagsterInstance, drift: Outcome | None, reason: str
) -> None:
    """The tick says why."""
    promoted(house, instance)
    observed(house, drift=drift)
    assert reason in skipped(evaluate(house, "drift", instance))


def test_drift_of_the_version_before_asks_for_nothing(
    house: House, instance: dg.DagsterInstance
) -> None:
    """After a promotion the old report says nothing of the new champion."""
    promoted(house, instance)
    observed(house, model_digest="sha256:" + "1" * 64)
    assert "no drift report yet" in skipped(evaluate(house, "drift", instance))


def test_drift_before_anything_serves_asks_for_nothing(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Without a champion there is nothing to replace."""
    observed(house)
    assert "nothing is serving yet" in skipped(evaluate(house, "drift", instance))


def test_drift_without_a_newer_matured_month_asks_for_nothing(
    house: House, instance: dg.DagsterInstance
) -> None:
    """One day earlier the last labels of April are not known yet."""
    promoted(house, instance)
    observed(house, as_of=SERVED_TO - timedelta(days=1))
    reason = skipped(evaluate(house, "drift", instance))
    assert "learned from 2013-03 already" in reason


def test_drift_before_any_month_has_matured_asks_for_nothing(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Served events of January cannot mature January."""
    promoted(house, instance)
    observed(house, as_of=date(2013, 1, 20))
    assert "no partition is complete" in skipped(evaluate(house, "drift", instance))


def test_drift_within_the_cooldown_asks_for_nothing(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Six days after the last request; on the seventh it asks again."""
    promoted(house, instance)
    observed(house)
    six_days_ago = json.dumps({"asked_on": str(SERVED_TO - timedelta(days=6))})
    assert "cooldown" in skipped(evaluate(house, "drift", instance, cursor=six_days_ago))
    seven_days_ago = json.dumps({"asked_on": str(SERVED_TO - timedelta(days=7))})
    requested(evaluate(house, "drift", instance, cursor=seven_days_ago))


def test_enough_new_labels_ask_for_one_retraining(
    house: House, instance: dg.DagsterInstance
) -> None:
    """What was counted is remembered, so that the same labels are not counted twice."""
    promoted(house, instance)
    observed(house, labels=100, drift=None)
    result = evaluate(house, "labels", instance)
    request = requested(result)
    assert request.run_key is not None
    assert request.run_key.startswith("label_volume:")
    assert request.tags["ml_release/reason"] == "100 new labels, limit 100"
    assert isinstance(result, dg.SensorResult)
    cursor = result.cursor
    observed(house, as_of=SERVED_TO + timedelta(days=30), labels=199, drift=None)
    assert "99 of 100" in skipped(evaluate(house, "labels", instance, cursor=cursor))


@pytest.mark.parametrize("has_window", [False, True])
def test_too_few_labels_ask_for_nothing(
    house: House, instance: dg.DagsterInstance, has_window: bool
) -> None:
    """Neither 99 of 100 nor a log that was never read."""
    promoted(house, instance)
    if has_window:
        observed(house, labels=99, drift=None)
    expected = "99 of 100 new labels" if has_window else "0 of 100 new labels"
    assert expected in skipped(evaluate(house, "labels", instance))


def test_labels_before_anything_serves_ask_for_nothing(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Without a champion there is nothing to replace."""
    observed(house, labels=500, drift=None)
    assert "nothing is serving yet" in skipped(evaluate(house, "labels", instance))


def test_labels_within_the_cooldown_ask_for_nothing_and_stay_counted(
    house: House, instance: dg.DagsterInstance
) -> None:
    """A skipped tick keeps the memory, so that the labels count when the cooldown is over."""
    promoted(house, instance)
    observed(house, labels=500, drift=None)
    cursor = json.dumps({"asked_on": str(SERVED_TO - timedelta(days=1)), "labels": 300})
    assert "cooldown" in skipped(evaluate(house, "labels", instance, cursor=cursor))


def test_new_records_ask_for_monitoring_once(house: House, instance: dg.DagsterInstance) -> None:
    """The cursor holds the size of the log; the same size again is nothing new."""
    folder = house.log_folder / "small_line"
    assert "nothing new" in skipped(evaluate(house, "records", instance))
    folder.mkdir(parents=True)
    (folder / "records-1.jsonl").write_bytes(b"{}\n")
    result = evaluate(house, "records", instance)
    assert requested(result).run_key == "log:3"
    assert isinstance(result, dg.SensorResult)
    assert "nothing new" in skipped(evaluate(house, "records", instance, cursor=result.cursor))


def test_a_log_that_was_cleared_is_news_too(house: House, instance: dg.DagsterInstance) -> None:
    """A window that was counted on records that are gone must not stand."""
    requested(evaluate(house, "records", instance, cursor="300"))


def test_all_sensors_are_on_by_default(house: House) -> None:
    """A system that watches only after somebody has found the switch watches nothing."""
    sensors = definitions_of(house).get_repository_def().sensor_defs
    assert {sensor.name for sensor in sensors} == {
        "small_line_drift",
        "small_line_experiment",
        "small_line_finished_segments",
        "small_line_incident",
        "small_line_kill_switch",
        "small_line_label_volume",
        "small_line_new_records",
        "small_line_rollout",
        "small_line_three_truths",
    }
    assert {sensor.default_status for sensor in sensors} == {dg.DefaultSensorStatus.RUNNING}
