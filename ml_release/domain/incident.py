"""The incident document: what was wrong with a release, whom it met, how it ended, what is left.

It is put together from records and never from memory. What nobody knows yet says so, and what only
people can know is a field for them. Made again when more is known, it keeps what people wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotation)
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from ml_release.domain.blast_radius import BlastRadius  # noqa: TC001 (pydantic reads it)
from ml_release.domain.identity import canonical_json, digest_of_bytes
from ml_release.domain.incident_causes import VersionDifference  # noqa: TC001 (as above)
from ml_release.domain.incident_followups import FollowUp, follow_ups
from ml_release.domain.incident_impact import Impact
from ml_release.domain.incident_timeline import Moment, Span, Times, spans, timeline
from ml_release.domain.taken_back import Method  # noqa: TC001 (as above)
from ml_release.domain.verdict import Finding, Outcome
from ml_release.errors import IntegrityError

UNKNOWN = "not known yet"
"""What a field says for which there is nothing yet."""

QUESTIONS = {
    "root_cause": "What was the root cause?",
    "contributing": "What made it possible or worse?",
    "detection": "How was it noticed, and could it have been sooner?",
    "what_went_well": "What went well?",
    "what_went_badly": "What went badly?",
}
"""What only people can answer, by the name of the field."""

LOG_GONE = "inference log: part of it is gone since, the counts are those of before"

Status = Literal["open", "verified", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whether the restored state was seen to be good."""

    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    verified_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Who or what took the version back, and on what.

    Attributes
    ----------
    is_automatic
        Whether a judge did, and not a person.
    by
        Name of the judge's rules, or of the person; of automation without a verdict on record, who
        signed the commit.
    reason
        As the commit says it.
    findings
        Those that did it: shown harm. By hand, what the judge objected to at that moment.
    verdict_digest
        None if there is no verdict that was given on the declaration that was taken back.
    """

    is_automatic: bool
    by: str
    reason: str
    findings: tuple[Finding, ...] = ()
    verdict_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One of the two versions of an incident.

    Attributes
    ----------
    run
        Where a browser shows the run that trained it; None if that is not known.
    """

    version: int
    model_digest: str
    trained_at: str | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a person wrote into a field."""

    text: str
    by: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Everything that is known of one rollback.

    Attributes
    ----------
    incident_id
        Release and commit.
    commit
        That took the version back; ``trigger.reason`` is its reason.
    legs
        Where the version had been, in order: ``shadow``, ``canary``, ``champion``, ``treatment``.
    blast_radius
        None if nothing could be compared; ``blast_problem`` says why.
    differences
        Between the records of the two versions; None if they could not be read.
    open_findings
        Of the evaluation that let the version go: what did not pass.
    waived
        What somebody let go of them, in words.
    said
        Name in `QUESTIONS` to what a person wrote.
    follow_ups
        Made by the machine, owned by people.
    verification
        None: not verified yet.
    closed_by
        None while it is open.
    missing
        What could not be had when it was made, and why.
    revision, made_at, earlier
        Counted from 1; when this one was made; digest of the one before it.
    """

    incident_id: str
    line: str
    environment: str
    commit: str
    release: str
    bad: Release
    restored: Release
    method: Method
    legs: tuple[str, ...]
    trigger: Trigger
    times: Times
    impact: Impact = field(default_factory=Impact)
    blast_radius: BlastRadius | None = None
    blast_problem: str = ""
    threshold: float | None = None
    threshold_before: float | None = None
    unit: str = "probability"
    differences: tuple[VersionDifference, ...] | None = None
    open_findings: tuple[Finding, ...] | None = None
    waived: tuple[str, ...] = ()
    said: Mapping[str, Said] = field(default_factory=dict)
    follow_ups: tuple[FollowUp, ...] = ()
    verification: Verification | None = None
    closed_by: str | None = None
    missing: tuple[str, ...] = ()
    revision: int = 1
    made_at: str = ""
    earlier: str | None = None

    @property
    def status(self) -> Status:
        """Open until somebody closes it; verified in between, if what was restored is good."""
        if self.closed_by is not None:
            return "closed"
        good = self.verification is not None and self.verification.outcome is Outcome.PASS
        return "verified" if good else "open"

    @property
    def answers(self) -> tuple[tuple[str, Said | None], ...]:
        """Every question for people with what was written; None where nothing was."""
        return tuple((text, self.said.get(name)) for name, text in QUESTIONS.items())

    @property
    def timeline(self) -> tuple[Moment, ...]:
        """What happened when."""
        return timeline(self.times, judge=self.trigger.by)

    @property
    def spans(self) -> tuple[Span, ...]:
        """How long everything took."""
        return spans(self.times)

    @property
    def content(self) -> Incident:
        """Without what differs from one making to the next."""
        return replace(self, revision=1, made_at="", earlier=None)

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(_INCIDENT.dump_python(self, mode="json"))

    @property
    def digest(self) -> str:
        """Digest of the canonical byte form."""
        return digest_of_bytes(self.to_json())


