"""Who let a version through, on what, and whether that still counts.

An approval is somebody's word on the evidence as it was that day. When the evidence is another one
it lapses; it is never carried over. A rejection holds until the same person takes it back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from ml_release.domain.identity import canonical_json, digest_of_bytes
from ml_release.domain.verdict import Finding, Outcome
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RULE = "approvals_suffice"
LONGEST_TEXT = 500
_Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT)
]
_NOBODY_KNOWN = (None, "", "unknown")


class ApprovalPolicy(BaseModel):
    """Who has to agree before a version answers anybody.

    Attributes
    ----------
    needed
        Different people; 0 where nobody has to.
    author_may_approve
        Whether the word of whoever trained the version counts.
    valid_days
        How long a word counts.
    approvers
        The only ones whose word counts; empty for anybody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    needed: Annotated[int, Field(ge=0, le=20)] = 1
    author_may_approve: bool = False
    valid_days: Annotated[float, Field(gt=0)] = 14.0
    approvers: tuple[_Text, ...] = ()


class Approval(BaseModel):
    """One person's word on one version.

    Attributes
    ----------
    evidence
        Name to digest of everything that was on the table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: Literal["approved", "rejected"]
    model_digest: str
    by: _Text
    reason: _Text
    at: AwareDatetime
    evidence: dict[str, str]


_APPROVALS = TypeAdapter(tuple[Approval, ...])


def approvals_to_json(approvals: Sequence[Approval]) -> bytes:
    """The canonical byte form."""
    return canonical_json(_APPROVALS.dump_python(tuple(approvals), mode="json"))


def approvals_from_json(content: bytes) -> tuple[Approval, ...]:
    """Read back what was recorded; `IntegrityError` if it is something else or was edited."""
    try:
        found = _APPROVALS.validate_json(content)
        is_canonical = approvals_to_json(found) == canonical_json(json.loads(content))
    except (ValidationError, ValueError) as error:
        message = f"approvals: expected a record of approvals, found something else ({error})"
        raise IntegrityError(message) from error
    if not is_canonical:
        message = "approvals: expected the record as it was written, found it edited"
        raise IntegrityError(message)
    return found


def approvals_digest(approvals: Sequence[Approval]) -> str:
    """Digest of some approvals, in their order."""
    return digest_of_bytes(approvals_to_json(approvals))


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """The finding on a version's approvals, and the words it rests on."""

    finding: Finding
    counted: tuple[Approval, ...]

    @property
    def digest(self) -> str | None:
        """Of the words that count; None if there are none."""
        return approvals_digest(self.counted) if self.counted else None


def judge_approvals(
    recorded: Sequence[Approval],
    policy: ApprovalPolicy,
    *,
    subject: str,
    model_digest: str,
    evidence: Mapping[str, str],
    author: str | None,
    now: datetime,
) -> Approvals:
    """Whether enough people let a version through, on the evidence as it is ``now``.

    Of each person the word that was recorded last counts, whatever the clock said. A standing
    rejection fails, whatever the others say and however old it is; too few words are inconclusive:
    they may still come.

    Parameters
    ----------
    recorded
        In the order in which they were given.
    evidence
        Name to digest of what the version rests on at present.
    author
        Who trained it; None if nobody knows, and then nobody's word can be told from the author's
        where that matters.
    """
    last = {person(one.by): one for one in recorded if one.model_digest == model_digest}
    rejected = [one for one in last.values() if one.decision == "rejected"]
    counted, others = [], []
    for one in last.values():
        why_not = _why_not(one, policy, evidence=evidence, author=author, now=now)
        if one.decision == "approved":
            (others.append(f"{one.by}: {why_not}") if why_not else counted.append(one))
    counted.sort(key=lambda one: (one.at, one.by))
    if rejected:
        outcome = Outcome.FAIL
        said = "; ".join(f"rejected by {one.by}: {one.reason}" for one in rejected)
    elif len(counted) >= policy.needed:
        outcome = Outcome.PASS
        said = "; ".join(f"{one.by} at {one.at:%Y-%m-%d %H:%M}: {one.reason}" for one in counted)
        said = said or "the policy asks for none"
    else:
        outcome = Outcome.INCONCLUSIVE
        said = "; ".join(others) or "nobody has approved it on the present evidence"
    finding = Finding(
        rule=RULE,
        subject=subject,
        outcome=outcome,
        observed=len(counted),
        limit=policy.needed,
        bound="at least",
        unit="people",
        n=len(last),
        detail=said,
    )
    return Approvals(finding=finding, counted=tuple(counted))


def _why_not(
    one: Approval,
    policy: ApprovalPolicy,
    *,
    evidence: Mapping[str, str],
    author: str | None,
    now: datetime,
) -> str | None:
    """Why an approval does not count; None if it does."""
    is_approver = person(one.by) in {person(name) for name in policy.approvers}
    changed = sorted(
        name for name in {*one.evidence, *evidence} if one.evidence.get(name) != evidence.get(name)
    )
    said = f"approved at {one.at:%Y-%m-%d %H:%M}"
    reasons = {
        f"is none of the approvers {', '.join(policy.approvers)}": policy.approvers
        and not is_approver,
        "nobody knows who trained the version, so an author could be approving": (
            not policy.author_may_approve and author in _NOBODY_KNOWN
        ),
        "trained the version and may not approve it": (
            not policy.author_may_approve and person(one.by) == person(author or "")
        ),
        f"{said}, which is still to come": one.at > now,
        f"{said}, more than {policy.valid_days:g} days ago": (
            now - one.at > timedelta(days=policy.valid_days)
        ),
        f"approved on other evidence ({', '.join(changed)} changed since)": changed,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def person(name: str) -> str:
    """One person, however the name was typed."""
    return " ".join(name.split()).casefold()
