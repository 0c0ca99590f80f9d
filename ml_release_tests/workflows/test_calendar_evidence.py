"""Times are counted block by block as they would be all at once."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from ml_release.workflows.calendar_evidence import count_times
from ml_release.workflows.columns import BLOCK
from ml_release_tests.small_line import SMALL_LINE
from ml_release_tests.workflows import steps

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
ROWS = BLOCK + 4


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """A row on each of the thirty days of April in turn, more than a block of them."""
    day = np.datetime64("2013-04-01T12:00", "us") + np.arange(ROWS) % 30 * np.timedelta64(1, "D")
    local = pd.Series(day)
    moment = local.dt.tz_localize("America/New_York").dt.tz_convert("UTC")
    return pd.DataFrame({"departure_utc": moment, "departure": local, "trip": np.arange(ROWS)})


def test_every_row_counts_once(rows: pd.DataFrame) -> None:
    """On its day, whichever block it is in."""
    found = count_times(SMALL_LINE, rows, partition="2013-04", now=NOW)
    assert found is not None
    assert sum(found.rows_per_day.values()) == ROWS
    assert set(found.rows_per_day.values()) == {ROWS // 30, ROWS // 30 + 1}
    assert (found.outside_rows, found.shifted_rows, found.shift_minutes) == (0, 0, 0.0)
    assert found.expired_rows is None


@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, ROWS - 1])
def test_a_time_of_another_month_is_found_in_any_block(rows: pd.DataFrame, place: int) -> None:
    """With its row, and with how far the two times are apart."""
    local = rows["departure"].copy()
    local[place] = rows["departure"][place] + pd.Timedelta(days=40)
    changed = rows.assign(departure=local)
    found = count_times(SMALL_LINE, changed, partition="2013-04", now=NOW)
    assert found is not None
    assert (found.outside_rows, found.shifted_rows) == (1, 1)
    assert found.shift_minutes == 40 * 24 * 60
    assert found.outside_example.endswith(f"trip {place}")
    assert found.shifted_example == found.outside_example
    assert sum(found.rows_per_day.values()) == ROWS - 1


def test_the_largest_shift_and_every_old_row_are_found_across_blocks(rows: pd.DataFrame) -> None:
    """A row without a time is not shifted, and not young enough either."""
    local, moment = rows["departure"].copy(), rows["departure_utc"].copy()
    local[1] += pd.Timedelta(minutes=5)
    local[BLOCK + 1] -= pd.Timedelta(minutes=90)
    moment[BLOCK + 2] = pd.NaT
    gates = SMALL_LINE.policies.data_gates
    calendar = gates.calendar.model_copy(update={"retention_days": 10_000})
    line = steps.with_policy(SMALL_LINE, "data_gates", calendar=calendar)
    changed = rows.assign(departure=local, departure_utc=moment)
    found = count_times(line, changed, partition="2013-04", now=NOW)
    assert found is not None
    assert (found.shifted_rows, found.shift_minutes) == (2, 90.0)
    assert found.expired_rows == 1
    assert found.expired_example.endswith(f"trip {BLOCK + 2}")
