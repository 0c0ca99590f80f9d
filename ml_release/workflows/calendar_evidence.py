"""Count the times of one partition's rows: days, agreement of the two times, age."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from ml_release.domain.gates_calendar import CalendarEvidence
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
    days = local.to_numpy(dtype="datetime64[D]")
    first = np.datetime64(partition, "M")
    outside = days.astype("datetime64[M]") != first
    # A missing time is no shift; that it is missing is a finding of its own.
    shift = (times.dt.tz_convert(line.time_zone).dt.tz_localize(None) - local).abs()
    shifted = (shift > pd.Timedelta(minutes=policy.local_time_tolerance_minutes)).to_numpy()
    expired = None
    if policy.retention_days is not None:
        oldest = pd.Timestamp(now - timedelta(days=policy.retention_days))
        # A row without a time cannot be shown to be young enough.
        expired = ~(times >= oldest).to_numpy()
    return CalendarEvidence(
        rows=len(rows),
        outside_rows=int(outside.sum()),
        outside_example=row_example(line, rows, outside),
        shifted_rows=int(shifted.sum()),
        shifted_example=row_example(line, rows, shifted),
        shift_minutes=shift.max() / pd.Timedelta(minutes=1) if shifted.any() else 0.0,
        rows_per_day=_rows_per_day(days[~outside], first, _today(line, now)),
        expired_rows=None if expired is None else int(expired.sum()),
        expired_example="" if expired is None else row_example(line, rows, expired),
    )


def _today(line: ReleaseLine, now: datetime) -> Day:
    return np.datetime64(now.astimezone(ZoneInfo(line.time_zone)).date(), "D")


def _rows_per_day(days: npt.NDArray[np.datetime64], month: Day, today: Day) -> dict[str, int]:
    """Rows of every day of the month that is over."""
    start, end = month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")
    counts = np.bincount((days - start).astype(np.int64), minlength=int((end - start).astype(int)))
    return {
        str(start + number): int(rows)
        for number, rows in enumerate(counts)
        if start + number < today
    }
