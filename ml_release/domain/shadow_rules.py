"""The rules a shadow is held against: failures, decisions, scores, time.

Whatever may end a shadow is tested so that it may be looked at on every tick. The rest (spread,
correlation, latency) is read as it stands: it moves little once there are pairs enough, and by
default it only holds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ml_release.domain.sequential_intervals import paired_rates_sequence, rate_sequence
from ml_release.domain.shadow_comparisons import alpha_of, held_within, leans, shift_finding
from ml_release.domain.shadow_policy import (
    AGREEMENT,
    CORRELATION,
    COVERAGE,
    DISTRIBUTION,
    ENOUGH,
    ERRORS,
    LATENCY,
    LEANING,
    SHIFT,
)
from ml_release.domain.verdict import Finding, Outcome, compare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_release.domain.shadow_counts import PairCounts
    from ml_release.domain.shadow_pairs import ShadowEvidence
    from ml_release.domain.shadow_policy import ShadowPolicy

_CLASSES = "not judged: the answers are probabilities of several classes"


def enough_findings(evidence: ShadowEvidence, policy: ShadowPolicy) -> Iterator[Finding]:
    """Pairs, hours and days. Too few fail nothing: they are not known yet."""
    pairs = evidence.requests.pairs
    for subject, observed, limit, unit in (
        ("pairs", pairs, policy.minimum_pairs, "pairs"),
        ("hours", evidence.hours, policy.minimum_hours, "hours"),
        ("days", evidence.days, policy.minimum_days, "days"),
    ):
        is_met = pairs > 0 and observed >= limit
        yield Finding(
            rule=ENOUGH,
            subject=subject,
            outcome=Outcome.PASS if is_met else Outcome.INCONCLUSIVE,
            observed=float(observed) if math.isfinite(observed) else None,
            limit=float(limit),
            bound="at least",
            unit=unit,
            n=pairs,
            detail="" if pairs else "no request was answered by both",
        )
    found = compare(
        rule=COVERAGE,
        subject="sampled requests",
        observed=evidence.coverage,
        limit=policy.coverage_floor,
        bound="at least",
        n=evidence.sampled_requests,
        detail=f"{evidence.requests.pairs} of {evidence.sampled_requests} sampled requests met the"
        " shadow",
    )
    # A shadow that was not asked has not failed; what it would have said is not known.
    if found.outcome is Outcome.FAIL:
        found = replace(found, outcome=Outcome.INCONCLUSIVE)
    yield found


def failure_finding(evidence: ShadowEvidence, policy: ShadowPolicy) -> Finding:
    """McNemar's test of failures that may be looked at, and the interval of the difference."""
    counts, alpha = evidence.requests, alpha_of(policy)
    n = counts.pairs
    interval = paired_rates_sequence(
        counts.shadow_failed,
        counts.champion_failed,
        n,
        confidence=1 - alpha / 2,
        tau=policy.error_rate_limit / 2,
    )
    return held_within(
        ERRORS,
        "requests",
        interval,
        policy.error_rate_limit,
        minimum=policy.minimum_pairs,
        unit="of requests, shadow less champion",
        shown=leans(counts.shadow_failed, counts.champion_failed, alpha / 2)
        and interval.estimate > policy.error_rate_limit,
        detail=f"{counts.shadow_failed} failed of the shadow alone, {counts.champion_failed} of the"
        f" champion alone, {counts.both_failed} of both",
    )


def decision_findings(evidence: ShadowEvidence, policy: ShadowPolicy) -> Iterator[Finding]:
    """How often the two decide alike, and to which side the shadow leans."""
    counts, alpha = evidence.requests, alpha_of(policy)
    if not evidence.decides:
        for rule in (AGREEMENT, LEANING):
            yield Finding(
                rule=rule,
                subject="requests",
                outcome=Outcome.INCONCLUSIVE,
                # Several classes do decide something, which nobody looks at here.
                votes=evidence.output == "classes",
                detail=_CLASSES
                if evidence.output == "classes"
                else "not judged: no threshold is declared, so that nothing is decided",
            )
        return
    n = counts.decided
    yield held_within(
        AGREEMENT,
        "requests",
        rate_sequence(counts.disagreeing, n, confidence=1 - alpha),
        1 - policy.agreement_floor,
        minimum=policy.minimum_pairs,
        unit="of decisions differ",
        detail=f"{counts.both_yes} both yes, {counts.both_no} both no",
    )
    net = paired_rates_sequence(
        counts.shadow_only,
        counts.champion_only,
        n,
        confidence=1 - alpha / 2,
        tau=policy.decision_shift_limit / 2,
    )
    leaning = leans(counts.shadow_only, counts.champion_only, alpha / 4) or leans(
        counts.champion_only, counts.shadow_only, alpha / 4
    )
    yield held_within(
        LEANING,
        "requests",
        net,
        policy.decision_shift_limit,
        minimum=policy.minimum_pairs,
        unit="share of yes, shadow less champion",
        shown=leaning and abs(net.estimate) > policy.decision_shift_limit,
        detail=_direction(counts, alpha),
    )


def score_findings(evidence: ShadowEvidence, policy: ShadowPolicy) -> Iterator[Finding]:
    """Mean, spread and correlation of the scores."""
    counts = evidence.requests
    if evidence.output == "classes":
        for rule in (SHIFT, DISTRIBUTION, CORRELATION):
            yield Finding(
                rule=rule, subject="scores", outcome=Outcome.INCONCLUSIVE, detail=_CLASSES
            )
        return
    yield shift_finding(
        SHIFT,
        "requests",
        counts,
        evidence,
        limit=policy.mean_shift_limit,
        confidence=1 - alpha_of(policy),
        minimum=policy.minimum_pairs,
    )
    yield compare(
        rule=DISTRIBUTION,
        subject="scores",
        observed=evidence.sample.psi_nats,
        limit=policy.psi_limit_nats,
        bound="at most",
        unit="nats",
        n=evidence.sample.n,
        minimum_n=min(policy.minimum_pairs, 1000),
    )
    correlation = counts.scores.correlation
    yield compare(
        rule=CORRELATION,
        subject="scores",
        observed=correlation,
        limit=policy.correlation_floor,
        bound="at least",
        n=counts.scores.n,
        minimum_n=policy.minimum_pairs,
        detail=""
        if math.isfinite(correlation) or not counts.scores.n
        else "the scores of one of them do not vary",
    )


def latency_finding(evidence: ShadowEvidence, policy: ShadowPolicy) -> Iterator[Finding]:
    """The ratio of the two 95th percentiles on the same requests."""
    if policy.latency_ratio_limit is not None:
        latency = evidence.latency
        yield compare(
            rule=LATENCY,
            subject="95th percentile",
            observed=latency.ratio_p95,
            limit=policy.latency_ratio_limit,
            bound="at most",
            unit="times the champion's",
            n=latency.n,
            minimum_n=min(policy.minimum_pairs, 1000),
            detail=f"shadow {latency.shadow_p95:.3g} ms, champion {latency.champion_p95:.3g} ms; a"
            " shadow is asked in batches and looks faster than alone"
            if latency.n
            else "",
        )


def _direction(counts: PairCounts, alpha: float) -> str:
    if not counts.disagreeing:
        return "no decision differs"
    share = rate_sequence(counts.shadow_only, counts.disagreeing, confidence=1 - alpha)
    return (
        f"of {counts.disagreeing} different decisions {share.estimate:.1%} are a yes of the shadow"
        f" ({share.low:.1%} to {share.high:.1%})"
    )
