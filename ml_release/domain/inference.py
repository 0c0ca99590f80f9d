"""What one answered request leaves in the inference log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceRecord:
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
    bucket
        0 to 9999: where the unit's salted hash fell; None without a unit.
    features
        Readable feature values as the model saw them; missing is None.
    prediction
        Probability from 0 to 1; None when the request failed.
    latency_ms
        From the request's arrival to its answer being ready, for the whole request.
    outcome
        ``ok`` or ``error``; ``error`` says what happened.
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
    prediction: float | None
    latency_ms: float
    outcome: str
    error: str | None
    shadow: bool
