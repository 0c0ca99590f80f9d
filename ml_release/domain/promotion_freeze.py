"""An exceeded error budget freezes promotions: who is held by it, and who is not.

A rollback, a withdrawal, a restored state, a rejection and the kill switch never ask here: what
ends harm waits for no budget. See docs/decisions/0028.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from ml_release.domain.slo import BUDGET, exhausted
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml_release.domain.verdict import Verdict
    from ml_release.domain.waivers import Waiver

QUALITY = frozenset({"correctness", "freshness", "fairness"})
"""What a model that has learned from newer data can repair; of requests no model is the cure."""


def budget_waived(
    waivers: Sequence[Waiver], budget: str, *, model_digest: str, now: datetime
) -> Waiver | None:
    """The waiver that lets a version pass a frozen budget now; None if there is none.

    It holds for one version and a time, and over later verdicts: budgets are judged every few
    minutes.
    """
    holding = [
        one
        for one in waivers
        if one.rule == BUDGET
        and one.subject == budget
        and one.candidate == model_digest
        and one.given_at <= now < one.expires_at
    ]
    return holding[-1] if holding else None


def freeze_finding(
    verdict: Verdict | None,
    *,
    line: str,
    subject: str,
    model_digest: str,
    learned_to: str | None,
    champion_learned_to: str | None,
    waivers: Sequence[Waiver],
    now: datetime,
) -> Finding:
    """Whether the error budgets let a version be promoted: only a failure holds it.

    A failure holds until it is judged again, under whichever policy it was given and however old
    it is.

    Parameters
    ----------
    verdict
        The newest on the line's promises; None if there is none: a first release has no traffic.
    subject
        Which version, in words.
    learned_to, champion_learned_to
        ISO days, the last ones of the training data; None if not known.
    """
    if verdict is None:
        return _finding(
            subject, Outcome.INCONCLUSIVE, "no SLO verdict is recorded; nothing is held by it"
        )
    held, let_go, budgets = [], [], exhausted(verdict)
    for finding in budgets:
        waiver = budget_waived(waivers, finding.subject, model_digest=model_digest, now=now)
        if finding.subject in QUALITY and _is_newer(learned_to, champion_learned_to):
            let_go.append(
                f"{finding.subject}: it has learned from data to {learned_to}, the champion to"
                f" {champion_learned_to}"
            )
        elif waiver is not None:
            let_go.append(f"{finding.subject}: WAIVED by {waiver.by} ({waiver.reason})")
        else:
            held.append(finding)
    judged_at = verdict.evidence.get("judged_at", "an unknown time")
    if held:
        said = "; ".join(f"{f.subject}: {f.detail}" for f in held)
        return _finding(
            subject,
            Outcome.FAIL,
            f"promotions are frozen, the error budget is spent: {said} (judged at {judged_at})."
            " Rollbacks are not. Wait until the window has moved on and slo_report was judged"
            f" again, release a repair, or let it go for this version with `ml-release waive {line}"
            f" {BUDGET} --subject {held[0].subject} --candidate {model_digest}`",
        )
    unknown = [f for f in verdict.findings if f.rule == BUDGET and f.outcome is not Outcome.PASS]
    if let_go:
        return _finding(subject, Outcome.INCONCLUSIVE, f"spent and let go: {'; '.join(let_go)}")
    if unknown:
        said = "; ".join(f"{f.subject}: {f.detail}" for f in unknown)
        return _finding(subject, Outcome.INCONCLUSIVE, f"not known: {said}")
    return _finding(subject, Outcome.PASS, f"judged at {judged_at}")


def _is_newer(learned_to: str | None, champion_learned_to: str | None) -> bool:
    if learned_to is None or champion_learned_to is None:
        return False
    return date.fromisoformat(learned_to) > date.fromisoformat(champion_learned_to)


def _finding(subject: str, outcome: Outcome, detail: str) -> Finding:
    return Finding(rule=BUDGET, subject=subject, outcome=outcome, votes=False, detail=detail)
