"""Every rule of the watch as a finding; what is done with them is decided in `watch`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ml_release.domain.intervals import rate_interval
from ml_release.domain.verdict import Finding, Outcome
from ml_release.domain.watch_rates import RateRule, judge_rate
from ml_release.domain.watch_scores import judge_score

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.watch import WatchPolicy
    from ml_release.domain.watch_evidence import WatchEvidence
    from ml_release.domain.watch_rates import WatchWindow

DESCRIPTIONS = {
    "evidence_is_whole": "The inference log and the labels could be read.",
    "watched_long_enough": "The release has answered everybody for the declared time.",
    "traffic_is_enough": "It was to answer enough requests.",
    "errors_are_rare": "Few requests fail, in a row of windows and over the whole watch.",
    "errors_have_not_increased": "No more of them than of the control's during the canary.",
    "answers_are_fast": "At most one request in a hundred is slower than the limit.",
    "answers_are_complete": "Few rows are answered with no number.",
    "labels_have_matured": "Enough answers have their label, of enough of those that are due.",
    "served_as_well_as_evaluated": "Its scores are not shown to be below what it was released on.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

SLOW_SHARE = 0.01
"""Of the requests that may be slower than the limit: what a 99th percentile means."""


def watch_findings(evidence: WatchEvidence, policy: WatchPolicy) -> tuple[Finding, ...]:
    """All of them, in the order of `DESCRIPTIONS`."""
    hours = evidence.age.total_seconds() / 3600
    return (
        Finding(
            rule="evidence_is_whole",
            subject="log and labels",
            outcome=Outcome.ERROR if evidence.source_problem else Outcome.PASS,
            detail=evidence.source_problem,
        ),
        _enough("watched_long_enough", "hours", hours, policy.minimum_hours),
        _enough("traffic_is_enough", "requests", evidence.requests, policy.minimum_requests),
        _errors(evidence, policy),
        _increase(evidence, policy),
        _latency(evidence, policy),
        _missing(evidence, policy),
        *_labels(evidence, policy),
    )


def _enough(rule: str, subject: str, observed: float, limit: float) -> Finding:
    """What there is too little of is waited for: it is no harm."""
    is_enough = observed >= limit
    return Finding(
        rule=rule,
        subject=subject,
        outcome=Outcome.PASS if is_enough else Outcome.INCONCLUSIVE,
        observed=observed,
        limit=limit,
        bound="at least",
        detail="" if is_enough else f"waits for {limit - observed:.6g} more",
    )


def _errors(evidence: WatchEvidence, policy: WatchPolicy) -> Finding:
    limit = policy.error_rate_limit
    return _rate(
        "errors_are_rare",
        "requests",
        lambda w: (w.errors, w.requests),
        evidence,
        policy,
        limit=limit,
    )


def _increase(evidence: WatchEvidence, policy: WatchPolicy) -> Finding:
    """The error rate against the control's, whose rate is itself only known between two ends."""
    rule, baseline = "errors_have_not_increased", evidence.baseline
    doubt = ""
    if not evidence.had_canary:
        # Nobody has answered beside it: there is no control, and the limit on itself decides.
        return Finding(
            rule=rule,
            subject="no canary",
            outcome=Outcome.INCONCLUSIVE,
            votes=False,
            detail="it was no canary before, so that there is no control to compare with",
        )
    if baseline is None:
        doubt = "waits for the control's records during the canary, which were not found"
    elif baseline.requests < policy.minimum_baseline_requests:
        doubt = (
            f"expected at least {policy.minimum_baseline_requests} requests of the control during"
            f" the canary, found {baseline.requests}"
        )
    if baseline is None or doubt:
        return Finding(
            rule=rule,
            subject="control during the canary",
            outcome=Outcome.INCONCLUSIVE,
            n=None if baseline is None else baseline.requests,
            detail=doubt,
        )
    # It stands still, so that one look is all there is.
    control = rate_interval(baseline.errors, baseline.requests, confidence=policy.confidence)
    return _rate(
        rule,
        f"control during the canary, {baseline.errors} of {baseline.requests} failed",
        lambda w: (w.errors, w.requests),
        evidence,
        policy,
        limit=min(1.0, control.high + policy.error_increase_limit),
        harmless_to=control.low + policy.error_increase_limit,
    )


def _latency(evidence: WatchEvidence, policy: WatchPolicy) -> Finding:
    limit_ms = policy.latency_p99_limit_ms
    return _rate(
        "answers_are_fast",
        f"requests slower than {limit_ms:g} ms",
        lambda w: (w.latency.above(limit_ms), w.latency.n),
        evidence,
        policy,
        limit=SLOW_SHARE,
    )


def _missing(evidence: WatchEvidence, policy: WatchPolicy) -> Finding:
    limit = policy.missing_answer_limit
    return _rate(
        "answers_are_complete", "rows", lambda w: (w.missing, w.rows), evidence, policy, limit=limit
    )


def _rate(
    rule: str,
    subject: str,
    count: Callable[[WatchWindow], tuple[int, int]],
    evidence: WatchEvidence,
    policy: WatchPolicy,
    *,
    limit: float,
    harmless_to: float | None = None,
) -> Finding:
    length = timedelta(minutes=policy.window_minutes)
    closed = [count(w) for w in evidence.windows if w.start + length <= evidence.now]
    still_open = [count(w) for w in evidence.windows if w.start + length > evidence.now]
    return judge_rate(
        rule,
        subject,
        closed,
        still_open,
        RateRule(
            harmful_above=limit,
            harmless_to=limit if harmless_to is None else harmless_to,
            confidence=policy.confidence,
            violations_needed=policy.violations_needed,
            window_minimum=policy.window_minimum_requests,
        ),
    )


def _labels(evidence: WatchEvidence, policy: WatchPolicy) -> tuple[Finding, ...]:
    rule, score_rule = "labels_have_matured", "served_as_well_as_evaluated"
    if evidence.unjudged:
        return tuple(
            Finding(
                rule=name,
                subject="labels",
                outcome=Outcome.INCONCLUSIVE,
                votes=False,
                detail=evidence.unjudged,
            )
            for name in (rule, score_rule)
        )
    due, labelled = evidence.due, evidence.labelled
    told = _enough(
        rule,
        "share of the labels that are due",
        labelled / due if due else 0.0,
        policy.labelled_share_floor,
    )
    if not due:
        told = Finding(
            rule=rule,
            subject="share of the labels that are due",
            outcome=Outcome.INCONCLUSIVE,
            limit=policy.labelled_share_floor,
            bound="at least",
            n=0,
            detail=f"waits for labels: of {evidence.answers} answers none is due yet",
        )
    scores = {score.name: score for score in evidence.scores}
    judged = []
    for name, margin in policy.score_margins.items():
        if name in scores:
            judged.append(
                judge_score(
                    scores[name],
                    rule=score_rule,
                    margin=margin,
                    minimum_labelled=policy.minimum_labelled,
                    confidence=policy.confidence,
                )
            )
        else:
            judged.append(
                Finding(
                    rule=score_rule,
                    subject=name,
                    outcome=Outcome.INCONCLUSIVE,
                    n=labelled,
                    detail="waits for labelled answers to score",
                )
            )
    enough = _enough(rule, "labelled answers", labelled, policy.minimum_labelled)
    return (enough, told, *judged)
