"""The replay command: what it refuses, what it sends, what it prints."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from ml_release.adapters import http_endpoint
from ml_release.adapters.moved_clock import MovedClock
from ml_release.cli import app, replaying
from ml_release.errors import InputError
from ml_release.settings import read_settings
from ml_release_tests.orchestration.house import wiring_of
from ml_release_tests.small_line import House
from ml_release_tests.workflows.test_live_replay import Timed
from ml_release_tests.workflows.test_replay import landed

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = "replay small_line --from 2013-01-30 --to 2013-02-02"


class Endpoint(Timed):
    """Stands where a server would; its time is that of the installation."""

    def close(self) -> None:
        pass


@pytest.fixture
def house(tmp_path: Path) -> House:
    """The months have landed."""
    return House(tmp_path)


@pytest.fixture
def endpoint(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    made = Endpoint(time=datetime(2013, 1, 30, 5, tzinfo=UTC))
    settings = read_settings(
        {"ML_RELEASE_HOME": str(tmp_path), "ML_RELEASE_CLOCK": str(tmp_path / "clock.json")}
    )
    monkeypatch.setattr(http_endpoint, "HttpEndpoint", lambda *_, **__: made)
    monkeypatch.setattr(replaying, "opened", lambda _: (house.line, settings, wiring_of(house)))
    move = MovedClock.move

    def followed(clock: MovedClock, moment: datetime, **more: Any) -> None:
        move(clock, moment, **more)
        made.move(moment)

    monkeypatch.setattr(MovedClock, "move", followed)
    return made


def test_a_replay_moves_the_clock_and_says_what_it_sent(endpoint: Endpoint, tmp_path: Path) -> None:
    """One object; afterwards the clock stands where the last label was told."""
    result = CliRunner().invoke(app, [*COMMAND.split(), "--move-clock", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["requests"] == len(landed()) == len(endpoint.asked)
    assert document["labels"] == len(endpoint.told) > 0
    clock = MovedClock(tmp_path / "clock.json", real=lambda: datetime.now(tz=UTC))
    assert clock.now() == endpoint.time == endpoint.moves[-1]


def test_failed_requests_make_a_failed_command(endpoint: Endpoint) -> None:
    """It says how many, and what the first was answered."""
    row = landed().iloc[3]
    endpoint.refused = {f"{row.departure_utc.isoformat()}/{row.trip}": (422, "no carrier")}
    result = CliRunner().invoke(app, [*COMMAND.split(), "--move-clock", "--unit", "carrier"])
    assert result.exit_code == 3
    assert "1 failed, first: 422: no carrier" in result.stdout
    assert None not in endpoint.units.values()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--from 2013-02-01 --to 2013-01-01", "expected --from before --to"),
        ("--from 2013-02-30 --to 2013-03-01", "expected --from as a day like"),
        ("--from 2013-01-01 --to 2013-01-02 --rate 5 --speed 2", "a rate or a speed"),
        ("--from 2013-01-01 --to 2013-01-02 --rate 0", "a rate or a speed"),
    ],
)
def test_bad_options_are_refused(endpoint: Endpoint, options: str, message: str) -> None:
    """Before anything is sent."""
    result = CliRunner().invoke(app, ["replay", "small_line", *options.split()])
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert endpoint.asked == []


def test_without_a_clock_to_move_it_is_told(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting is named; nobody's clock is moved by an option alone."""
    settings = read_settings({"ML_RELEASE_HOME": str(tmp_path)})
    monkeypatch.setattr(replaying, "opened", lambda _: (house.line, settings, wiring_of(house)))
    result = CliRunner().invoke(app, [*COMMAND.split(), "--move-clock"])
    assert isinstance(result.exception, InputError)
    assert "expected ML_RELEASE_CLOCK to name the file" in str(result.exception)
