"""Verdicts of the stages as they were recorded: read again before every move."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ml_release.domain.verdict import Finding, Outcome, verdict_from_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from ml_release.domain.deployment import Declaration
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

STAGING_VERDICT = "staging_verdict"
SHADOW_VERDICT = "shadow_verdict"
CANARY_VERDICT = "canary_verdict"
WATCH_VERDICT = "watch_verdict"
JUDGED_AT = "judged_at"


def recorded_verdict(
    line: ReleaseLine, kind: str, model_digest: str, *, evidence: EvidenceStore
) -> Verdict | None:
    """The verdict recorded last on a version, None if there is none.

    Raises
    ------
    IntegrityError
        If the record was edited.
    """
    content = evidence.find(line.name, kind, model_digest)
    return None if content is None else verdict_from_json(content)


def bound(verdict: Verdict, standing: Declaration | None, *, now: datetime) -> Verdict:
    """The verdict with what it was given on: which declaration, when.

    A move reads both again: what was seen on one step says nothing of the next.
    """
    commit = "none" if standing is None else standing.commit
    names = {**verdict.evidence, "declared_commit": commit, JUDGED_AT: now.isoformat()}
    return replace(verdict, evidence=names)


def stage_finding(
    verdict: Verdict | None,
    *,
    rule: str,
    subject: str,
    model_digest: str,
    expected: Mapping[str, str],
    now: datetime,
    fresh_for: timedelta | None = None,
) -> Finding:
    """Whether a recorded verdict lets a version go on now.

    Parameters
    ----------
    expected
        Name to digest of what it must have been given on.
    fresh_for
        How old it may be; None for any age.
    """
    if verdict is None:
        return _finding(rule, subject, Outcome.INCONCLUSIVE, "nothing is recorded")
    if verdict.subject_digest != model_digest:
        said = f"the recorded verdict is on {verdict.subject_digest[:19]}"
        return _finding(rule, subject, Outcome.FAIL, said)
    other = sorted(n for n, value in expected.items() if verdict.evidence.get(n) != value)
    if other:
        said = f"judged on other evidence ({', '.join(other)} changed since); judge again"
        return _finding(rule, subject, Outcome.INCONCLUSIVE, said)
    if fresh_for is not None and not _is_fresh(verdict, now=now, fresh_for=fresh_for):
        said = f"judged at {verdict.evidence.get(JUDGED_AT, 'an unknown time')}; judge again"
        return _finding(rule, subject, Outcome.INCONCLUSIVE, said)
    said = "; ".join(finding.sentence() for finding in verdict.objections)
    return _finding(rule, subject, verdict.outcome, said or f"judged by {verdict.judge}")


def _is_fresh(verdict: Verdict, *, now: datetime, fresh_for: timedelta) -> bool:
    try:
        judged_at = datetime.fromisoformat(verdict.evidence.get(JUDGED_AT, ""))
        age = now - judged_at
    except (ValueError, TypeError):
        return False
    # A verdict of the future is of a clock that was moved: nobody knows how old it is.
    return age.total_seconds() >= 0 and age <= fresh_for


def _finding(rule: str, subject: str, outcome: Outcome, detail: str) -> Finding:
    return Finding(rule=rule, subject=subject, outcome=outcome, detail=detail)