_INCIDENT = TypeAdapter(Incident)


def incident_from_json(content: bytes) -> Incident:
    """Read a recorded incident back; `IntegrityError` if it is none."""
    try:
        return _INCIDENT.validate_python(json.loads(content))
    except (ValueError, ValidationError) as error:
        message = f"incident: expected a recorded one, found something else ({error})"
        raise IntegrityError(message) from error


def carried_on(made: Incident, before: Incident | None) -> Incident:
    """The incident as it was made now, with what was known before and cannot be had any more.

    The log may have been deleted by its retention, and the verdict replaced by that of a later
    release: what can no longer be counted or read stays as it was. So does what people wrote.
    """
    if before is None:
        return made
    if made.trigger.verdict_digest is None and before.trigger.verdict_digest is not None:
        made = replace(made, trigger=before.trigger)
    if _asked(made) < _asked(before):
        made = replace(
            made,
            impact=before.impact,
            blast_radius=before.blast_radius,
            blast_problem=before.blast_problem,
            missing=(*made.missing, LOG_GONE),
        )
    return replace(
        made,
        times=_known_times(made.times, before.times),
        said={**before.said, **made.said},
        verification=made.verification or before.verification,
        closed_by=made.closed_by or before.closed_by,
        differences=before.differences if made.differences is None else made.differences,
        open_findings=before.open_findings if made.open_findings is None else made.open_findings,
        waived=before.waived if made.open_findings is None else made.waived,
        bad=_kept(made.bad, before.bad),
        restored=_kept(made.restored, before.restored),
        follow_ups=before.follow_ups,
    )


def with_follow_ups(incident: Incident) -> Incident:
    """The incident with what is left to do by what is known now, owned as before."""
    owners = {one.key: one.owner for one in incident.follow_ups}
    made = follow_ups(
        version=incident.bad.version,
        legs=incident.legs,
        impact=incident.impact,
        blast=incident.blast_radius,
        findings=incident.trigger.findings,
        differences=incident.differences,
        waived=incident.waived,
        is_answered="root_cause" in incident.said,
    )
    return replace(
        incident,
        follow_ups=tuple(replace(one, owner=owners.get(one.key, one.owner)) for one in made),
    )


def as_revision(made: Incident, before: Incident | None) -> Incident:
    """With its number and what it follows; ``before`` itself if it says the same."""
    if before is None:
        return made
    if made.content == before.content:
        return before
    return replace(made, revision=before.revision + 1, earlier=before.digest)


def _asked(incident: Incident) -> int:
    return incident.impact.served.rows + incident.impact.shadowed.rows


def _kept(made: Release, before: Release) -> Release:
    return replace(
        made, trained_at=made.trained_at or before.trained_at, run=made.run or before.run
    )


def _known_times(made: Times, before: Times) -> Times:
    names = [one.name for one in fields(Times)]
    found = {name: getattr(made, name) or getattr(before, name) for name in names}
    return Times(**found)
