"""A rollback that was rehearsed: what was measured of it, and whether it was good enough.

Moments are those of one machine: the server's log and the decision are on the same clock.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.identity import canonical_json
from ml_release.domain.verdict import Finding, Outcome, Verdict, compare
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

JUDGE = "drill/1"
RESTORED = "every_round_was_taken_back"
FAST = "the_bad_version_is_silent_soon"
UNHARMED = "no_request_failed"
DESCRIPTIONS = {
    RESTORED: "In every round the version to go back to answered again.",
    FAST: "From the decision to the last request on the bad version passes little time.",
    UNHARMED: "Nobody got an error because of it.",
}
RULES = tuple(DESCRIPTIONS)
GATE = "rollback_was_rehearsed"
_SECONDS_PER_DAY = 86400.0


class DrillPolicy(BaseModel):
    """How a rollback is rehearsed, and when that went well.

    Attributes
    ----------
    rounds
        How often, unless asked otherwise.
    connections
        Each asks its next request when the last one is answered.
    switch_limit_s
        For each of the two switches of a round; one that takes longer ends the drill.
    silence_limit_s
        At most from the decision to the last request on the bad version, at the 95th percentile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rounds: Annotated[int, Field(ge=1, le=1000)] = 3
    connections: Annotated[int, Field(ge=1, le=64)] = 2
    switch_limit_s: Annotated[float, Field(gt=0)] = 60.0
    silence_limit_s: Annotated[float, Field(gt=0)] = 5.0


class DrillRound(BaseModel):
    """One rollback, from the bad release to the last request on it.

    Attributes
    ----------
    released_at, first_bad_at, detected_at
        When the bad version was declared, first asked, and found to be bad.
    decided_at, committed_at
        Before and after the rollback was made.
    first_restored_at, last_bad_at
        When the restored version was first asked since, and the bad one last; None for never.
    requests, failed
        Of the round, and those of them that were not answered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    released_at: AwareDatetime
    first_bad_at: AwareDatetime
    detected_at: AwareDatetime
    decided_at: AwareDatetime
    committed_at: AwareDatetime
    first_restored_at: AwareDatetime | None
    last_bad_at: AwareDatetime | None
    requests: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)]

    @property
    def detection_s(self) -> float:
        """From the first request on the bad version to its detection."""
        return _seconds(self.first_bad_at, self.detected_at)

    @property
    def commit_s(self) -> float:
        """From the decision to the commit."""
        return _seconds(self.decided_at, self.committed_at)

    @property
    def restored_s(self) -> float | None:
        """From the decision to the first request on the restored version."""
        return (
            None
            if self.first_restored_at is None
            else _seconds(self.decided_at, self.first_restored_at)
        )

    @property
    def silent_s(self) -> float | None:
        """From the decision to the last request on the bad version; 0 if that came before it."""
        if self.last_bad_at is None:
            return None
        return max(0.0, _seconds(self.decided_at, self.last_bad_at))


class DrillRecord(BaseModel):
    """A drill of a line.

    Attributes
    ----------
    released, restored
        The versions that took part: the present champion, and the one to go back to.
    is_same_model
        Whether both were the same artefact, since there is nothing to go back to yet.
    at
        When it ended.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    environment: str
    by: str
    released: int
    restored: int
    is_same_model: bool
    at: AwareDatetime
    rounds: tuple[DrillRound, ...]

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read back what was recorded; `IntegrityError` if it is something else."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            message = f"drill: expected a recorded drill, found something else ({error})"
            raise IntegrityError(message) from error

    @property
    def failed(self) -> int:
        """Requests that were not answered, in all rounds."""
        return sum(one.failed for one in self.rounds)

    def silent_p95_s(self) -> float | None:
        """95th percentile of `DrillRound.silent_s` by the nearest rank; None if one is missing."""
        return p95(one.silent_s for one in self.rounds)

    def restored_p95_s(self) -> float | None:
        """As `silent_p95_s`, of `DrillRound.restored_s`."""
        return p95(one.restored_s for one in self.rounds)


def p95(values: Iterable[float | None]) -> float | None:
    """The smallest value that 95 % of them keep; None without any, or if one is not known.

    >>> p95([3.0, 1.0]), p95([1.0, None])
    (3.0, None)
    """
    known = list(values)
    found = sorted(value for value in known if value is not None)
    if not found or len(found) < len(known):
        return None
    return found[math.ceil(0.95 * len(found)) - 1]


def judge_drill(record: DrillRecord, policy: DrillPolicy, *, subject_digest: str) -> Verdict:
    """Whether a drill went well; one without rounds shows nothing."""
    n = len(record.rounds)
    subject = f"version {record.restored} after version {record.released}"
    back = sum(one.first_restored_at is not None for one in record.rounds)
    requests = sum(one.requests for one in record.rounds)
    findings = (
        compare(
            rule=RESTORED,
            subject=subject,
            observed=back / n if n else None,
            limit=1.0,
            bound="at least",
            unit="share of the rounds",
            n=n,
        ),
        compare(
            rule=FAST,
            subject=subject,
            observed=record.silent_p95_s(),
            limit=policy.silence_limit_s,
            bound="at most",
            unit="s, p95",
            n=n,
        ),
        compare(
            rule=UNHARMED,
            subject=subject,
            observed=record.failed if requests else None,
            limit=0,
            bound="at most",
            unit="requests",
            n=requests,
        ),
    )
    return Verdict(judge=JUDGE, line=record.line, subject_digest=subject_digest, findings=findings)


def drill_finding(
    record: DrillRecord | None,
    policy: DrillPolicy,
    *,
    subject: str,
    maximum_age_days: float,
    now: datetime,
) -> Finding:
    """Whether the last drill lets a version get traffic: it went well, and lately.

    Parameters
    ----------
    record
        The last one; None if there never was one.
    """
    ask = "Run `ml-release drill`"
    if record is None:
        return Finding(
            rule=GATE,
            subject=subject,
            outcome=Outcome.INCONCLUSIVE,
            detail=f"none on record. {ask}",
        )
    verdict = judge_drill(record, policy, subject_digest="")
    if verdict.outcome is not Outcome.PASS:
        said = "; ".join(one.sentence() for one in verdict.objections)
        return Finding(rule=GATE, subject=subject, outcome=verdict.outcome, detail=said)
    age = _seconds(record.at, now) / _SECONDS_PER_DAY
    # A drill of the future is of a clock that was moved: nobody knows how old it is.
    if not 0 <= age <= maximum_age_days:
        said = f"the last one is {age:.3g} days old, at most {maximum_age_days:g} allowed. {ask}"
        return Finding(rule=GATE, subject=subject, outcome=Outcome.INCONCLUSIVE, detail=said)
    return Finding(rule=GATE, subject=subject, outcome=Outcome.PASS, n=len(record.rounds))


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()
