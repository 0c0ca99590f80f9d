"""Replay: every landed row of some days once, as the same request each time, then its label."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from ml_release.errors import InputError, NotFoundError, UnavailableError
from ml_release.workflows.replay import Replayed, replay
from ml_release_tests.small_line import ROUTES, SMALL_LINE, trips
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ml_release_tests.small_line import House

FIRST, LAST = date(2013, 1, 30), date(2013, 2, 2)


@dataclass
class FakeEndpoint:
    """`EndpointClient` that remembers what it was told, and refuses what it is told to."""

    refused: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    label_status: int = 200
    is_down: bool = False
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    units: dict[str, str | None] = field(default_factory=dict)
    batches: list[list[Mapping[str, Any]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def invoke(
        self, line: str, body: bytes, *, request_id: str, event_time: str, unit: str | None = None
    ) -> tuple[int, str]:
        assert line == steps.LINE
        if self.is_down:
            message = "nobody answers"
            raise UnavailableError(message)
        (record,) = json.loads(body)["dataframe_records"]
        with self._lock:
            self.asked.append((request_id, event_time, record))
            self.units[request_id] = unit
        return self.refused.get(request_id, (200, "{}"))

    def is_ready(self, line: str) -> bool:
        raise NotImplementedError

    def tell_labels(self, line: str, labels: Sequence[Mapping[str, object]]) -> tuple[int, str]:
        assert line == steps.LINE
        self.batches.append(list(labels))
        return self.label_status, "told"

    def switch(self, line: str, pull: Mapping[str, object]) -> tuple[int, str]:
        raise AssertionError(line, pull)

    @property
    def ids(self) -> list[str]:
        return sorted(request_id for request_id, _, _ in self.asked)


def play(
    house: House,
    endpoint: FakeEndpoint,
    *,
    first: date = FIRST,
    last: date = LAST,
    concurrency: int = 4,
    unit: Sequence[str] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> Replayed:
    return replay(
        house.line,
        first=first,
        last=last,
        landing=house.landing,
        endpoint=endpoint,
        concurrency=concurrency,
        unit=unit,
        on_progress=on_progress,
    )


def landed(first: str = "2013-01-30", end: str = "2013-02-03") -> Any:
    """The rows that fall on the replayed days."""
    rows = pd.concat([trips("2013-01"), trips("2013-02")], ignore_index=True)
    return rows[(rows["departure"] >= first) & (rows["departure"] < end)].merge(ROUTES, on="route")


def test_every_row_of_the_days_is_asked_once_with_its_raw_columns(house: House) -> None:
    """Both ends included, across the end of a month, in local days; nothing but what is needed."""
    endpoint = FakeEndpoint()
    replayed = play(house, endpoint)
    expected = [
        (
            f"{row.departure_utc.isoformat()}/{row.trip}",
            row.departure_utc.isoformat(),
            {
                "distance": row.distance,
                "carrier": row.carrier,
                "departure": row.departure.isoformat(),
            },
        )
        for row in landed().itertuples()
    ]
    assert sorted(endpoint.asked, key=str) == sorted(expected, key=str)
    assert replayed.requests == len(expected) > 50
    assert (replayed.failed, replayed.first_failure) == (0, "")
    assert 0 <= replayed.latency_p50_ms <= replayed.latency_p99_ms


def test_rows_are_asked_in_their_order_by_one_client(house: House) -> None:
    """As they were landed."""
    endpoint = FakeEndpoint()
    play(house, endpoint, concurrency=1)
    times = [pd.Timestamp(event_time) for _, event_time, _ in endpoint.asked]
    assert times == sorted(times)


def test_a_unit_is_named_by_the_columns_asked_for(house: House) -> None:
    """The same value asks as the same unit on every day; without columns nobody is named."""
    endpoint = FakeEndpoint()
    play(house, endpoint, unit=("carrier", "distance"))
    rows = landed()
    names = rows["departure_utc"].map(lambda at: at.isoformat()) + "/" + rows["trip"].astype(str)
    units = rows["carrier"] + "/" + rows["distance"].map(str)
    assert endpoint.units == dict(zip(names, units, strict=True))
    assert len(set(units)) < len(units)
    unnamed = FakeEndpoint()
    play(house, unnamed)
    assert set(unnamed.units.values()) == {None}


def test_a_replay_repeated_is_the_same_requests(house: House) -> None:
    """Ids are made of the keys: the same for the same row, another for another."""
    once, again = FakeEndpoint(), FakeEndpoint()
    play(house, once)
    play(house, again)
    assert once.ids == again.ids
    assert len(set(once.ids)) == len(once.ids)


def test_the_id_of_a_row_does_not_depend_on_the_rows_beside_it(house: House) -> None:
    """A day alone, with one trip at midnight, gives it the id it has within a longer replay."""
    rows = trips("2013-01")
    midnight = pd.Timestamp("2013-01-10")
    rows = pd.concat([rows[rows["departure"].dt.day != 10], rows.iloc[[0]]], ignore_index=True)
    rows.loc[rows.index[-1], "departure"] = midnight
    house.land("2013-01", rows)
    house.line = SMALL_LINE.model_copy(update={"keys": ("departure", "trip")})
    alone, among = FakeEndpoint(), FakeEndpoint()
    play(house, alone, first=midnight.date(), last=midnight.date())
    play(house, among, first=date(2013, 1, 9), last=date(2013, 1, 11))
    assert alone.ids == ["2013-01-10T00:00:00/0"]
    assert set(alone.ids) <= set(among.ids)


def test_failures_are_counted_with_the_first_message(house: House) -> None:
    """The others are answered all the same, and the labels still follow."""
    ids = [f"{row.departure_utc.isoformat()}/{row.trip}" for row in landed().itertuples()]
    endpoint = FakeEndpoint(refused={ids[3]: (422, "no carrier"), ids[9]: (503, "too busy")})
    replayed = play(house, endpoint, concurrency=1)
    assert (replayed.requests, replayed.failed) == (len(ids), 2)
    assert replayed.first_failure == "422: no carrier"
    assert replayed.labels > 0


def test_labels_follow_for_labelled_rows_only(house: House) -> None:
    """With the request's id, and known one label delay after the event."""
    endpoint = FakeEndpoint()
    replayed = play(house, endpoint)
    rows = landed()
    known = rows[rows["is_late"].notna()]
    assert len(known) < len(rows)
    assert endpoint.batches == [
        [
            {
                "request_id": f"{row.departure_utc.isoformat()}/{row.trip}",
                "label": int(row.is_late),
                "event_time": (row.departure_utc + timedelta(days=1)).isoformat(),
            }
            for row in known.itertuples()
        ]
    ]
    assert replayed.labels == len(known)


