"""Waivers: a named person lets one finding of one candidate go, for a time, with a reason.

A waived finding stays what it is. It never becomes a pass: the verdict, the checks and the record
of the release keep showing it. What a waiver changes is that an act which would be refused for
this finding alone goes on, and says on whose word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from ml_release.domain.identity import canonical_json, digest_of_bytes
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml_release.domain.verdict import Finding, Verdict


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Waiver(BaseModel):
    """One finding let go.

    Attributes
    ----------
    candidate
        Model digest of the candidate it holds for; another one needs another waiver.
    verdict
        Digest of the verdict that was read; judged again, the finding has to be waived again.
    rule, subject
        Of the finding.
    by, reason
        Who answers for it, and why.
    given_at, expires_at
        From when and until when it holds, the end excluded; some time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    verdict: str
    rule: str
    subject: str
    by: _Text
    reason: _Text
    given_at: AwareDatetime
    expires_at: AwareDatetime

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.expires_at <= self.given_at:
            message = (
                f"waiver of {self.rule} [{self.subject}]: expected it to end after"
                f" {self.given_at.isoformat()}, found {self.expires_at.isoformat()}"
            )
            raise ValueError(message)
        return self

    @property
    def label(self) -> str:
        """What it lets go, on whose word and until when."""
        until = f"{self.expires_at:%Y-%m-%d %H:%M %Z}"
        return f"{self.rule} [{self.subject}] by {self.by} until {until}"

    def holds_for(self, finding: Finding, verdict: Verdict, *, now: datetime) -> bool:
        """Whether it lets this finding of this very verdict go, at this time."""
        return (
            self.rule == finding.rule
            and self.subject == finding.subject
            and self.candidate == verdict.subject_digest
            and self.verdict == verdict.digest
            and self.given_at <= now < self.expires_at
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waived:
    """A finding that does not pass, and the waiver that lets it go."""

    finding: Finding
    waiver: Waiver

    def sentence(self) -> str:
        """Both in one line."""
        waiver = self.waiver
        return (
            f"WAIVED by {waiver.by} until {waiver.expires_at:%Y-%m-%d %H:%M %Z}"
            f" ({waiver.reason}): {self.finding.sentence()}"
        )


_WAIVERS = TypeAdapter(tuple[Waiver, ...])


def waivers_to_json(waivers: Sequence[Waiver]) -> bytes:
    """The canonical byte form of all waivers of one candidate."""
    return canonical_json(_WAIVERS.dump_python(tuple(waivers), mode="json"))


def waivers_from_json(content: bytes) -> tuple[Waiver, ...]:
    """Read recorded waivers back.

    Raises
    ------
    IntegrityError
        If they are none: a field is missing, empty or unknown, or a time has no zone.
    """
    try:
        return _WAIVERS.validate_json(content)
    except ValidationError as error:
        message = f"waivers: expected recorded ones, found something else ({error})"
        raise IntegrityError(message) from error


def holding(waived: Sequence[Waived]) -> tuple[Waiver, ...]:
    """The waivers an act goes on, each once, in the order of their findings."""
    return tuple(dict.fromkeys(one.waiver for one in waived))


def waivers_digest(waivers: Sequence[Waiver]) -> str:
    """Digest of `waivers_to_json`: what a version and a commit name their waivers by."""
    return digest_of_bytes(waivers_to_json(waivers))


def waiver_changes(before: Sequence[Waiver], now: Sequence[Waiver]) -> tuple[str, ...]:
    """What an act goes on now that an earlier one did not, and the other way round."""
    return (
        *(f"no longer used: {waiver.label}" for waiver in before if waiver not in now),
        *(f"new: {waiver.label}" for waiver in now if waiver not in before),
    )


def waivable(verdict: Verdict, *, rule: str, subject: str | None) -> tuple[Finding, ...]:
    """The findings of a verdict that a waiver would let go; all of the rule without a subject.

    Raises
    ------
    RefusedError
        If the verdict has no such finding that keeps it from passing, naming those it has.
    """
    found = tuple(
        finding
        for finding in verdict.objections
        if finding.rule == rule and subject in {None, finding.subject}
    )
    if not found:
        known = [f"{finding.rule} [{finding.subject}]" for finding in verdict.objections]
        about = rule if subject is None else f"{rule} [{subject}]"
        message = (
            f"waiver of {about} refused: expected a finding that keeps the candidate"
            f" {verdict.subject_digest[:19]} from passing, found {known or 'none at all'}."
        )
        raise RefusedError(message)
    return found


def split_objections(
    verdict: Verdict, waivers: Sequence[Waiver], *, now: datetime
) -> tuple[tuple[Finding, ...], tuple[Waived, ...]]:
    """What still keeps the verdict from passing, and what is let go on somebody's word.

    A verdict without any voting finding shows nothing, so that no waiver helps it: its outcome is
    not pass and nothing is let go.
    """
    open_, waived = [], []
    for finding in verdict.objections:
        holding = [w for w in waivers if w.holds_for(finding, verdict, now=now)]
        if holding:
            waived.append(Waived(finding=finding, waiver=holding[-1]))
        else:
            open_.append(finding)
    return tuple(open_), tuple(waived)


def require_pass_or_waivers(
    verdict: Verdict, waivers: Sequence[Waiver], *, act: str, subject: str, now: datetime
) -> tuple[Waived, ...]:
    """What an act goes on without, on somebody's word; nothing if the verdict passes.

    Raises
    ------
    RefusedError
        If a finding that does not pass is not waived now, with every one of them in the message.
    """
    if verdict.outcome is Outcome.PASS:
        return ()
    still, waived = split_objections(verdict, waivers, now=now)
    if still or not waived:
        reasons = "\n".join(f"  - {finding.sentence()}" for finding in still)
        lapsed = [w for w in waivers if w.expires_at <= now]
        earlier = [w for w in waivers if w.verdict != verdict.digest and w not in lapsed]
        message = (
            f"{act} of {subject} refused: the verdict of {verdict.judge} is"
            f" {verdict.outcome.value}.\n{reasons or '  - it holds no finding that votes'}"
            + (f"\nExpired waivers: {len(lapsed)}." if lapsed else "")
            + (f"\nWaivers of another verdict: {len(earlier)}." if earlier else "")
        )
        raise RefusedError(message)
    return waived
