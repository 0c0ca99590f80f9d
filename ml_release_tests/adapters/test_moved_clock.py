"""A file moves the clock: for every process, at once, forward only, and never to no time at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.moved_clock import MovedClock
from ml_release.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

APRIL = datetime(2013, 4, 2, 4, tzinfo=UTC)
REAL = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Machine:
    """The machine's time, moved by a test."""

    def __init__(self) -> None:
        self.time = REAL

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(tmp_path: Path, machine: Machine) -> MovedClock:
    return MovedClock(tmp_path / "state" / "clock.json", real=machine.now)


def test_without_a_file_it_is_the_machines_time(clock: MovedClock) -> None:
    """Nothing is moved yet."""
    assert clock.now() == REAL


def test_a_moved_clock_stands_still_until_it_is_moved_again(
    clock: MovedClock, machine: Machine
) -> None:
    """However long the machine goes on."""
    clock.move(APRIL)
    machine.time += HOUR
    assert clock.now() == APRIL
    clock.move(APRIL + HOUR)
    assert clock.now() == APRIL + HOUR


def test_it_goes_on_at_its_rate(clock: MovedClock, machine: Machine) -> None:
    """A day per second of the machine's time; not back when the machine is set back."""
    clock.move(APRIL, rate=86_400)
    machine.time += timedelta(seconds=3)
    assert clock.now() == APRIL + timedelta(days=3)
    machine.time -= timedelta(days=9)
    assert clock.now() == APRIL


def test_another_process_reads_what_was_moved(
    clock: MovedClock, tmp_path: Path, machine: Machine
) -> None:
    """Each move, although it had read the file before."""
    other = MovedClock(tmp_path / "state" / "clock.json", real=machine.now)
    for hours in range(50):
        clock.move(APRIL + hours * HOUR)
        assert other.now() == APRIL + hours * HOUR
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["clock.json"]


def test_time_does_not_go_back(clock: MovedClock) -> None:
    """What was recorded since would not have happened yet; the clock stays as it is."""
    clock.move(APRIL)
    with pytest.raises(InputError, match=r"from 2013-04-02.* on, found 2013-04-02T03"):
        clock.move(APRIL - HOUR)
    assert clock.now() == APRIL


@pytest.mark.parametrize(
    ("moment", "rate"),
    [
        (APRIL.replace(tzinfo=None), 0.0),
        (APRIL, -1.0),
        (APRIL, float("nan")),
        (APRIL, float("inf")),
        (APRIL, 1e9),
    ],
)
def test_no_time_is_no_move(
    clock: MovedClock, tmp_path: Path, moment: datetime, rate: float
) -> None:
    """Nothing is written."""
    with pytest.raises(InputError, match="expected a moment with a time zone and a rate"):
        clock.move(moment, rate=rate)
    assert not (tmp_path / "state").exists()


GOOD = {"moment": "2013-04-02T04:00:00+00:00", "at": "2026-11-21T12:00:00+00:00", "rate": 0}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "7",
        json.dumps({**GOOD, "moment": "yesterday"}),
        json.dumps({**GOOD, "moment": "2013-04-02T04:00:00"}),
        json.dumps({**GOOD, "at": "2026-11-21T12:00:00"}),
        json.dumps({**GOOD, "rate": -1}),
        json.dumps({**GOOD, "rate": None}),
        json.dumps({name: GOOD[name] for name in ("moment", "at")}),
    ],
)
def test_a_file_that_says_no_time_is_told(tmp_path: Path, machine: Machine, content: str) -> None:
    """Nobody takes the machine's time, or that of before, in its place."""
    path = tmp_path / "clock.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    clock = MovedClock(path, real=machine.now)
    assert clock.now() == APRIL
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="Move it again, or take ML_RELEASE_CLOCK away"):
        clock.now()
