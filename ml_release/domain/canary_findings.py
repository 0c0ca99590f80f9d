"""The findings of the canary judge: one rule on one subject each, with numbers and limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ml_release.domain.canary_conditions import condition_findings, minimum_findings
from ml_release.domain.canary_counts import ArmPair
from ml_release.domain.canary_measures import measure
from ml_release.domain.canary_rules import HARM, NO_WORSE, SLICES, YARDSTICK
from ml_release.domain.sequential_tests import e_value
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.canary_counts import CanaryEvidence
    from ml_release.domain.canary_measures import Measure
    from ml_release.domain.canary_policy import CanaryPolicy, CanaryStep


def canary_findings(
    evidence: CanaryEvidence,
    policy: CanaryPolicy,
    measures: Sequence[Measure],
    *,
    step: CanaryStep,
) -> tuple[Finding, ...]:
    """Every rule applied, in the order of `RULES`; ``measures`` are of the policy's metrics."""
    return (
        *condition_findings(evidence, policy),
        *_yardstick(measures, policy),
        *(_harm(found, policy) for found in measures),
        *(_no_worse(f, policy) for f in measures if f.metric.kind != "score_distribution"),
        *_slices(evidence, policy),
        *minimum_findings(evidence, step),
    )


def _yardstick(measures: Sequence[Measure], policy: CanaryPolicy) -> tuple[Finding, ...]:
    rates = [
        (found.metric.name, found.control, found.control_n)
        for found in measures
        if found.metric.kind == "error_rate" and not found.problem
    ]
    return tuple(
        Finding(
            rule=YARDSTICK,
            subject=name,
            outcome=Outcome.PASS if rate <= policy.control_rate_limit else Outcome.INCONCLUSIVE,
            observed=rate,
            limit=policy.control_rate_limit,
            n=n,
        )
        for name, rate, n in rates
        if rate is not None
    )


def _harm(found: Measure, policy: CanaryPolicy) -> Finding:
    metric = found.metric
    outcome = Outcome.INCONCLUSIVE if found.problem else Outcome.PASS
    if found.is_harmed(policy.harm_alpha):
        outcome = Outcome.FAIL
    # A voting metric speaks when it is harmed; what is not known of it keeps nothing back.
    votes = metric.vote == "critical" or (metric.vote == "voting" and outcome is Outcome.FAIL)
    return Finding(
        rule=HARM,
        subject=metric.name,
        outcome=outcome,
        observed=_finite(found.worsening),
        limit=metric.minimum_effect,
        unit="worse",
        n=found.canary_n,
        votes=votes,
        detail=found.problem or _arms(found, found.log_e_harm, policy.harm_alpha),
    )


def _no_worse(found: Measure, policy: CanaryPolicy) -> Finding:
    metric = found.metric
    is_shown = found.is_no_worse(policy.alpha_advance)
    return Finding(
        rule=NO_WORSE,
        subject=metric.name,
        outcome=Outcome.PASS if is_shown else Outcome.INCONCLUSIVE,
        observed=_finite(found.worsening),
        limit=metric.tolerance,
        unit="worse",
        n=found.canary_n,
        votes=metric.vote == "critical",
        detail=found.problem or _arms(found, found.log_e_no_worse, policy.alpha_advance),
    )


def _slices(evidence: CanaryEvidence, policy: CanaryPolicy) -> tuple[Finding, ...]:
    if policy.slices is None:
        return ()
    findings = []
    for name in evidence.slice_names[: policy.slices.maximum_slices]:
        arms = [stretch.slices.get(name, ArmPair()) for stretch in evidence.stretches]
        for metric in policy.metrics:
            if metric.name not in policy.slices.metrics:
                continue
            found = measure(metric, arms)
            is_judged = found.canary_n >= policy.slices.minimum_n and not found.problem
            harmed = is_judged and found.is_harmed(policy.slice_alpha)
            outcome = Outcome.PASS if is_judged else Outcome.INCONCLUSIVE
            findings.append(
                Finding(
                    rule=SLICES,
                    subject=f"{metric.name} of {name}",
                    outcome=Outcome.FAIL if harmed else outcome,
                    observed=_finite(found.worsening),
                    limit=metric.minimum_effect,
                    unit="worse",
                    n=found.canary_n,
                    votes=harmed,
                    detail=found.problem or _arms(found, found.log_e_harm, policy.slice_alpha),
                )
            )
    return tuple(findings)


def _arms(found: Measure, log_e: float, alpha: float) -> str:
    values = (
        ""
        if found.canary is None or found.control is None
        else f"canary {found.canary:.4g}, control {found.control:.4g}; "
    )
    return f"{values}{e_value(log_e)} of {1 / alpha:.0f} needed"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
