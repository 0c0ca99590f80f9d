"""Which days all labels are due of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from ml_release.workflows.due_days import last_due_day

NEW_YORK: Any = SimpleNamespace(
    label_delay=timedelta(days=1),
    time_zone="America/New_York",
    policies=SimpleNamespace(labels=SimpleNamespace(grace_days=0.0)),
)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(datetime(2013, 4, 11, 4, 0, tzinfo=UTC), date(2013, 4, 9), id="midnight"),
        pytest.param(datetime(2013, 4, 11, 3, 59, tzinfo=UTC), date(2013, 4, 8), id="before it"),
        # The clock was moved forward at 2 on the 10th, so that this day had 23 hours.
        pytest.param(datetime(2013, 3, 11, 4, 30, tzinfo=UTC), date(2013, 3, 8), id="spring, 0:30"),
        pytest.param(datetime(2013, 3, 11, 5, 0, tzinfo=UTC), date(2013, 3, 9), id="spring, 1:00"),
        pytest.param(
            datetime(2013, 11, 4, 4, 0, tzinfo=UTC), date(2013, 11, 2), id="autumn, 23:00"
        ),
    ],
)
def test_a_day_is_due_a_delay_after_its_last_moment(now: datetime, expected: date) -> None:
    """Hours that pass count, whatever the zone's clock shows meanwhile."""
    assert last_due_day(NEW_YORK, now) == expected
