"""The incident command: the list, one of them, and what is not there."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from ml_release.cli import app, incidents
from ml_release.errors import NotFoundError
from ml_release.settings import read_settings
from ml_release.workflows.incidents import INCIDENT
from ml_release_tests.incidents import history, incident, state
from ml_release_tests.orchestration.house import wiring_of
from ml_release_tests.small_line import House

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A line whose version 2 was taken back; nothing is written of it yet."""
    house = House(tmp_path)
    before = None
    for one in history(state(1), state(2), state(1, withdrawn=(2,))):
        house.clock.move(timedelta(minutes=10))
        before = house.deployments.declare(
            one.state,
            expected_commit=None if before is None else before.commit,
            trailers={"Actor": "Ada", "Reason": "as planned"},
            at=house.clock.now(),
        )
    settings = read_settings({"ML_RELEASE_HOME": str(tmp_path)})
    monkeypatch.setattr(incidents, "opened", lambda _: (house.line, settings, wiring_of(house)))
    return house


def name_of(house: House) -> str:
    commit = house.deployments.history("small_line", "production")[-1].commit
    return f"small_line-2@{commit[:12]}"


def keep(house: House) -> str:
    """Record an incident under the name of the rollback."""
    found = incident(incident_id=name_of(house))
    house.evidence.record("small_line", INCIDENT, found.incident_id, found.to_json())
    return found.incident_id


def told(*command: str) -> str:
    result = CliRunner().invoke(app, ["incident", "small_line", *command])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_rollback_is_listed_before_its_incident_is_written(house: House) -> None:
    """Git knows of it."""
    (one,) = json.loads(told("--json"))["incidents"]
    assert (one["incident"], one["version"], one["status"], one["requests"]) == (
        name_of(house),
        2,
        "not written",
        None,
    )
    assert "not written" in told()


def test_a_written_one_is_listed_with_its_status(house: House) -> None:
    """And whom it met."""
    keep(house)
    (one,) = json.loads(told("--json"))["incidents"]
    assert (one["status"], one["requests"]) == ("open", 1000)


def test_one_of_them_is_shown_whole(house: House) -> None:
    """By its name or its commit; as one object, or in words."""
    name = keep(house)
    document = json.loads(told(name, "--json"))
    assert document["blast_radius"]["total"]["to_yes"] == 30
    assert document["status"] == "open"
    assert document["timeline"][0]["what"] == "declared for the first time"
    text = told(name.partition("@")[2])
    for words in ("38 of 976 rows", "errors_are_rare [requests] fail", "[label]: unassigned"):
        assert words in text


def test_one_that_is_not_written_names_the_job(house: House) -> None:
    """Rather than nothing."""
    result = CliRunner().invoke(app, ["incident", "small_line", name_of(house)])
    assert isinstance(result.exception, NotFoundError)
    assert "small_line_write_incident" in str(result.exception)


def test_a_line_without_rollbacks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is empty, which is no error."""
    house = House(tmp_path)
    settings = read_settings({"ML_RELEASE_HOME": str(tmp_path)})
    monkeypatch.setattr(incidents, "opened", lambda _: (house.line, settings, wiring_of(house)))
    assert json.loads(told("--json")) == {"line": "small_line", "incidents": []}
    assert "nothing was ever taken back" in told()
