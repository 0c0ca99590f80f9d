"""When an event is, by the client's word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ml_release.errors import InputError
from ml_release.serving.request_headers import read_context

NOW = datetime(2013, 4, 3, 12, 0, tzinfo=UTC)


def stated(moment: datetime) -> str:
    return read_context({"x-event-time": moment.isoformat()}, now=NOW).event_time


@pytest.mark.parametrize(
    "ahead", [timedelta(days=-90), timedelta(0), timedelta(minutes=5)], ids=str
)
def test_an_event_may_be_old_or_as_far_ahead_as_clocks_differ(ahead: timedelta) -> None:
    """Replays state old times; two machines are seldom on the same second."""
    assert datetime.fromisoformat(stated(NOW + ahead)) == NOW + ahead


def test_an_event_that_is_still_to_come_is_refused() -> None:
    """It would move every window of monitoring ahead of what was served."""
    with pytest.raises(InputError, match="x-event-time: expected a time that has come"):
        stated(NOW + timedelta(minutes=5, seconds=1))


def test_without_a_word_of_the_client_the_event_is_now() -> None:
    """The moment the request came in."""
    context = read_context({}, now=NOW)
    assert context.event_time == context.received_time
