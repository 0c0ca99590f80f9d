"""The canary judge: advance, hold, roll back or go on, from counts of canary and control.

It may be asked at every tick: its tests are valid however often one looks. What rolls back is harm
that was shown; what advances is no harm that was shown; neither follows from the lack of the other.
Inputs that drift meet both arms alike and decide nothing here. Moving traffic is done elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ml_release.domain.canary_counts import (
    ArmPair,
    ArmTally,
    CanaryEvidence,
    RateCount,
    Stretch,
)
from ml_release.domain.canary_findings import canary_findings
from ml_release.domain.canary_measures import Measure, measure
from ml_release.domain.canary_metric import CanaryMetric
from ml_release.domain.canary_needs import NOTHING_MORE, CanaryNeeds, canary_needs
from ml_release.domain.canary_policy import CanaryPolicy, CanarySlices, CanaryStep
from ml_release.domain.canary_rules import (
    AGE,
    ASKED,
    CLOCK,
    DESCRIPTIONS,
    HARM,
    RULES,
    SLICES,
    YARDSTICK,
)
from ml_release.domain.verdict import Finding, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DESCRIPTIONS",
    "RULES",
    "ArmPair",
    "ArmTally",
    "CanaryAnswer",
    "CanaryEvidence",
    "CanaryMetric",
    "CanaryNeeds",
    "CanaryPolicy",
    "CanarySlices",
    "CanaryStep",
    "CanaryVerdict",
    "Measure",
    "RateCount",
    "Stretch",
    "judge_canary",
]

JUDGE = "canary/1"


class CanaryAnswer(StrEnum):
    """What is to be done now."""

    ADVANCE = "advance"
    HOLD = "hold"
    ROLL_BACK = "roll_back"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class CanaryVerdict:
    """What the judge says.

    Attributes
    ----------
    answer
        ``advance`` if and only if the outcome of ``verdict`` is pass. ``undecided`` goes on
        collecting, ``hold`` waits for something else than requests.
    verdict
        The findings; ``evidence`` names the answer too.
    needs
        Until the step could advance; nothing for advance and roll back.
    measures
        Every metric with its e-values.
    """

    answer: CanaryAnswer
    verdict: Verdict
    needs: CanaryNeeds
    measures: tuple[Measure, ...]


def judge_canary(
    evidence: CanaryEvidence, policy: CanaryPolicy, *, step: CanaryStep
) -> CanaryVerdict:
    """Judge a canary at one moment.

    In this order: a source or clock that cannot be trusted holds (or what the policy says of age);
    harm that was shown rolls back, even where the split is off or traffic stopped, since holding
    would leave it hurting; then age; then what holds; then what is not shown yet.

    Parameters
    ----------
    step
        The present one, with its minima.
    """
    arms = [stretch.arms for stretch in evidence.stretches]
    measures = tuple(measure(metric, arms) for metric in policy.metrics)
    findings = canary_findings(evidence, policy, measures, step=step)
    answer = _answer(findings, policy)
    is_settled = answer in (CanaryAnswer.ADVANCE, CanaryAnswer.ROLL_BACK)
    verdict = Verdict(
        judge=JUDGE,
        line=evidence.line,
        subject_digest=evidence.model_digest,
        evidence={
            "answer": answer.value,
            "champion_digest": evidence.champion_digest,
            "policy_digest": policy.digest,
            "step": str(evidence.step),
            "route_commits": ",".join(dict.fromkeys(s.route_commit for s in evidence.stretches)),
            "window": f"{evidence.step_began.isoformat()}/{evidence.now.isoformat()}",
        },
        findings=findings,
    )
    return CanaryVerdict(
        answer=answer,
        verdict=verdict,
        needs=NOTHING_MORE if is_settled else _needs(findings, evidence, policy, step=step),
        measures=measures,
    )


def _answer(findings: Sequence[Finding], policy: CanaryPolicy) -> CanaryAnswer:
    open_ = [f for f in findings if f.votes and f.outcome is not Outcome.PASS]
    rules = {f.rule for f in open_}
    failed = [f for f in open_ if f.outcome is Outcome.FAIL]
    on_age = CanaryAnswer.ROLL_BACK if policy.when_too_old == "roll_back" else CanaryAnswer.HOLD
    if any(f.outcome is Outcome.ERROR for f in open_):
        # Age needs nothing but a clock that can be trusted.
        return on_age if AGE in rules and CLOCK not in rules else CanaryAnswer.HOLD
    if _is_harmful(failed, policy):
        return CanaryAnswer.ROLL_BACK
    if AGE in rules:
        return on_age
    if failed or rules & {ASKED, YARDSTICK}:
        return CanaryAnswer.HOLD
    return CanaryAnswer.UNDECIDED if open_ else CanaryAnswer.ADVANCE


def _is_harmful(failed: Sequence[Finding], policy: CanaryPolicy) -> bool:
    votes = {metric.name: metric.vote for metric in policy.metrics}
    harmed = [votes[f.subject] for f in failed if f.rule == HARM]
    is_slice = any(f.rule == SLICES for f in failed)
    return (
        "critical" in harmed
        or len(harmed) >= policy.voting_to_roll_back
        or (is_slice and policy.slices is not None and policy.slices.when_harmed == "roll_back")
    )


def _needs(
    findings: Sequence[Finding],
    evidence: CanaryEvidence,
    policy: CanaryPolicy,
    *,
    step: CanaryStep,
) -> CanaryNeeds:
    # Of counts that cannot be trusted nothing follows.
    if any(f.outcome is Outcome.ERROR for f in findings):
        return CanaryNeeds(requests=None, minutes=None)
    return canary_needs(evidence, policy, step=step)
