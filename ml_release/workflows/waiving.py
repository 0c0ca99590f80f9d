"""Let findings of one candidate go, on a named person's word and for a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ml_release.domain.slo import BUDGET
from ml_release.domain.verdict import verdict_from_json
from ml_release.domain.waivers import (
    Waived,
    Waiver,
    waivable,
    waivers_from_json,
    waivers_to_json,
)
from ml_release.errors import InputError, NotFoundError
from ml_release.workflows.budget_freeze import waive_budget
from ml_release.workflows.evaluation_records import EVALUATION_VERDICT
from ml_release.workflows.training import find_candidate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ml_release.domain.verdict import Finding, Verdict
    from ml_release.ports import Clock, EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

WAIVERS = "waivers"
LONGEST = timedelta(days=90)
"""What has to be waived for longer is not an exception: the policy has to say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverRequest:
    """Who lets what go, for how long, and why.

    Attributes
    ----------
    subject
        Of the finding; None for all findings of the rule.
    """

    rule: str
    subject: str | None
    by: str
    reason: str
    lasts: timedelta

    def of(
        self, verdict: Verdict, findings: Iterable[Finding], *, model_digest: str, now: datetime
    ) -> tuple[Waived, ...]:
        """A waiver, from now on, of each finding of a verdict on a candidate."""
        return tuple(
            Waived(
                finding=finding,
                waiver=Waiver(
                    candidate=model_digest,
                    verdict=verdict.digest,
                    rule=finding.rule,
                    subject=finding.subject,
                    by=self.by.strip(),
                    reason=self.reason.strip(),
                    given_at=now,
                    expires_at=now + self.lasts,
                ),
            )
            for finding in findings
        )


def waive(
    line: ReleaseLine,
    request: WaiverRequest,
    *,
    model_digest: str | None,
    environment: str = "production",
    evidence: EvidenceStore,
    clock: Clock,
) -> tuple[Waived, ...]:
    """Record a waiver for each finding meant, of the newest candidate for None.

    For `error_budget_is_left` that is a budget of the environment which is spent: the candidate is
    promoted in spite of it.

    Raises
    ------
    InputError
        If nobody or no reason is named, or the time is none or longer than `LONGEST`.
    RefusedError
        If the recorded verdict has no such finding that keeps it from passing.
    NotFoundError
        If there is no candidate, or it was not evaluated.
    """
    _require_sense(line, request)
    candidate = find_candidate(line, model_digest, evidence=evidence)
    if request.rule == BUDGET:
        return waive_budget(
            line,
            request,
            model_digest=candidate.model_digest,
            environment=environment,
            evidence=evidence,
            now=clock.now(),
        )
    content = evidence.find(line.name, EVALUATION_VERDICT, candidate.model_digest)
    if content is None:
        message = (
            f"waiver for {line.name} candidate {candidate.model_digest[:19]}: expected a recorded"
            f" verdict, found none. Materialize {line.name}/evaluation first."
        )
        raise NotFoundError(message)
    verdict = verdict_from_json(content)
    found = request.of(
        verdict,
        waivable(verdict, rule=request.rule, subject=request.subject),
        model_digest=candidate.model_digest,
        now=clock.now(),
    )
    known = recorded_waivers(line, candidate.model_digest, evidence=evidence)
    document = waivers_to_json((*known, *(one.waiver for one in found)))
    evidence.record(line.name, WAIVERS, candidate.model_digest, document)
    return found


def recorded_waivers(
    line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore
) -> tuple[Waiver, ...]:
    """Every waiver that was given for a candidate, also those that have expired.

    Raises
    ------
    IntegrityError
        If the record was edited.
    """
    content = evidence.find(line.name, WAIVERS, model_digest)
    return () if content is None else waivers_from_json(content)


def _require_sense(line: ReleaseLine, request: WaiverRequest) -> None:
    problems = [
        f"{name}: expected a text, found none"
        for name in ("by", "reason")
        if not getattr(request, name).strip()
    ]
    if not timedelta(0) < request.lasts <= LONGEST:
        problems.append(f"time: expected up to {LONGEST.days} days, found {request.lasts}")
    if problems:
        message = f"waiver for {line.name}: {'; '.join(problems)}"
        raise InputError(message)
