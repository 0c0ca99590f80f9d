"""What has to hold for canary and control to be compared: source, clock, traffic, split, time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ml_release.domain.canary_rules import (
    AGE,
    ASKED,
    CLOCK,
    COUNTS,
    MINUTES,
    REQUESTS,
    SOURCE,
    SPLIT,
)
from ml_release.domain.sample_ratio import log_e_sample_ratio
from ml_release.domain.sequential_tests import e_value
from ml_release.domain.verdict import Finding, Outcome, compare

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.canary_counts import CanaryEvidence, Stretch
    from ml_release.domain.canary_policy import CanaryPolicy, CanaryStep

_CLOCK_LEEWAY_MINUTES = 1.0


def condition_findings(evidence: CanaryEvidence, policy: CanaryPolicy) -> tuple[Finding, ...]:
    """Whether canary and control can be compared, and in time."""
    return (
        _source(evidence),
        _clock(evidence),
        _counts(evidence),
        _age(evidence, policy),
        *_asked(evidence, policy),
        _split(evidence, policy),
    )


def _source(evidence: CanaryEvidence) -> Finding:
    outcome = Outcome.ERROR if evidence.source_problem else Outcome.PASS
    return Finding(
        rule=SOURCE, subject=evidence.line, outcome=outcome, detail=evidence.source_problem
    )


def _clock(evidence: CanaryEvidence) -> Finding:
    seen = (evidence.canary_last_seen, evidence.control_last_seen)
    ahead = [0.0, -evidence.minutes, *(-_minutes_ago(at, evidence) for at in seen if at)]
    return Finding(
        rule=CLOCK,
        subject=evidence.line,
        outcome=Outcome.ERROR if max(ahead) > _CLOCK_LEEWAY_MINUTES else Outcome.PASS,
        observed=max(ahead),
        limit=_CLOCK_LEEWAY_MINUTES,
        unit="minutes ahead",
    )


def _counts(evidence: CanaryEvidence) -> Finding:
    bad = [
        f"step {stretch.step + 1}, route {stretch.route_commit[:12]}"
        for stretch in evidence.stretches
        if not _is_possible(stretch)
    ]
    return Finding(
        rule=COUNTS,
        subject=evidence.line,
        outcome=Outcome.ERROR if bad else Outcome.PASS,
        detail=f"impossible counts in {'; '.join(bad)}. Count again from the log." if bad else "",
    )


def _age(evidence: CanaryEvidence, policy: CanaryPolicy) -> Finding:
    return compare(
        rule=AGE,
        subject=_step_of(evidence),
        observed=max(0.0, evidence.minutes) / 60,
        limit=policy.maximum_age_hours,
        bound="at most",
        unit="hours",
    )


def _asked(evidence: CanaryEvidence, policy: CanaryPolicy) -> tuple[Finding, ...]:
    seen = {"canary": evidence.canary_last_seen, "control": evidence.control_last_seen}
    return tuple(_arm_asked(arm, at, evidence, policy) for arm, at in seen.items())


def _arm_asked(
    arm: str, at: datetime | None, evidence: CanaryEvidence, policy: CanaryPolicy
) -> Finding:
    # An arm that was never asked is as old as the step.
    minutes = evidence.minutes if at is None else _minutes_ago(at, evidence)
    is_recent = minutes <= policy.stale_minutes
    detail = "no request yet" if at is None else ""
    if not is_recent:
        detail = f"{detail or 'no request lately'}; look at the traffic and at the log"
    return Finding(
        rule=ASKED,
        subject=arm,
        outcome=Outcome.PASS if is_recent else Outcome.INCONCLUSIVE,
        observed=max(0.0, minutes),
        limit=policy.stale_minutes,
        unit="minutes ago",
        detail=detail,
    )


def _minutes_ago(at: datetime, evidence: CanaryEvidence) -> float:
    return (evidence.now - at).total_seconds() / 60


def _split(evidence: CanaryEvidence, policy: CanaryPolicy) -> Finding:
    subject = "canary and control"
    counted = [s for s in evidence.stretches if s.arms.canary.requests + s.arms.control.requests]
    if not counted or not all(_is_possible(stretch) for stretch in counted):
        return Finding(rule=SPLIT, subject=subject, outcome=Outcome.INCONCLUSIVE, n=0)
    log_e = found = expected = 0.0
    n = 0
    for stretch in counted:
        canary, control = stretch.arms.canary.requests, stretch.arms.control.requests
        share = stretch.canary_share
        log_e += float(log_e_sample_ratio([canary, control], [share, 1 - share]))
        found += canary
        expected += share * (canary + control)
        n += canary + control
    off = abs(found / expected - 1)
    is_off = log_e >= -math.log(policy.sample_ratio_alpha) and off > policy.sample_ratio_tolerance
    return Finding(
        rule=SPLIT,
        subject=subject,
        outcome=Outcome.FAIL if is_off else Outcome.PASS,
        observed=off,
        limit=policy.sample_ratio_tolerance,
        unit="of the declared share",
        n=n,
        detail=f"{found:g} requests of the canary, {expected:g} declared; {e_value(log_e)}"
        f" of {1 / policy.sample_ratio_alpha:.0f}",
    )


def minimum_findings(evidence: CanaryEvidence, step: CanaryStep) -> tuple[Finding, ...]:
    """Whether the step has lasted as long, and seen as many requests, as it has to."""
    requests = evidence.in_step.canary.requests
    pairs = (
        (REQUESTS, float(requests), float(step.minimum_requests), "requests"),
        (MINUTES, max(0.0, evidence.minutes), step.minimum_minutes, "minutes"),
    )
    return tuple(
        Finding(
            rule=rule,
            subject=_step_of(evidence),
            outcome=Outcome.PASS if found >= least else Outcome.INCONCLUSIVE,
            observed=found,
            limit=least,
            bound="at least",
            unit=unit,
            n=requests,
        )
        for rule, found, least, unit in pairs
    )


def _step_of(evidence: CanaryEvidence) -> str:
    """For people, who count from 1."""
    return f"step {evidence.step + 1}"


def _is_possible(stretch: Stretch) -> bool:
    pairs = (stretch.arms, *stretch.slices.values())
    return all(pair.makes_sense for pair in pairs) and 0 < stretch.canary_share < 1
