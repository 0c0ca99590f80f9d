"""The judge of realised performance: no worse than at release, calibrated, unchanged.

A score fails where it is worse by more than the margin **and** its interval over days leaves out
that nothing changed: big enough and no chance. It passes where it keeps the margin. In between, and
wherever something is not known or rests on too little, it is inconclusive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.identity import digest_of_json
from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_release.domain.error_changes import Detector
    from ml_release.domain.evaluation_measures import Measured
    from ml_release.domain.performance_policy import PerformancePolicy
    from ml_release.domain.performance_record import PerformanceRecord

JUDGE = "performance/1"
DESCRIPTIONS = {
    "no_worse_than_at_release": "Matured answers score as the release's own evaluation did, by AUC"
    " and log loss.",
    "calibration_holds": "Probabilities mean what they say, beyond what chance explains.",
    "errors_show_no_change": "The errors of matured answers have not grown, day after day.",
    "estimate_agrees_with_labels": "What is estimated without labels is what the labels then show.",
    "labels_are_representative": "Answers whose label is known are like those whose label is not.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)
_DETECTORS: dict[Detector, str] = {"page_hinkley": "Page-Hinkley", "adwin": "ADWIN"}


def judge_performance(
    record: PerformanceRecord, policy: PerformancePolicy, *, subject_digest: str
) -> Verdict:
    """Judge a recorded window; ``subject_digest`` is that of the record."""
    return Verdict(
        judge=JUDGE,
        line=record.line,
        subject_digest=subject_digest,
        evidence={
            **({} if record.model_digest is None else {"model_digest": record.model_digest}),
            "policy_digest": digest_of_json(policy.model_dump(mode="json")),
        },
        findings=(
            *_no_worse(record, policy),
            *_calibration(record, policy),
            *_changes(record, policy),
            *_agreement(record, policy),
            *_representative(record, policy),
        ),
    )


def _too_little(record: PerformanceRecord, policy: PerformancePolicy) -> str:
    """Why nothing can be told of the window; empty if it can."""
    window = record.window
    if window.n < policy.minimum_rows:
        return f"expected at least {policy.minimum_rows} matured labelled answers, found {window.n}"
    if window.days < policy.minimum_days:
        return f"expected labelled answers of {policy.minimum_days} days, found {window.days}"
    return ""


def _no_worse(record: PerformanceRecord, policy: PerformancePolicy) -> Iterator[Finding]:
    baseline = record.baseline
    for name, now, released, change, sign, margin in (
        (
            "auc_score",
            record.window.auc,
            None if baseline is None else baseline.auc,
            record.auc_change,
            -1,
            policy.auc_margin,
        ),
        (
            "log_loss",
            record.window.log_loss,
            None if baseline is None else baseline.log_loss,
            record.log_loss_change,
            1,
            policy.log_loss_margin,
        ),
    ):
        doubt = _too_little(record, policy)
        if not doubt and released is None:
            doubt = f"nothing is known of it at release: {record.baseline_problem}"
        worse = _turned(change, sign)
        yield _shown(
            rule="no_worse_than_at_release",
            subject=name,
            found=worse,
            limit=margin,
            n=record.window.n,
            doubt=doubt,
            detail=f"{_words(now)} now, {_words(released)} at release",
        )


def _shown(
    *,
    rule: str,
    subject: str,
    found: tuple[float | None, float | None],
    limit: float,
    n: int,
    doubt: str,
    detail: str,
) -> Finding:
    """Fail what is beyond the limit and whose interval, of which this is the low end, leaves out 0.

    ``found`` is how much worse it is, and the low end of that.
    """
    worse, low = found
    if doubt or worse is None or low is None:
        outcome = Outcome.INCONCLUSIVE
        doubt = doubt or "the score or its interval over days is not defined"
    elif worse <= limit:
        outcome = Outcome.PASS
    elif low > 0:
        outcome = Outcome.FAIL
    else:
        outcome, doubt = Outcome.INCONCLUSIVE, "as large as this by chance alone"
    return Finding(
        rule=rule,
        subject=subject,
        outcome=outcome,
        observed=worse,
        limit=limit,
        n=n,
        detail="; ".join(part for part in (doubt, detail) if part),
    )


def _calibration(record: PerformanceRecord, policy: PerformancePolicy) -> Iterator[Finding]:
    window, doubt = record.window, _too_little(record, policy)
    excess = None
    if window.calibration_error is not None and window.calibration_expected is not None:
        excess = window.calibration_error - window.calibration_expected
    is_chance = (
        excess is not None
        and window.calibration_upper is not None
        and window.calibration_error is not None
        and window.calibration_error <= window.calibration_upper
    )
    yield _shown(
        rule="calibration_holds",
        subject="calibration_error",
        found=(excess, 0.0 if is_chance else excess),
        limit=policy.calibration_excess_limit,
        n=window.n,
        doubt=doubt,
        detail=""
        if excess is None
        else f"an error of {window.calibration_error:.3f}, {window.calibration_expected:.3f} by"
        " chance",
    )
    gap = window.in_the_large
    sign = -1 if gap is not None and gap.estimate is not None and gap.estimate < 0 else 1
    yield _shown(
        rule="calibration_holds",
        subject="in_the_large",
        found=_turned(gap, sign),
        limit=policy.in_the_large_limit,
        n=window.n,
        doubt=doubt,
        detail=""
        if window.mean_probability is None or window.observed_rate is None
        else f"mean probability {window.mean_probability:.3f}, rate {window.observed_rate:.3f}",
    )


def _changes(record: PerformanceRecord, policy: PerformancePolicy) -> Iterator[Finding]:
    errors, limit = record.errors, policy.changes.page_hinkley.threshold
    needed = policy.changes.page_hinkley.minimum_values
    for detector, name in _DETECTORS.items():
        found = [one for one in errors.changes if one.detector == detector and one.is_worse]
        is_sum = detector == "page_hinkley"
        if detector == "adwin":
            needed = max(policy.changes.adwin.grace_values, 2 * policy.changes.adwin.minimum_part)
        if found:
            newest = found[-1]
            outcome = Outcome.FAIL
            detail = (
                f"errors grew from {newest.before:.4f} to {newest.after:.4f}, shown on {newest.day}"
            )
        elif errors.n < needed:
            outcome = Outcome.INCONCLUSIVE
            detail = f"expected {needed} settled {policy.changes.unit}s, found {errors.n}"
        else:
            outcome, detail = Outcome.PASS, ""
        yield Finding(
            rule="errors_show_no_change",
            subject=name,
            outcome=outcome,
            observed=errors.rise if is_sum else None,
            limit=limit if is_sum else None,
            n=errors.n,
            detail=detail,
        )


def _agreement(record: PerformanceRecord, policy: PerformancePolicy) -> Iterator[Finding]:
    window = record.window
    for name, realised, estimated in (
        ("auc_score", window.auc, window.estimated_auc),
        ("log_loss", window.log_loss, window.estimated_log_loss),
    ):
        value = None if realised is None else realised.estimate
        apart = None if value is None or estimated is None else abs(estimated - value)
        yield compare(
            rule="estimate_agrees_with_labels",
            subject=name,
            observed=apart,
            limit=policy.agreement_margin,
            bound="at most",
            n=window.n,
            minimum_n=policy.minimum_rows,
            votes=False,
            detail=""
            if apart is None
            else f"estimated {estimated:.3f}, realised {value:.3f}; the estimate takes the"
            " probabilities for true and sees no change of what they are about",
        )


def _representative(record: PerformanceRecord, policy: PerformancePolicy) -> Iterator[Finding]:
    bias, rate = record.bias, record.window.observed_rate
    if bias.early_rate is None:
        early, words = None, "no answer has a label before it is due"
    elif rate is None:
        early, words = None, f"{bias.early} early labels and no matured ones to compare with"
    else:
        early = abs(bias.early_rate - rate)
        words = (
            f"of {bias.early} early labels {bias.early_rate:.3f} are positive, of matured ones"
            f" {rate:.3f}; early ones are not scored"
        )
    yield compare(
        rule="labels_are_representative",
        subject="early labels",
        observed=early,
        limit=policy.bias_limit,
        bound="at most",
        n=bias.early,
        minimum_n=2,
        votes=False,
        detail=words,
    )
    both = bias.labelled_scores is not None and bias.matured_scores is not None
    yield compare(
        rule="labels_are_representative",
        subject="labelled answers",
        observed=abs((bias.labelled_scores or 0.0) - (bias.matured_scores or 0.0))
        if both
        else None,
        limit=policy.bias_limit,
        bound="at most",
        n=bias.matured,
        minimum_n=policy.minimum_rows,
        detail=f"mean probability {bias.labelled_scores:.3f} with a label,"
        f" {bias.matured_scores:.3f} of all that are due"
        if both
        else "",
    )


def _turned(found: Measured | None, sign: int) -> tuple[float | None, float | None]:
    """How much worse, and the low end of that, where worse is in the direction of ``sign``."""
    if found is None or found.estimate is None:
        return None, None
    low = found.low if sign > 0 else found.high
    return sign * found.estimate, None if low is None else sign * low


def _words(found: Measured | None) -> str:
    if found is None or found.estimate is None:
        return "not known"
    if found.low is None or found.high is None:
        return f"{found.estimate:.3f} (no interval)"
    return f"{found.estimate:.3f} ({found.low:.3f} to {found.high:.3f})"
