"""What is asked of a server on trial, and what it was seen to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml_release.domain.deployment import DeclaredState, Variant
    from ml_release.domain.history_table import HistoryTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the server is to serve, and nothing else.

    Attributes
    ----------
    state
        The version on trial as champion with all traffic, the version to go back to beside it.
    history
        What it looks up; None if nothing was published.
    start_limit_s
        A server that does not answer for the version by then is ended.
    later
        Versions that may be declared there while it runs.
    """

    state: DeclaredState
    history: HistoryTable | None
    start_limit_s: float
    later: tuple[Variant, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One request as the log of a server on trial has it."""

    version: int
    route_commit: str
    received_time: datetime
    is_ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReply:
    """One answer over HTTP.

    Attributes
    ----------
    status
        0 if there was no answer: the connection was closed, or it took too long.
    version
        Of the model that answered, by the header; None where none is named.
    """

    status: int
    body: bytes = b""
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequest:
    """One request for predictions, in MLflow's scoring format."""

    request_id: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLoad:
    """Many requests at once, each of them sent once.

    Attributes
    ----------
    connections
        Kept open; each asks its next request when the last one is answered.
    seconds
        After that no request is sent any more.
    """

    requests: Sequence[TrialRequest]
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadMeasured:
    """How requests under load were answered.

    Attributes
    ----------
    acknowledged
        Ids of those that were answered with 200.
    failed
        Requests that were not, with those that got no answer at all.
    seconds
        From the first request to the last answer.
    latencies_ms
        Of every answer, whatever its status, as the client saw it.
    """

    acknowledged: tuple[str, ...]
    failed: int
    seconds: float
    latencies_ms: tuple[float, ...]

    @property
    def requests(self) -> int:
        """All that were sent."""
        return len(self.acknowledged) + self.failed

    @property
    def requests_per_s(self) -> float | None:
        """Answered with 200, per second; None if none was."""
        if not self.acknowledged or self.seconds <= 0:
            return None
        return len(self.acknowledged) / self.seconds

    def quantile_ms(self, level: float) -> float | None:
        """The smallest latency that a share ``level`` of the answers keep; None without any.

        >>> measured = LoadMeasured(
        ...     acknowledged=("a", "b"), failed=0, seconds=1.0, latencies_ms=(3.0, 1.0)
        ... )
        >>> measured.quantile_ms(0.5), measured.quantile_ms(0.99)
        (1.0, 3.0)
        """
        if not self.latencies_ms:
            return None
        ordered = sorted(self.latencies_ms)
        return ordered[max(0, math.ceil(level * len(ordered)) - 1)]
