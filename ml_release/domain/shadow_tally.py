"""What a shadow's pairs add up to so far, and how far the log was read: one record per step.

The cursor and the counts are one document, so that a tick that dies leaves both as they were and
the next one reads the same records again. Days keep a random sample of their pairs: those with the
smallest hashes, which is the same sample however the pairs came in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.shadow_counts import PairCounts
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable

PAIRS_PER_DAY = 2000
"""Pairs of a day that are kept to be compared with labels, and to be drawn."""


class Half(NamedTuple):
    """One answer that waits for the other one to the same row.

    Attributes
    ----------
    received_time, event_time
        ISO 8601 in UTC.
    score, decision
        None where there is none.
    slices
        Values of the slice columns in their order; empty for a shadow, whose champion has them.
    """

    request_id: str
    row: int
    received_time: str
    event_time: str
    score: float | None
    failed: bool
    decision: int | None
    latency_ms: float
    slices: tuple[str | None, ...] = ()


class SampledPair(NamedTuple):
    """A pair of finite scores in the sample of its day; ``key`` is its place by chance."""

    key: str
    request_id: str
    event_time: str
    champion: float
    shadow: float
    champion_ms: float
    shadow_ms: float


class SliceTally(BaseModel):
    """The pairs of one slice; ``value`` is None where it is missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    value: str | None
    counts: PairCounts


class DayTally(BaseModel):
    """The pairs of one local day of event time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: int = 0
    sample: tuple[SampledPair, ...] = ()

    def plus(self, pairs: int, sampled: Iterable[SampledPair]) -> DayTally:
        """With more pairs; the smallest keys stay."""
        smallest = sorted({*self.sample, *sampled})[:PAIRS_PER_DAY]
        return DayTally(pairs=self.pairs + pairs, sample=tuple(smallest))


class ShadowTally(BaseModel):
    """All pairs of one step.

    Attributes
    ----------
    since
        ISO 8601: when the step began. Another one makes it another step.
    cursor
        Bytes read per segment of the log.
    routes
        Commits under which the shadow is asked beside the champion.
    requests, rows
        Pairs of first rows, and of all rows.
    unanswered
        Sampled requests whose shadow answer was not found in time.
    orphans
        Shadow answers whose request was not found in time; they count for nothing.
    classes
        Answers that were probabilities of several classes.
    first_received, last_received
        ISO 8601 in UTC: of the paired requests; None without any.
    newest_received
        ISO 8601 in UTC: of everything read; what waits grows old by it.
    waiting_champion, waiting_shadow
        Halves without the other one, as yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    release: str
    step: int = Field(ge=0)
    version: int
    model_digest: str
    champion_digest: str
    since: str
    cursor: Mapping[str, int] = Field(default_factory=dict)
    routes: tuple[str, ...] = ()
    requests: PairCounts = Field(default_factory=PairCounts)
    rows: PairCounts = Field(default_factory=PairCounts)
    slices: tuple[SliceTally, ...] = ()
    days: Mapping[str, DayTally] = Field(default_factory=dict)
    unanswered: int = 0
    orphans: int = 0
    classes: int = 0
    first_received: str | None = None
    last_received: str | None = None
    newest_received: str | None = None
    waiting_champion: tuple[Half, ...] = ()
    waiting_shadow: tuple[Half, ...] = ()

    def is_of_same_step(self, other: ShadowTally) -> bool:
        """Whether both are about the same versions in the same step."""
        names = ("line", "release", "step", "version", "model_digest", "champion_digest", "since")
        return all(getattr(self, name) == getattr(other, name) for name in names)


def sample_key(request_id: str) -> str:
    """Where chance puts a request, 16 hexadecimal digits; not what it is sampled for shadows by.

    >>> sample_key("r1")
    'f831c9a1c0fb4aa9'
    """
    return hashlib.sha256(f"shadow-pairs:{request_id}".encode()).hexdigest()[:16]


def shadow_tally_from_json(content: bytes) -> ShadowTally:
    """Read a recorded tally back; `IntegrityError` if it is none."""
    try:
        return ShadowTally.model_validate_json(content)
    except ValidationError as error:
        message = (
            f"shadow tally: expected a recorded one, found something else ({error}). Count the step"
            " afresh."
        )
        raise IntegrityError(message) from error
