"""The recorded form of what an experiment has shown, and what a sensor may do about it alone.

Only harm ends an experiment without a person. That an arm is better, that the planned end has come
or that the split is off is said, and waits for somebody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.experiment_analysis import Analysis, ArmOutcome, ArmResult, analyse
from ml_release.domain.experiment_design import digest_of_experiment
from ml_release.domain.experiment_split import (
    OVERLAP,
    SAMPLE_RATIO,
    overlap_findings,
    split_findings,
    void_because,
)
from ml_release.domain.identity import digest_of_json
from ml_release.domain.verdict import Finding, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ml_release.domain.experiment import Experiment
    from ml_release.domain.experiment_design import ExperimentPlan
    from ml_release.domain.experiment_policy import ExperimentPolicy
    from ml_release.domain.experiment_scores import Observed

JUDGE = "experiments/1"
UNHARMFUL = "experiment_is_unharmful"
DESCRIPTIONS = {
    UNHARMFUL: "No arm is worse than the control by more than is tolerated: in its rewards, or in"
    " any guardrail.",
    SAMPLE_RATIO: "Units, and units with a reward, met the arms in the declared parts.",
    OVERLAP: "Weighting by propensity leaves enough of every arm's answers.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """End the experiment now, or why not; ``run_key`` is the same for the same cause."""

    end: bool
    reason: str
    run_key: str | None = None


def judge_experiment(
    line: str,
    experiment: Experiment,
    observed: Observed,
    plan: ExperimentPlan,
    *,
    now: datetime,
    evidence: Mapping[str, str],
) -> tuple[Analysis, Verdict]:
    """Analyse and put the findings down.

    Parameters
    ----------
    observed
        See `ml_release.domain.experiment_analysis.analyse`.
    evidence
        Digests of the arms' models and commits; the plan's and the policy's are added.
    """
    splits = split_findings(experiment, observed, plan.policy)
    found = analyse(experiment, observed, plan, now=now, void_because=void_because(splits))
    verdict = Verdict(
        judge=JUDGE,
        line=line,
        subject_digest=digest_of_experiment(experiment),
        evidence={
            **evidence,
            "plan_digest": plan.digest,
            "policy_digest": digest_of_json(plan.policy.model_dump(mode="json")),
        },
        findings=(
            *(finding for arm in found.arms for finding in _harm(arm, plan.policy)),
            *splits,
            *overlap_findings(experiment, observed, plan.policy),
        ),
    )
    return found, verdict


def decide_ending(experiment: Experiment | None, verdict: Verdict | None) -> Ending:
    """Whether what is recorded asks for the end of the declared experiment, for harm alone."""
    if experiment is None:
        return Ending(end=False, reason="no experiment is declared")
    digest = digest_of_experiment(experiment)
    if verdict is None or verdict.subject_digest != digest:
        return Ending(end=False, reason=f"experiment {experiment.name}: not judged yet")
    harm = [f for f in verdict.findings if f.rule == UNHARMFUL and f.outcome is Outcome.FAIL]
    if harm:
        return Ending(
            end=True,
            reason="harm: " + "; ".join(finding.sentence() for finding in harm),
            run_key=f"end:{digest}",
        )
    if verdict.judge != JUDGE:
        return Ending(end=False, reason=f"experiment {experiment.name}: judged by other rules")
    split = [f for f in verdict.findings if f.rule == SAMPLE_RATIO and f.outcome is Outcome.FAIL]
    if split:
        return Ending(
            end=False,
            reason=f"experiment {experiment.name} is void: {split[0].sentence()}; end it by hand",
        )
    return Ending(end=False, reason=f"experiment {experiment.name}: no harm is shown")


def _harm(arm: ArmResult, policy: ExperimentPolicy) -> tuple[Finding, ...]:
    effect = policy.minimum_detectable_effect
    least = policy.sign * (arm.low if policy.sign > 0 else arm.high)
    outcome = Outcome.INCONCLUSIVE
    if arm.outcome is ArmOutcome.WORSE:
        outcome = Outcome.FAIL
    elif arm.units >= policy.minimum_units_per_arm and least > -effect:
        outcome = Outcome.PASS
    reward = Finding(
        rule=UNHARMFUL,
        subject=f"version {arm.version}, reward",
        outcome=outcome,
        observed=_known(policy.sign * arm.difference),
        limit=-effect,
        bound="at least",
        unit="to the control",
        n=arm.answers,
        detail=_interval(arm.low, arm.high, arm.outcome.value),
    )
    return (
        reward,
        *(
            Finding(
                rule=UNHARMFUL,
                subject=f"version {arm.version}, {one.metric}",
                outcome=Outcome.FAIL
                if one.is_harmed
                else Outcome.PASS
                if one.is_kept
                else Outcome.INCONCLUSIVE,
                observed=_known(one.difference),
                limit=one.tolerance,
                unit="to the control",
                n=one.answers,
                detail=_interval(one.low, one.high, ""),
            )
            for one in arm.guardrails
        ),
    )


def _interval(low: float, high: float, said: str) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return "too few units to say anything"
    ends = f"interval {low:.4g} to {high:.4g}"
    return f"{said}; {ends}" if said else ends


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
