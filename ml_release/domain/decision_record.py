"""A decision as it is kept: with its path, what it was made on, and the newest ones before it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pydantic import AwareDatetime, Field

from ml_release.domain.monitoring_decision import JUDGE, Action, Cause, Step
from ml_release.domain.recorded import Recorded, read_recorded
from ml_release.domain.verdict import Finding, Outcome, Verdict

MOST_KEPT = 400
"""Of the decisions before, the newest are kept."""

DESCRIPTIONS = {
    "nothing_is_due": "Nothing has to be mended, retrained or taken back.",
    "monitoring_can_tell": "Everything that a decision asks for is known, and far from its limit.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)


class DecisionRecord(Recorded):
    """What was decided about one version at one moment.

    Attributes
    ----------
    version, model_digest, commit
        What answered, and its declaration; None if nothing did.
    canary_version
        The canary it speaks of; None without one.
    target
        Version to roll back to, that came through its watch; None if there is none.
    as_of
        Day of the newest event it was decided on; None if there was none.
    evidence
        Kind of a record to the digest of the one that was looked at.
    """

    line: str
    environment: str
    version: int | None
    model_digest: str | None
    commit: str | None
    canary_version: int | None = None
    target: int | None = None
    as_of: date | None
    decided_at: AwareDatetime
    action: Action
    reason: str
    causes: tuple[Cause, ...] = ()
    path: tuple[Step, ...]
    evidence: Mapping[str, str] = Field(default_factory=dict)

    def sentence(self) -> str:
        """In one line."""
        version = "no version" if self.version is None else f"version {self.version}"
        day = "" if self.as_of is None else f", as of {self.as_of}"
        return f"{self.action.replace('_', ' ')} ({version}{day}): {self.reason}"


class PastDecision(Recorded):
    """One entry of the history: a decision that differs from the one before it."""

    decided_at: AwareDatetime
    as_of: date | None
    version: int | None
    action: Action
    reason: str


class DecisionHistory(Recorded):
    """Decisions, oldest first: one per change of version, action or reason."""

    decisions: tuple[PastDecision, ...] = ()

    def with_newest(self, record: DecisionRecord) -> DecisionHistory:
        """The history after one more decision; the same again adds nothing."""
        new = PastDecision(
            decided_at=record.decided_at,
            as_of=record.as_of,
            version=record.version,
            action=record.action,
            reason=record.reason,
        )
        last = self.decisions[-1] if self.decisions else None
        if last is not None and _what(last) == _what(new):
            return self
        return DecisionHistory(decisions=(*self.decisions, new)[-MOST_KEPT:])


def _what(one: PastDecision) -> tuple[object, ...]:
    return (one.version, one.action, one.reason)


def decision_from_json(content: bytes) -> DecisionRecord:
    """Read a recorded decision back; `IntegrityError` if it is none."""
    return read_recorded(DecisionRecord, content, "decision")


def history_from_json(content: bytes) -> DecisionHistory:
    """Read a recorded history back; `IntegrityError` if it is none."""
    return read_recorded(DecisionHistory, content, "history of decisions")


def judge_decision(record: DecisionRecord) -> Verdict:
    """The decision as findings: what is due fails, what cannot be told is inconclusive."""
    due = record.action not in ("nothing", "watch")
    subject = record.line if record.version is None else f"version {record.version}"
    doubt = Outcome.INCONCLUSIVE if record.action == "watch" else Outcome.PASS
    return Verdict(
        judge=JUDGE,
        line=record.line,
        subject_digest=record.digest,
        evidence=dict(record.evidence),
        findings=(
            Finding(
                rule="nothing_is_due",
                subject=subject,
                outcome=Outcome.FAIL if due else doubt,
                detail=record.sentence(),
            ),
            Finding(
                rule="monitoring_can_tell",
                subject=subject,
                outcome=doubt,
                detail="" if doubt is Outcome.PASS else record.reason,
            ),
        ),
    )
