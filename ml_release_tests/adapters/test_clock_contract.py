"""What every adapter of `Clock` has to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.in_memory import InMemoryClock
from ml_release.adapters.moved_clock import MovedClock
from ml_release.adapters.system_clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.ports import Clock

NEW_YORK = timezone(timedelta(hours=-5))


@pytest.fixture(params=["in_memory", "system", "moved", "not_moved"])
def clock(request: pytest.FixtureRequest, tmp_path: Path) -> Clock:
    moved = MovedClock(tmp_path / "clock.json", real=SystemClock().now)
    if request.param == "moved":
        moved.move(datetime(2013, 1, 1, tzinfo=NEW_YORK), rate=3600)
    if request.param in {"moved", "not_moved"}:
        return moved
    if request.param == "in_memory":
        return InMemoryClock(datetime(2013, 1, 1, tzinfo=NEW_YORK))
    return SystemClock()


def test_the_present_has_a_time_zone_and_does_not_run_backwards(clock: Clock) -> None:
    """UTC, so that two machines agree."""
    first, second = clock.now(), clock.now()
    assert first.utcoffset() == timedelta(0)
    assert first <= second


def test_the_system_clock_tells_the_present() -> None:
    """Within the time the call takes."""
    before = datetime.now(UTC)
    assert before <= SystemClock().now() <= datetime.now(UTC)


def test_the_clock_of_a_test_stands_still_until_it_is_moved() -> None:
    """Nobody waits in a test."""
    clock = InMemoryClock(datetime(2013, 1, 1, tzinfo=NEW_YORK))
    assert clock.now() == clock.now() == datetime(2013, 1, 1, 5, tzinfo=UTC)
    clock.move(timedelta(days=1))
    assert clock.now() == datetime(2013, 1, 2, 5, tzinfo=UTC)
