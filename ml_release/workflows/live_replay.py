"""Replay landed rows in the order and at the times of their events, labels when they were known.

What happened between two moments is sent step by step: the clock, if it is moved, stands at the end
of the step, the step's rows are asked, then the labels that are due by then are told. So no label
is told before its time, and no event is still to come when its row is asked.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import InputError
from ml_release.workflows.columns import days_of, floats_of
from ml_release.workflows.replay import (
    Replayed,
    request_ids,
    requests_of,
    tell_labels,
    units_of,
)
from ml_release.workflows.snapshots import read_landed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from ml_release.ports import EndpointClient, Landing
    from ml_release.spec.release_line import ReleaseLine

STEP = timedelta(minutes=10)
"""How far an event lies back at most when its row is asked with the clock moved, by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast rows are sent; as fast as they are answered if nothing is said.

    Attributes
    ----------
    rate
        Requests per second of real time, above 0.
    speed
        Seconds of event time per second of real time, above 0; 1 is as it was.
    """

    rate: float | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        """Refuse two paces, and one that does not move."""
        given = [value for value in (self.rate, self.speed) if value is not None]
        if len(given) > 1 or any(not 0 < value < float("inf") for value in given):
            message = (
                "replay: expected a rate or a speed, above 0, or neither, found rate"
                f" {self.rate} and speed {self.speed}"
            )
            raise InputError(message)

    def seconds(self, *, before: int, passed: timedelta) -> float:
        """Real seconds after the beginning at which the next one is due."""
        if self.rate is not None:
            return before / self.rate
        return 0.0 if self.speed is None else passed.total_seconds() / self.speed


@dataclass(frozen=True, slots=True)
class _Asked:
    at: datetime
    request: tuple[str, str, bytes]
    unit: str | None


@dataclass(slots=True, kw_only=True)
class LiveReplay:
    """The rows of some local days as live traffic, sent as far as asked for.

    Rows of one month are held at a time. The request id is made of the row's keys, so that a replay
    repeated is the same requests.

    Attributes
    ----------
    first, last
        Local days of the events, both included.
    step
        How much is lived through at once, above 0; the clock is moved once for each.
    labels_at_end
        Whether labels are told after the last row instead of ``label_delay`` after their event.
    concurrency
        Requests under way at once; those of a step begin in the order of their events.
    unit
        Columns that say together who asks; see `ml_release.workflows.replay.replay`.
    move
        Moves the clock of the installation to a moment; None leaves it alone.
    on_progress
        Called after each step with whole days of event time done and in all.
    """

    line: ReleaseLine
    first: date
    last: date
    landing: Landing
    endpoint: EndpointClient
    pace: Pace = field(default_factory=Pace)
    step: timedelta = STEP
    labels_at_end: bool = False
    concurrency: int = 4
    unit: Sequence[str] = ()
    move: Callable[[datetime], None] | None = None
    on_progress: Callable[[int, int], None] = lambda _done, _total: None
    sleep: Callable[[float], None] = time.sleep
    _coming: Iterator[_Asked] = field(init=False)
    _next: _Asked | None = field(init=False)
    _untold: deque[tuple[datetime, Mapping[str, object]]] = field(default_factory=deque)
    _began: datetime = field(init=False)
    _started: float | None = None
    _sent: int = 0

    def __post_init__(self) -> None:
        """Read the first month.

        Raises
        ------
        InputError
            If no row falls on those days.
        """
        self._coming = self._rows()
        self._next = next(self._coming, None)
        if self._next is None:
            message = (
                f"replay of {self.line.name}: expected rows from {self.first} to {self.last}, found"
                " none"
            )
            raise InputError(message)
        self._began = self._next.at

    @property
    def is_over(self) -> bool:
        """Whether every row was asked and every label told."""
        return self._next is None and not self._untold

    def advance(self, until: datetime | None = None) -> Replayed:
        """Send what happened up to a moment (without it), everything for None.

        Returns
        -------
        Replayed
            What was sent this time; latencies are NaN if no row was.

        Raises
        ------
        UnavailableError
            If the endpoint does not answer at all, or does not take the labels.
        """
        latencies: list[float] = []
        failures: list[str] = []
        told = 0
        with ThreadPoolExecutor(max_workers=self.concurrency) as pool:
            while (start := self._next_moment()) is not None:
                end = start + self.step if until is None else min(start + self.step, until)
                if end <= start:
                    break
                rows = self._rows_before(end)
                if self.move is not None:
                    self.move(end)
                send = partial(self._send, latencies, failures)
                # Not all at once: a pace holds back the one that is handed over next.
                under_way = [pool.submit(send, row) for row in map(self._when_due, rows)]
                for one in under_way:
                    one.result()
                told += self._tell(end)
                self._show(end)
        return Replayed(
            requests=len(latencies),
            failed=len(failures),
            labels=told,
            latency_p50_ms=float(np.quantile(latencies, 0.5)) if latencies else float("nan"),
            latency_p99_ms=float(np.quantile(latencies, 0.99)) if latencies else float("nan"),
            first_failure=failures[0] if failures else "",
        )

    def _next_moment(self) -> datetime | None:
        """When the next thing happens: time in between is not lived through."""
        moments = [] if self._next is None else [self._next.at]
        if self._untold and not (self.labels_at_end and self._next is not None):
            moments.append(self._untold[0][0])
        return min(moments, default=None)

    def _rows_before(self, end: datetime) -> list[_Asked]:
        rows = []
        while self._next is not None and self._next.at < end:
            rows.append(self._next)
            self._next = next(self._coming, None)
        return rows

    def _when_due(self, row: _Asked) -> _Asked:
        now = time.perf_counter()
        if self._started is None:
            self._started = now
        due = self.pace.seconds(before=self._sent, passed=row.at - self._began)
        if due > now - self._started:
            self.sleep(due - (now - self._started))
        self._sent += 1
        return row

    def _send(self, latencies: list[float], failures: list[str], row: _Asked) -> None:
        request_id, event_time, body = row.request
        start = time.perf_counter()
        status, answer = self.endpoint.invoke(
            self.line.name, body, request_id=request_id, event_time=event_time, unit=row.unit
        )
        latencies.append((time.perf_counter() - start) * 1000)
        if status != 200:  # noqa: PLR2004 (HTTP)
            failures.append(f"{status}: {answer}")

    def _tell(self, end: datetime) -> int:
        """Labels that are due before the end of a step; at the end, whatever is left."""
        due = []
        while self._untold and self._untold[0][0] < end:
            if self.labels_at_end and self._next is not None:
                break
            due.append(self._untold.popleft()[1])
        tell_labels(self.line, due, endpoint=self.endpoint)
        return len(due)

    def _show(self, end: datetime) -> None:
        total = (self.last - self.first).days + 1
        done = (end - self._began) // timedelta(days=1)
        self.on_progress(total if self.is_over else min(done, total), total)

    def _rows(self) -> Iterator[_Asked]:
        """Rows in the order of their events, and their labels on the way to being told."""
        line = self.line
        for partition in line.landing.between(f"{self.first:%Y-%m}", f"{self.last:%Y-%m}"):
            rows = read_landed(line, partition, landing=self.landing)
            days = days_of(rows[line.event_day])
            chosen = (days >= np.datetime64(self.first)) & (days <= np.datetime64(self.last))
            rows = rows[chosen].sort_values(line.event_time, kind="stable", ignore_index=True)
            requests, units = requests_of(line, rows), units_of(rows, self.unit)
            labels, ids = floats_of(rows[line.target]), request_ids(line, rows)
            moments = [moment.to_pydatetime() for moment in rows[line.event_time]]
            for at, request, unit, label, name in zip(
                moments, requests, units, labels, ids, strict=True
            ):
                if not np.isnan(label):
                    known = at + line.label_delay
                    told = {
                        "request_id": name,
                        "label": int(label),
                        "event_time": known.isoformat(),
                    }
                    self._untold.append((known, told))
                yield _Asked(at, request, unit)
