"""What answered requests and late labels leave in the inference log, and how its files are named.

A segment is a file of JSON lines that one process appends to. Its name says of what kind it is and
sorts by the time it was begun. A finished segment may be replaced by an archive, one Parquet file
that holds the same lines and says in its name how many bytes of the segment it stands for. Writer,
reader and archivist share nothing but these facts.

Records are structs rather than dataclasses because each request makes one: of 24 fields, frozen,
that costs less than a microsecond instead of eight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy.typing as npt

SegmentKind = Literal["records", "labels", "rewards"]
_ARCHIVE = re.compile(r"(?P<stem>(?:records|labels)-[^.]+)\.(?P<size>[0-9]+)\.parquet")


class InferenceRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of one request, with its answer.

    Attributes
    ----------
    request_id
        As the client named it or as the server did; rows of a batch share it.
    row
        Position in the request, counted from 0.
    event_time, received_time
        ISO 8601 with zone: when the event happened by the client's word (``x-event-time``), and
        when the request came in. They are equal if the client says nothing.
    variant
        Role of the version that answered; ``pinned`` where the client named the champion's version
        while others answered besides: such a request met no assignment and counts for no arm.
    bucket
        0 to 9999: where the unit's salted hash fell; None without a unit, and for ``pinned``.
    features
        Readable feature values as the model saw them; missing is None.
    history_digest
        Digest of the table the history features were looked up in; None without one.
    history_age_days
        Whole days from that table's ``as_of`` to the day of the event, in the line's time zone.
        Negative for an event before ``as_of``; None without a table, and in records of before this
        was kept.
    history_misses
        Look-ups of this row that met no key, from 0 to the number of history features; None where
        the model failed, and in records of before this was kept.
    prediction
        Probability from 0 to 1, or the value of a regression, as the model's signature says; None
        when the request failed, and for a model of several classes, so that nothing that scores
        or watches single probabilities takes one of many for it.
    latency_ms
        From the request's arrival to its answer being ready, for the whole request.
    outcome
        ``ok``, ``error``, or ``fallback``: another variant answered in the place of the assigned
        one. ``error`` says what happened.
    shadow
        Whether it was asked in secret: nobody got this answer.
    variant, version, model_digest
        Of who gave the answer. An answer of the kill switch is one of ``kill_switch``, version 0
        and the digest ``none``.
    assigned_version
        Of who should have answered, where that is another version; None otherwise.
    experiment, propensity
        Its name if the unit takes part in one, and the probability with which a unit like this one
        meets the assigned version, above 0 and at most 1. None for shadows, and in records of
        before this was kept.
    decision
        1 if the prediction reaches the declared threshold, 0 if not; None without a threshold.
    probabilities
        Of all classes, in the order of ``classes`` in the signature of the model of that digest,
        each from 0 to 1; None for other kinds of answers, and when the request failed.
    """

    request_id: str
    row: int
    event_time: str
    received_time: str
    line: str
    variant: str
    version: int
    model_digest: str
    route_commit: str
    bucket: int | None
    features: Mapping[str, float | str | None]
    history_digest: str | None
    prediction: float | None
    latency_ms: float
    outcome: str
    error: str | None
    shadow: bool
    # Without defaults a log of before they were kept could not be read.
    history_age_days: int | None = None
    history_misses: int | None = None
    assigned_version: int | None = None
    experiment: str | None = None
    propensity: float | None = None
    decision: int | None = None
    probabilities: tuple[float, ...] | None = None


class AskedFor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Of a record, that a request was made and when its event was: what labels are matched with.

    Reading it leaves everything else of a record aside, which costs a tenth.
    """

    request_id: str
    row: int
    event_time: str
    shadow: bool


class Label(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The true outcome of a request, told later.

    Attributes
    ----------
    label
        0 or 1.
    event_time, received_time
        ISO 8601 with zone: when the outcome was known by the client's word, and when it came in.
        They are equal if the client says nothing.
    """

    request_id: str
    label: int
    event_time: str
    received_time: str


class Reward(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an answer was worth to whoever posted this.

    Attributes
    ----------
    reward
        From 0 to 1.
    experiment, version, propensity
        Of the arm that the request met, as they were when it was answered; None where the server
        does not know (any more): such a reward teaches the bandit nothing.
    event_time, received_time
        ISO 8601 with zone.
    """

    request_id: str
    reward: float
    experiment: str | None
    version: int | None
    propensity: float | None
    event_time: str
    received_time: str


def segment_name(kind: SegmentKind, *, begun_at: datetime, process_id: int, ordinal: int) -> str:
    """File name of a segment; names of one kind sort by the time they were begun.

    >>> from datetime import UTC, datetime
    >>> begun_at = datetime(2013, 10, 1, 6, 30, tzinfo=UTC)
    >>> segment_name("records", begun_at=begun_at, process_id=71, ordinal=2)
    'records-20131001T063000000000Z-71-000002.jsonl'
    """
    return f"{kind}-{begun_at:%Y%m%dT%H%M%S%f}Z-{process_id}-{ordinal:06d}.jsonl"


def is_segment(kind: SegmentKind, name: str) -> bool:
    """Whether a file name is that of a segment of this kind."""
    return name.startswith(f"{kind}-") and name.endswith(".jsonl")


def archive_name(segment: str, *, size_bytes: int) -> str:
    """File name of the archive that takes the place of a segment of ``size_bytes``.

    >>> archive_name("records-20131001T063000000000Z-71-000002.jsonl", size_bytes=4096)
    'records-20131001T063000000000Z-71-000002.4096.parquet'
    """
    return f"{segment.removesuffix('.jsonl')}.{size_bytes}.parquet"


def archived_segment(name: str) -> tuple[str, int] | None:
    """The segment an archive stands for and that segment's bytes; None if it is no archive.

    >>> archived_segment("records-20131001T063000000000Z-71-000002.4096.parquet")
    ('records-20131001T063000000000Z-71-000002.jsonl', 4096)
    """
    found = _ARCHIVE.fullmatch(name)
    return None if found is None else (f"{found['stem']}.jsonl", int(found["size"]))


def feature_columns(
    features: Sequence[Mapping[str, float | str | None]],
) -> dict[str, npt.NDArray[np.generic]]:
    """Logged features as columns, in the form `ml_release.domain.features.feature_values` gives.

    Parameters
    ----------
    features
        One mapping per record.

    Returns
    -------
    dict
        Feature name to an array of shape (n,): object of str or None where a word was logged,
        otherwise float64 with NaN for missing. A feature that some records don't have (they were
        answered by another version) is missing in them.

    Examples
    --------
    >>> columns = feature_columns([{"temp": 41.0, "origin": "JFK"}, {"temp": None, "origin": None}])
    >>> columns["temp"], columns["origin"]
    (array([41., nan]), array(['JFK', None], dtype=object))
    """
    names = dict.fromkeys(name for row in features for name in row)
    columns: dict[str, npt.NDArray[np.generic]] = {}
    for name in names:
        values = [row.get(name) for row in features]
        is_words = any(isinstance(value, str) for value in values)
        columns[name] = np.array(values, dtype=np.object_ if is_words else np.float64)
    return columns
