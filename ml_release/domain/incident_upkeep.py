"""When an incident is written again by itself: more is known as traffic and labels come in."""

from __future__ import annotations

from datetime import datetime, timedelta

_AFTER_COMMIT = (timedelta(minutes=10), timedelta(hours=1), timedelta(days=1))


def looks_due(committed_at: str, *, label_delay: timedelta, now: datetime) -> int:
    """How often an incident should have been written again by now, from 0 to 4.

    Ten minutes, an hour and a day after the commit, by when the last server has changed over; and
    once more when the labels of the last answers are due.

    >>> from datetime import UTC
    >>> now = datetime(2026, 11, 21, 10, tzinfo=UTC)
    >>> day = timedelta(days=1)
    >>> [looks_due(f"2026-11-{at}+00:00", label_delay=day, now=now) for at in ("21T09:55", "19T09")]
    [0, 4]
    """
    begun = datetime.fromisoformat(committed_at)
    last = max(_AFTER_COMMIT)
    return sum(begun + after <= now for after in (*_AFTER_COMMIT, last + label_delay))
