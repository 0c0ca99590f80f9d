"""A live replay: rows in the order of their events, labels at their time, never before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.errors import InputError, UnavailableError
from ml_release.workflows.live_replay import STEP, LiveReplay, Pace
from ml_release_tests.workflows.test_replay import FakeEndpoint, landed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release_tests.small_line import House

FIRST, LAST = date(2013, 1, 30), date(2013, 2, 2)
DELAY = timedelta(days=1)


@dataclass
class Timed(FakeEndpoint):
    """Remembers what time it was when it was told something; refuses what is still to come."""

    time: datetime = datetime(2013, 1, 1, tzinfo=UTC)
    moves: list[datetime] = field(default_factory=list)
    told: list[tuple[datetime, Mapping[str, Any]]] = field(default_factory=list)
    events: dict[str, datetime] = field(default_factory=dict)

    def move(self, moment: datetime) -> None:
        assert moment >= self.time
        self.time = moment
        self.moves.append(moment)

    def invoke(
        self, line: str, body: bytes, *, request_id: str, event_time: str, unit: str | None = None
    ) -> tuple[int, str]:
        event = datetime.fromisoformat(event_time)
        assert timedelta() <= self.time - event <= STEP
        self.events[request_id] = event
        return super().invoke(line, body, request_id=request_id, event_time=event_time, unit=unit)

    def tell_labels(self, line: str, labels: Sequence[Mapping[str, Any]]) -> tuple[int, str]:
        self.told.extend((self.time, label) for label in labels)
        return super().tell_labels(line, labels)


def live(house: House, endpoint: FakeEndpoint, **more: Any) -> LiveReplay:
    line = house.line.model_copy(update={"label_delay": DELAY})
    return LiveReplay(
        **{
            "line": line,
            "first": FIRST,
            "last": LAST,
            "landing": house.landing,
            "endpoint": endpoint,
            **more,
        }
    )


def test_rows_and_labels_come_at_their_times(house: House) -> None:
    """Across the end of a month; each row within a step of its event, each label once due."""
    endpoint = Timed()
    replay = live(house, endpoint, move=endpoint.move, concurrency=1)
    sent = replay.advance()
    rows = landed()
    names = [f"{row.departure_utc.isoformat()}/{row.trip}" for row in rows.itertuples()]
    assert endpoint.ids == sorted(names)
    events = [datetime.fromisoformat(at) for _, at, _ in endpoint.asked]
    assert events == sorted(events)
    target = dict(zip(names, rows[house.line.target], strict=True))
    known = {name: int(label) for name, label in target.items() if not np.isnan(label)}
    assert {label["request_id"]: label["label"] for _, label in endpoint.told} == known
    for time, label in endpoint.told:
        due = endpoint.events[label["request_id"]] + DELAY
        assert label["event_time"] == due.isoformat()
        assert timedelta() < time - due <= STEP
    assert (sent.requests, sent.failed, sent.labels) == (len(names), 0, len(known))
    assert replay.is_over
    assert replay.advance().requests == 0


def test_it_goes_as_far_as_asked_for_and_on_from_there(house: House) -> None:
    """Day by day it is the same requests and labels; what is due later waits."""
    endpoint, whole = Timed(), Timed()
    replay = live(house, endpoint, move=endpoint.move)
    noon = datetime(2013, 1, 31, 12, tzinfo=UTC)
    before = replay.advance(noon)
    assert 0 < before.requests < len(landed())
    assert max(endpoint.events.values()) < noon
    assert all(endpoint.events[one["request_id"]] + DELAY < noon for _, one in endpoint.told)
    assert endpoint.time <= noon
    assert (replay.advance(noon).requests, replay.advance(noon).labels) == (0, 0)
    after = replay.advance()
    complete = live(house, whole, move=whole.move).advance()
    assert before.requests + after.requests == complete.requests
    assert before.labels + after.labels == complete.labels
    assert endpoint.ids == whole.ids
    assert [label for _, label in endpoint.told] == [label for _, label in whole.told]


def test_labels_may_wait_for_the_end(house: House) -> None:
    """All after the last row."""
    endpoint = Timed()
    sent = live(house, endpoint, move=endpoint.move, labels_at_end=True).advance()
    assert sent.labels == len(endpoint.told) > 0
    assert min(time for time, _ in endpoint.told) >= max(endpoint.events.values())


def test_without_a_clock_to_move_nothing_is_moved(house: House) -> None:
    """The same rows."""
    endpoint = FakeEndpoint()
    assert live(house, endpoint).advance().requests == len(landed())


@pytest.mark.parametrize("pace", [Pace(rate=50.0), Pace(speed=86_400.0)])
def test_a_pace_holds_rows_back(house: House, pace: Pace) -> None:
    """One that is due later than it is now is waited for."""
    waited: list[float] = []
    live(house, FakeEndpoint(), pace=pace, sleep=waited.append).advance()
    assert len(waited) > len(landed()) / 2
    end = len(landed()) / 50.0 if pace.rate else 4.0
    assert 0.5 * end < max(waited) <= end


@pytest.mark.parametrize(
    "given", [{"rate": 0.0}, {"speed": -1.0}, {"rate": float("nan")}, {"rate": 1.0, "speed": 1.0}]
)
def test_a_pace_is_one_that_moves(given: dict[str, float]) -> None:
    """Two, or one that never comes to an end, are refused."""
    with pytest.raises(InputError, match="expected a rate or a speed"):
        Pace(**given)


def test_failed_requests_are_counted(house: House) -> None:
    """With the first answer that was none; the others go on."""
    refused = {f"{landed().iloc[3].departure_utc.isoformat()}/{landed().iloc[3].trip}"}
    endpoint = FakeEndpoint(refused=dict.fromkeys(refused, (422, "no carrier")))
    sent = live(house, endpoint).advance()
    assert (sent.failed, sent.first_failure) == (1, "422: no carrier")
    assert sent.requests == len(landed())


def test_an_endpoint_that_is_down_ends_it(house: House) -> None:
    """For rows and for labels."""
    with pytest.raises(UnavailableError, match="nobody answers"):
        live(house, FakeEndpoint(is_down=True)).advance()
    with pytest.raises(UnavailableError, match="answered 500"):
        live(house, FakeEndpoint(label_status=500)).advance()


def test_progress_is_told_in_days(house: House) -> None:
    """It never falls, and ends complete."""
    seen: list[tuple[int, int]] = []
    live(
        house, FakeEndpoint(), on_progress=lambda done, total: seen.append((done, total))
    ).advance()
    assert seen == sorted(seen)
    assert seen[-1] == (4, 4)


def test_days_without_rows_are_refused(house: House) -> None:
    """Before anything is sent."""
    with pytest.raises(InputError, match="expected rows from 2013-01-31 to 2013-01-30"):
        live(house, FakeEndpoint(), first=date(2013, 1, 31), last=date(2013, 1, 30))