def test_many_labels_are_told_in_several_requests(house: House) -> None:
    """At most 500 at once, and none of them lost."""
    endpoint = FakeEndpoint()
    replayed = play(house, endpoint, first=date(2013, 1, 1), last=date(2013, 1, 31))
    assert [len(batch) for batch in endpoint.batches] == [500, replayed.labels - 500]
    told = [label["request_id"] for batch in endpoint.batches for label in batch]
    assert len(set(told)) == replayed.labels > 500


def test_labels_that_are_refused_are_an_error(house: House) -> None:
    """Labels that silently went nowhere would look like a model without performance."""
    with pytest.raises(UnavailableError, match="the endpoint answered 400: told"):
        play(house, FakeEndpoint(label_status=400))


def test_progress_is_told_up_to_the_last_request(house: House) -> None:
    """Done, and in all."""
    told: list[tuple[int, int]] = []
    replayed = play(
        house, FakeEndpoint(), concurrency=1, on_progress=lambda *counts: told.append(counts)
    )
    assert told == [(n + 1, replayed.requests) for n in range(replayed.requests)]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(date(2013, 2, 2), date(2013, 2, 1), id="the wrong way round"),
        pytest.param(date(2013, 2, 28), date(2013, 2, 28), id="a day without rows"),
    ],
)
def test_days_without_rows_are_an_input_error(house: House, first: date, last: date) -> None:
    """Nothing is sent, and the days are named."""
    rows = trips("2013-02")
    house.land("2013-02", rows[rows["departure"] < "2013-02-28"])
    endpoint = FakeEndpoint()
    with pytest.raises(InputError, match=f"expected rows from {first} to {last}, found none"):
        play(house, endpoint, first=first, last=last)
    assert endpoint.asked == []


def test_a_month_that_has_not_landed_cannot_be_replayed(house: House) -> None:
    """Half of the days would be less than was asked for."""
    endpoint = FakeEndpoint()
    with pytest.raises(NotFoundError, match="2013-05"):
        play(house, endpoint, first=date(2013, 4, 30), last=date(2013, 5, 1))
    assert endpoint.asked == []


def test_rows_that_cannot_be_assembled_cannot_be_replayed(house: House) -> None:
    """The landing is at fault, and the month is named."""
    house.land("2013-02", trips("2013-02").drop(columns="is_late"))
    with pytest.raises(InputError, match="partition 2013-02"):
        play(house, FakeEndpoint())


def test_an_endpoint_that_does_not_answer_ends_the_replay(house: House) -> None:
    """No label is told to it either."""
    endpoint = FakeEndpoint(is_down=True)
    with pytest.raises(UnavailableError, match="nobody answers"):
        play(house, endpoint)
    assert endpoint.batches == []


def test_missing_values_are_sent_as_null(house: House) -> None:
    """JSON has no NaN."""
    rows = trips("2013-02")
    rows.loc[rows["departure"] < "2013-02-02", ["carrier", "route"]] = [None, -1]
    house.land("2013-02", rows)
    endpoint = FakeEndpoint()
    play(house, endpoint, first=date(2013, 2, 1), last=date(2013, 2, 1))
    assert endpoint.asked
    for _, _, record in endpoint.asked:
        assert (record["carrier"], record["distance"]) == (None, None)
