"""What was counted of one step so far, as it is recorded between two looks at the log.

It has a bounded size, whatever the traffic: counts, sums and the newest request ids.
"""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotation)
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 (as above)

from pydantic import TypeAdapter, ValidationError

from ml_release.domain.canary_counts import Stretch  # noqa: TC001 (as above)
from ml_release.domain.identity import canonical_json
from ml_release.errors import IntegrityError

REMEMBERED_IDS = 10_000
"""So many of the newest requests are known by their ids. A client that repeats a request soon, and
a record that was logged but not acknowledged, count once; a repeat that comes after so many other
requests counts again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryUnderWay:
    """The canary that is to be watched, as production declares it.

    Attributes
    ----------
    release
        Name of the attempt.
    step, step_began
        Counted from 0; with zone.
    canary_version, control_version
        Of the canary and of the champion.
    """

    release: str
    step: int
    step_began: datetime
    canary_version: int
    canary_digest: str
    control_version: int
    control_digest: str

    def subject(self, step: int | None = None) -> str:
        """What the tally of a step is recorded under."""
        return f"{self.release}/{self.step if step is None else step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What both arms are measured by, frozen from requests that the control answered.

    Attributes
    ----------
    frozen_at
        The latency of requests received after this moment is counted; None for all of the step.
    n
        Requests of the control behind it.
    latency_limits_ms
        By the name of the metric.
    score_edges
        Inner edges of the bins of scores, rising; empty if no score is known.
    """

    n: int
    frozen_at: datetime | None = None
    latency_limits_ms: Mapping[str, float] = field(default_factory=dict)
    score_edges: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryTally:
    """The counts of one step, and where to go on reading.

    Attributes
    ----------
    policy_digest
        Of the policy that said what to count; by another one all is counted again.
    cursor
        Bytes of every segment of the log that were counted.
    yardstick
        None until the control has answered enough; all is read again until then.
    shares
        Declared share of the canary by the commit that declared it; None where there is no canary.
    recent_ids
        Hashes of the ids of the newest requests, oldest first.
    quality_rests_on
        Digest of the labels and days that were scored; None if none were.
    """

    line: str
    canary_digest: str
    control_digest: str
    step_began: datetime
    policy_digest: str
    cursor: Mapping[str, int] = field(default_factory=dict)
    yardstick: Yardstick | None = None
    shares: Mapping[str, float | None] = field(default_factory=dict)
    stretches: tuple[Stretch, ...] = ()
    canary_last_seen: datetime | None = None
    control_last_seen: datetime | None = None
    recent_ids: tuple[str, ...] = ()
    quality_rests_on: str | None = None

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(_TALLY.dump_python(self, mode="json"))


_TALLY = TypeAdapter(CanaryTally)


def tally_from_json(content: bytes) -> CanaryTally:
    """Read a recorded tally back; `IntegrityError` if it is none."""
    try:
        return _TALLY.validate_python(json.loads(content))
    except (ValueError, ValidationError) as error:
        message = f"canary tally: expected a recorded one, found something else ({error})"
        raise IntegrityError(message) from error
