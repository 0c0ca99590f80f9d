"""Whether a shadow may advance: a paired experiment, judged on every tick.

The shadow answers the very requests that the champion answers, so that what the requests do to both
cancels. It may be looked at as often as one likes: a shadow as good as the champion is ended with
at most the declared chance, over all looks together. What is missing is never agreement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ml_release.domain.identity import digest_of_json
from ml_release.domain.shadow_pairs import ShadowEvidence as ShadowEvidence  # noqa: PLC0414, TC001
from ml_release.domain.shadow_policy import AGE, AGREEMENT, ERRORS, LEANING, SHIFT
from ml_release.domain.shadow_policy import DESCRIPTIONS as DESCRIPTIONS  # noqa: PLC0414
from ml_release.domain.shadow_policy import RULES as RULES  # noqa: PLC0414
from ml_release.domain.shadow_policy import ShadowPolicy as ShadowPolicy  # noqa: PLC0414
from ml_release.domain.shadow_quality import quality_finding
from ml_release.domain.shadow_rules import (
    decision_findings,
    enough_findings,
    failure_finding,
    latency_finding,
    score_findings,
)
from ml_release.domain.shadow_slices import slice_findings
from ml_release.domain.verdict import Finding, Outcome, Verdict, without_vote

if TYPE_CHECKING:
    from ml_release.domain.shadow_counts import PairCounts

JUDGE = "shadow/1"
_GROWTH = 1.5
_MOST_PAIRS = 1_000_000


class Answer(StrEnum):
    """What is to become of a shadow."""

    ADVANCE = "advance"
    UNDECIDED = "undecided"
    HOLD = "hold"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowJudgement:
    """A verdict with what follows from it.

    Attributes
    ----------
    answer
        ``advance``: every rule that votes passes. ``undecided``: nothing fails and something is not
        known yet, so wait. ``hold``: stay here until a person looks. ``roll_back``: end it.
    more_pairs
        About how many more pairs would decide, if they are like those so far; 0 if pairs are not
        what lacks, None if that cannot be said.
    reason
        One sentence.
    """

    verdict: Verdict
    answer: Answer
    more_pairs: int | None
    reason: str


def judge_shadow(evidence: ShadowEvidence, policy: ShadowPolicy) -> ShadowJudgement:
    """Hold the pairs against the policy.

    Missing pairs, labels and values are inconclusive. Of the verdict's evidence ``routes`` names
    the declarations under which the pairs were answered, ``window_start`` and ``window_end`` when.
    """
    findings = (
        *enough_findings(evidence, policy),
        failure_finding(evidence, policy),
        *decision_findings(evidence, policy),
        *score_findings(evidence, policy),
        *slice_findings(evidence, policy),
        *latency_finding(evidence, policy),
        quality_finding(evidence, policy),
        _age_finding(evidence, policy),
    )
    shown = {rule for rule in RULES if policy.consequence(rule) == "show"}
    verdict = Verdict(
        judge=JUDGE,
        line=evidence.line,
        subject_digest=evidence.model_digest,
        evidence={
            "champion_digest": evidence.champion_digest,
            "policy_digest": digest_of_json(policy.model_dump(mode="json")),
            "routes": " ".join(evidence.routes),
            "window_start": evidence.window_start or "none",
            "window_end": evidence.window_end or "none",
        },
        findings=without_vote(findings, shown),
    )
    answer, reason = answer_of(verdict, policy)
    more = _more_pairs(evidence, policy) if answer is Answer.UNDECIDED else 0
    return ShadowJudgement(verdict=verdict, answer=answer, more_pairs=more, reason=reason)


def answer_of(verdict: Verdict, policy: ShadowPolicy) -> tuple[Answer, str]:
    """What follows from a verdict, also from a recorded one, with the reason in a sentence."""
    objections = verdict.objections
    failed = [f for f in objections if f.outcome is Outcome.FAIL]
    for consequence, answer in (("roll_back", Answer.ROLL_BACK), ("hold", Answer.HOLD)):
        for finding in failed:
            if policy.consequence(finding.rule) == consequence:
                return answer, finding.sentence()
    if verdict.outcome is Outcome.PASS:
        return Answer.ADVANCE, "every rule that votes passes"
    waits = objections[0].sentence() if objections else "no rule votes"
    is_old = any(f.rule == AGE and f.outcome is not Outcome.PASS for f in verdict.findings)
    if is_old:
        reason = f"undecided for longer than {policy.maximum_age_hours:g} hours: {waits}"
        return Answer(policy.when_too_old), reason
    return Answer.UNDECIDED, waits


def _age_finding(evidence: ShadowEvidence, policy: ShadowPolicy) -> Finding:
    """It has no vote: age alone neither ends a good shadow nor passes a bad one."""
    known = math.isfinite(evidence.age_hours)
    in_time = known and evidence.age_hours <= policy.maximum_age_hours
    return Finding(
        rule=AGE,
        subject="since the step began",
        outcome=Outcome.PASS if in_time else Outcome.FAIL if known else Outcome.INCONCLUSIVE,
        observed=evidence.age_hours if known else None,
        limit=policy.maximum_age_hours,
        unit="hours",
        votes=False,
    )


def _more_pairs(evidence: ShadowEvidence, policy: ShadowPolicy) -> int | None:
    """The pairs that are missing if all rates stay as they are."""
    n = evidence.requests.pairs
    if n < 2:  # noqa: PLR2004 (one pair says nothing of the rates)
        return policy.minimum_pairs - n
    factor = max(1.0, policy.minimum_pairs / n)
    while n * factor <= _MOST_PAIRS:
        grown = replace(evidence, requests=_grown(evidence.requests, factor))
        findings = (
            failure_finding(grown, policy),
            *decision_findings(grown, policy),
            *score_findings(grown, policy),
        )
        decided = all(
            finding.outcome is not Outcome.INCONCLUSIVE
            for finding in findings
            if finding.rule in {ERRORS, AGREEMENT, LEANING, SHIFT} and finding.votes
        )
        if decided:
            return max(0, math.ceil(n * factor) - n)
        factor *= _GROWTH
    return None


def _grown(counts: PairCounts, factor: float) -> PairCounts:
    """The same rates and moments with more pairs."""
    scores = counts.scores
    names = set(type(counts).model_fields) - {"scores"}
    squares = [name for name in type(scores).model_fields if name.startswith(("square", "product"))]
    return counts.model_copy(
        update={name: math.ceil(getattr(counts, name) * factor) for name in names}
        | {
            "scores": scores.model_copy(
                update={"n": math.ceil(scores.n * factor)}
                | {name: getattr(scores, name) * factor for name in squares}
            )
        }
    )
