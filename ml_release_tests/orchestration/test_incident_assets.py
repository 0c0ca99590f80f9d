"""Incidents in Dagster: written after the commit, never in its way, and again later."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.domain.taken_back import taken_back
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.errors import UnavailableError
from ml_release.orchestration import incident_assets
from ml_release.orchestration.incident_assets import incident_sensor
from ml_release.workflows.incidents import recorded_incident
from ml_release.workflows.rollback_verification import ROLLBACK_VERIFICATION
from ml_release_tests.orchestration.house import definitions_of, materialized, run, wiring_of
from ml_release_tests.orchestration.test_waivers import metadata_of
from ml_release_tests.small_line import House
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_promotion import candidate_version

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.incident import Incident

BACK = {"ops": {"small_line_roll_back": {"config": {"by": "ada", "reason": "too slow"}}}}


@pytest.fixture(scope="module")
def the_second(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("second"))
    steps.prepare(house, "2013-01", "2013-02", "2013-03")
    steps.release(house)
    assert candidate_version(house) == 2
    steps.declare(house)
    house.clock.move(timedelta(minutes=30))
    return house


@pytest.fixture
def second(the_second: House, tmp_path: Path) -> House:
    """Version 2 answers."""
    return the_second.copied(tmp_path / "inference")


def written(house: House) -> Incident | None:
    (known,) = taken_back(house.deployments.history("small_line", "production"))
    return recorded_incident(house.line, known.incident_id, evidence=house.evidence)


def test_a_rollback_writes_its_incident(second: House, instance: dg.DagsterInstance) -> None:
    """With the summary and the page in its metadata."""
    result = run(second, "rollback", instance, run_config=BACK)
    assert result.success
    assert materialized(result) == {"production_endpoint", "incident"}
    metadata = metadata_of(result, "incident")
    found = written(second)
    assert found is not None
    assert metadata["incident"].value == found.incident_id
    assert metadata["page"].value in second.reports.files
    summary = {row.data["what"]: row.data["value"] for row in metadata["summary"].value.records}
    assert summary["taken back"] == "by hand, ada: too slow"
    assert summary["bad version"] == "2 (champion)"


def test_asked_again_the_incident_is_the_same(second: House, instance: dg.DagsterInstance) -> None:
    """A retried run."""
    assert run(second, "rollback", instance, run_config=BACK).success
    first = written(second)
    assert run(second, "rollback", instance, run_config=BACK).success
    assert written(second) == first


def test_a_rejection_that_rolls_back_writes_it_too(
    second: House, instance: dg.DagsterInstance
) -> None:
    """By the person who rejected."""
    form = {"version": 2, "by": "eve", "reason": "nonsense"}
    config = {"ops": {"small_line_reject_version": {"config": form}}}
    result = run(second, "reject", instance, run_config=config)
    assert result.success
    assert "incident" in materialized(result)
    found = written(second)
    assert found is not None
    assert found.trigger.by == "eve"


@pytest.mark.parametrize("error", [UnavailableError("the disk is gone"), KeyError("a bug")])
def test_a_rollback_stands_whatever_becomes_of_its_incident(
    second: House,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """It is a warning that names the job, and the job writes it later."""

    def broken(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(incident_assets, "write_incident", broken)
        result = run(second, "rollback", instance, run_config=BACK)
    assert result.success
    assert materialized(result) == {"production_endpoint"}
    (warning,) = [
        event.user_message
        for event in instance.all_logs(result.run_id)
        if event.level == 30 and "incident" in event.user_message
    ]
    assert "The job small_line_write_incident writes it" in warning
    assert written(second) is None
    assert run(second, "write_incident", instance).success
    assert written(second) is not None


def write_config(**form: Any) -> dict[str, Any]:
    return {"ops": {"small_line_write_incident_of": {"config": form}}}


def test_people_fill_it_by_the_form_of_the_job(second: House, instance: dg.DagsterInstance) -> None:
    """Words of nobody are refused."""
    assert run(second, "rollback", instance, run_config=BACK).success
    answers = {"root_cause": "a leak"}
    nobody = run(second, "write_incident", instance, run_config=write_config(answers=answers))
    assert not nobody.success
    config = write_config(by="bob", answers=answers, owners={"withdrawn": "eve"}, closes=True)
    assert run(second, "write_incident", instance, run_config=config).success
    found = written(second)
    assert found is not None
    assert (found.said["root_cause"].text, found.status) == ("a leak", "closed")


def test_without_a_rollback_the_job_says_so(house: House, instance: dg.DagsterInstance) -> None:
    """And fails: it was asked for by hand."""
    assert not run(house, "write_incident", instance).success


def tick(
    house: House, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=definitions_of(house)
    )
    result = incident_sensor(house.line, wiring_of(house))(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_it_is_written_again_as_more_is_known(second: House, instance: dg.DagsterInstance) -> None:
    """Each look is asked for once, under a key of its own."""
    assert isinstance(tick(second, instance), dg.SkipReason)
    assert run(second, "rollback", instance, run_config=BACK).success
    assert isinstance(tick(second, instance), dg.SkipReason)
    keys, cursor = [], None
    for minutes in (15, 60):
        second.clock.move(timedelta(minutes=minutes))
        result = tick(second, instance, cursor)
        assert isinstance(result, dg.SensorResult)
        (request,) = result.run_requests or []
        keys.append(request.run_key)
        config = dict(request.run_config)
        assert run(second, "write_incident", instance, run_config=config).success
        cursor = result.cursor
        assert isinstance(tick(second, instance, cursor), dg.SkipReason)
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [(None, None), (Outcome.INCONCLUSIVE, None), (Outcome.PASS, "pass"), (Outcome.FAIL, "fail")],
)
def test_what_was_verified_since_is_in_it(
    second: House, instance: dg.DagsterInstance, outcome: Outcome | None, shown: str | None
) -> None:
    """Not known yet while nothing was decided."""
    assert run(second, "rollback", instance, run_config=BACK).success
    commit = second.deployments.history("small_line", "production")[-1].commit
    if outcome is not None:
        seen = Finding(rule="the restored version answers", subject="version 1", outcome=outcome)
        verdict = Verdict(judge="j/1", line="small_line", subject_digest="s", findings=(seen,))
        second.evidence.record("small_line", ROLLBACK_VERIFICATION, commit, verdict.to_json())
    again: dict[str, Any] = {"ops": {"small_line_write_incident_of": {"config": {}}}}
    assert run(second, "write_incident", instance, run_config=again).success
    found = written(second)
    assert found is not None
    assert (None if found.verification is None else found.verification.outcome.value) == shown
