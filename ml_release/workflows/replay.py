"""Send real landed rows through the endpoint as live traffic, and their labels after them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.features import request_fields
from ml_release.errors import InputError, UnavailableError
from ml_release.workflows.columns import columns_of, days_of, floats_of
from ml_release.workflows.model_artefact import plain_records
from ml_release.workflows.snapshots import read_landed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    import pandas as pd

    from ml_release.ports import EndpointClient, Landing
    from ml_release.spec.release_line import ReleaseLine

_LABELS_PER_REQUEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What was sent.

    Attributes
    ----------
    requests, failed
        Requests sent, and those that were not answered with 200.
    labels
        Labels sent; rows without a label (cancelled flights) have none to send.
    latency_p50_ms, latency_p99_ms
        Round trip at the client.
    first_failure
        The first answer that was not 200, empty without one.
    """

    requests: int
    failed: int
    labels: int
    latency_p50_ms: float
    latency_p99_ms: float
    first_failure: str


def replay(
    line: ReleaseLine,
    *,
    first: date,
    last: date,
    landing: Landing,
    endpoint: EndpointClient,
    concurrency: int = 4,
    unit: Sequence[str] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> Replayed:
    """Send every landed row of some local days as one request each, then the matured labels.

    Labels mature ``label_delay`` after their event; those of events up to ``last`` are all sent, as
    if the delay had passed. The request id is made of the row's keys, so that a replay repeated is
    the same requests.

    Parameters
    ----------
    first, last
        Local days of the event, both included.
    unit
        Columns of the snapshot that say together who asks, so that the same unit meets the same
        variant on every day; without them each request is a unit of its own.
    on_progress
        Called with requests done and in all.

    Raises
    ------
    InputError
        If no row falls on those days.
    UnavailableError
        If the endpoint does not answer at all.
    """
    rows = _rows_of(line, first=first, last=last, landing=landing)
    requests = requests_of(line, rows)
    units = units_of(rows, unit)
    latencies: list[float] = []
    failures: list[str] = []

    def send(request: tuple[str, str, bytes], who: str | None) -> None:
        request_id, event_time, body = request
        start = perf_counter()
        status, answer = endpoint.invoke(
            line.name, body, request_id=request_id, event_time=event_time, unit=who
        )
        latencies.append((perf_counter() - start) * 1000)
        if status != 200:  # noqa: PLR2004 (HTTP)
            failures.append(f"{status}: {answer}")
        if on_progress is not None:
            on_progress(len(latencies), len(requests))

    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        for _ in pool.map(send, requests, units):
            pass
    labels = _send_labels(line, rows, [request[0] for request in requests], endpoint=endpoint)
    return Replayed(
        requests=len(requests),
        failed=len(failures),
        labels=labels,
        latency_p50_ms=float(np.quantile(latencies, 0.5)),
        latency_p99_ms=float(np.quantile(latencies, 0.99)),
        first_failure=failures[0] if failures else "",
    )


def _rows_of(line: ReleaseLine, *, first: date, last: date, landing: Landing) -> pd.DataFrame:
    import pandas as pd

    frames = []
    for partition in line.landing.between(f"{first:%Y-%m}", f"{last:%Y-%m}"):
        rows = read_landed(line, partition, landing=landing)
        days = days_of(rows[line.event_day])
        frames.append(rows[(days >= np.datetime64(first)) & (days <= np.datetime64(last))])
    found = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if found.empty:
        message = f"replay of {line.name}: expected rows from {first} to {last}, found none"
        raise InputError(message)
    return found


def requests_of(line: ReleaseLine, rows: pd.DataFrame) -> list[tuple[str, str, bytes]]:
    """Per row the request id, the event time (ISO 8601) and the body in MLflow's protocol."""
    columns = columns_of(rows, request_fields(line.features), subject=line.name)
    records = plain_records(columns)
    times = rows[line.event_time].map(lambda moment: moment.isoformat())
    return [
        (key, time, json.dumps({"dataframe_records": [record]}, allow_nan=False).encode())
        for key, time, record in zip(request_ids(line, rows), times, records, strict=True)
    ]


def request_ids(line: ReleaseLine, rows: pd.DataFrame) -> list[str]:
    """The request id a replay gives each row: its keys, so that both can be matched later.

    Clients whose labels come by keys name their requests alike; see `spec.label_source`.
    """
    return _joined(rows, line.keys)


def units_of(rows: pd.DataFrame, columns: Sequence[str]) -> Sequence[str | None]:
    """Who asks, by some columns; nobody is named without any."""
    return _joined(rows, columns) if columns else [None] * len(rows)


def _joined(rows: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    words = [_words(rows[column]) for column in columns]
    return ["/".join(parts) for parts in zip(*words, strict=True)]


def _words(column: pd.Series) -> pd.Series:
    """A key column as texts, each spelled by its own value whatever the other rows hold."""
    words: pd.Series = column.map(
        lambda value: value.isoformat() if isinstance(value, datetime) else str(value)
    )
    return words


def _send_labels(
    line: ReleaseLine, rows: pd.DataFrame, ids: Sequence[str], *, endpoint: EndpointClient
) -> int:
    target = floats_of(rows[line.target])
    known = rows[line.event_time] + line.label_delay
    labels: list[Mapping[str, object]] = [
        {"request_id": request_id, "label": int(label), "event_time": moment.isoformat()}
        for request_id, label, moment in zip(ids, target, known, strict=True)
        if not np.isnan(label)
    ]
    tell_labels(line, labels, endpoint=endpoint)
    return len(labels)


def tell_labels(
    line: ReleaseLine, labels: Sequence[Mapping[str, object]], *, endpoint: EndpointClient
) -> None:
    """Tell labels in requests that are not too large.

    Raises
    ------
    UnavailableError
        If the endpoint does not take them.
    """
    for start in range(0, len(labels), _LABELS_PER_REQUEST):
        status, answer = endpoint.tell_labels(
            line.name, labels[start : start + _LABELS_PER_REQUEST]
        )
        if status != 200:  # noqa: PLR2004 (HTTP)
            message = f"labels of {line.name}: the endpoint answered {status}: {answer}"
            raise UnavailableError(message)
