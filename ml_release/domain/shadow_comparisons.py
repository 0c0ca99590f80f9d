"""Differences of paired answers held against their limits, so that one may look on every tick."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ml_release.domain.sequential_intervals import mean_sequence
from ml_release.domain.sequential_tests import log_e_more_events
from ml_release.domain.shadow_policy import AGREEMENT, ERRORS
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from ml_release.domain.intervals import Interval
    from ml_release.domain.shadow_counts import PairCounts
    from ml_release.domain.shadow_pairs import ShadowEvidence
    from ml_release.domain.shadow_policy import ShadowPolicy

FAMILIES = 6
"""Failures, agreement, leaning, shift, slices and quality share the chance of a false alarm."""

UNTOLD = "it cannot be told yet"


def alpha_of(policy: ShadowPolicy) -> float:
    """The chance of a false alarm that one family of rules may use up."""
    return (1 - policy.confidence) / FAMILIES


def leans(ups: int, downs: int, alpha: float) -> bool:
    """Whether ups are shown to be likelier than downs, of pairs in which the halves differ."""
    return float(log_e_more_events(ups, downs, 0.5)) >= -math.log(alpha)


def shift_finding(
    rule: str,
    subject: str,
    counts: PairCounts,
    evidence: ShadowEvidence,
    *,
    limit: float,
    confidence: float,
    minimum: int,
) -> Finding:
    """The mean difference; of a regression in standard deviations of the champion's scores."""
    scores = counts.scores
    is_value = evidence.output == "value"
    unit = evidence.requests.scores.champion_deviation if is_value else 1.0
    mean, variance = math.nan, math.nan
    if scores.n > 1 and unit > 0:
        # One more pair without a difference: a shift that all pairs share is seen as one.
        variance = scores.variance / unit**2 + (scores.difference / unit) ** 2 / scores.n
        mean = scores.difference / unit
    interval = mean_sequence(mean, variance, scores.n, confidence=confidence, tau=limit / 2)
    return held_within(
        rule,
        subject,
        interval,
        limit,
        minimum=minimum,
        unit="deviations of the champion's" if is_value else "shadow less champion",
        # Before there are pairs enough, a mean is not normal and its interval no evidence.
        may_fail_early=False,
    )


def held_within(
    rule: str,
    subject: str,
    interval: Interval,
    limit: float,
    *,
    minimum: int,
    unit: str,
    detail: str = "",
    shown: bool = False,
    may_fail_early: bool = True,
) -> Finding:
    """A difference held against a limit on its size: all of the interval inside, or all outside.

    ``shown`` says that another test has found it to be beyond the limit.
    """
    low, high, n = interval.low, interval.high, interval.n
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    farthest = max(abs(low), abs(high))
    # A shadow that fails less often than the champion is no reason to stop it.
    if rule == ERRORS:
        nearest, farthest = low, high
    outcome, reason = Outcome.INCONCLUSIVE, UNTOLD
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(interval.estimate)):
        reason = "the value could not be computed"
    elif (shown or nearest > limit) and (may_fail_early or n >= minimum):
        outcome, reason = Outcome.FAIL, ""
    elif n < minimum:
        reason = f"expected at least {minimum} pairs, found {n}"
    elif farthest <= limit:
        outcome, reason = Outcome.PASS, ""
    ends = f"interval {low:.4g} to {high:.4g}" if math.isfinite(low) and n else ""
    return Finding(
        rule=rule,
        subject=subject,
        outcome=outcome,
        observed=interval.estimate if math.isfinite(interval.estimate) else None,
        limit=limit,
        bound="at most" if rule in {ERRORS, AGREEMENT} else "within",
        unit=unit,
        n=n,
        detail="; ".join(part for part in (reason, ends, detail) if part),
    )
