"""Count the times of one partition's rows: days, agreement of the two times, age."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from ml_release.domain.gates_calendar import CalendarEvidence
from ml_release.workflows.columns import BLOCK
from ml_release.workflows.row_examples import row_example

if TYPE_CHECKING:
    from datetime import date, datetime

    import numpy.typing as npt

    from ml_release.spec.release_line import ReleaseLine

    Day = np.datetime64[date]


def count_times(
    line: ReleaseLine, rows: pd.DataFrame, *, partition: str, now: datetime
) -> CalendarEvidence | None:
    """What the calendar rules ask; None if the time columns are not there as times."""
    if line.event_time not in rows or line.event_day not in rows:
        return None
    times, local = rows[line.event_time], rows[line.event_day]
    if not isinstance(times.dtype, pd.DatetimeTZDtype) or local.dtype.kind != "M":
        return None
    policy = line.policies.data_gates.calendar
    first, oldest = np.datetime64(partition, "M"), None
    if policy.retention_days is not None:
        oldest = pd.Timestamp(now - timedelta(days=policy.retention_days))
    tolerance = pd.Timedelta(minutes=policy.local_time_tolerance_minutes)
    outside, shifted, expired = np.zeros((3, len(rows)), dtype=np.bool_)
    per_day = np.zeros(_days_in(first), dtype=np.int64)
    largest = pd.Timedelta(0)
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        moments, own = times.iloc[block], local.iloc[block]
        days = own.to_numpy(dtype="datetime64[D]")
        outside[block] = days.astype("datetime64[M]") != first
        inside = (days[~outside[block]] - first.astype("datetime64[D]")).astype(np.int64)
        per_day += np.bincount(inside, minlength=len(per_day))
        # A missing time is no shift; that it is missing is a finding of its own.
        shift = (moments.dt.tz_convert(line.time_zone).dt.tz_localize(None) - own).abs()
        shifted[block] = shift > tolerance
        largest = max(largest, shift[shifted[block]].max()) if shifted[block].any() else largest
        if oldest is not None:
            # A row without a time cannot be shown to be young enough.
            expired[block] = ~(moments >= oldest)
    return CalendarEvidence(
        rows=len(rows),
        outside_rows=int(outside.sum()),
        outside_example=row_example(line, rows, outside),
        shifted_rows=int(shifted.sum()),
        shifted_example=row_example(line, rows, shifted),
        shift_minutes=largest / pd.Timedelta(minutes=1),
        rows_per_day=_rows_per_day(per_day, first, _today(line, now)),
        expired_rows=None if oldest is None else int(expired.sum()),
        expired_example=row_example(line, rows, expired),
    )


def _today(line: ReleaseLine, now: datetime) -> Day:
    return np.datetime64(now.astimezone(ZoneInfo(line.time_zone)).date(), "D")


def _days_in(month: Day) -> int:
    return len(np.arange(month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")))


def _rows_per_day(per_day: npt.NDArray[np.int64], month: Day, today: Day) -> dict[str, int]:
    """Rows of every day of the month that is over."""
    start = month.astype("datetime64[D]")
    return {
        str(start + number): int(rows)
        for number, rows in enumerate(per_day)
        if start + number < today
    }
