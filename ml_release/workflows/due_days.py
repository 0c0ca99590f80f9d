"""Days of a line's time zone, and which of them all labels are due of."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from datetime import date, datetime

    from ml_release.spec.release_line import ReleaseLine


def local_day(line: ReleaseLine, moment: datetime) -> date:
    """The day of a moment in the line's time zone."""
    return moment.astimezone(ZoneInfo(line.time_zone)).date()


def last_due_day(line: ReleaseLine, now: datetime) -> date:
    """The newest day that all labels are due of, in the line's time zone, grace included.

    >>> from types import SimpleNamespace
    >>> from datetime import UTC, datetime
    >>> line = SimpleNamespace(
    ...     label_delay=timedelta(days=1),
    ...     time_zone="UTC",
    ...     policies=SimpleNamespace(labels=SimpleNamespace(grace_days=0.5)),
    ... )
    >>> last_due_day(line, datetime(2013, 4, 10, 11, 0, tzinfo=UTC))
    datetime.date(2013, 4, 7)
    """
    grace = timedelta(days=line.policies.labels.grace_days)
    # Back from the moment itself: hours of the zone's clock are skipped where it is moved.
    return local_day(line, now - line.label_delay - grace) - timedelta(days=1)
