"""Whether a candidate is good enough on later data, and no worse than champion and anchor."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING

from ml_release.domain.paired_tests import Relation, relation_of
from ml_release.domain.verdict import Finding, Outcome, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.intervals import Interval
    from ml_release.domain.paired_tests import McNemarTest
    from ml_release.domain.quality_policy import QualityPolicy

FLOOR = "score_is_above_floor"
CEILING = "loss_is_below_ceiling"
CALIBRATION = "probabilities_are_calibrated"
CHAMPION = "no_worse_than_champion"
ANCHOR = "no_worse_than_anchor"
DESCRIPTIONS = {
    FLOOR: "The worse end of each declared score's confidence interval reaches its floor.",
    CEILING: "The worse end of each declared loss's confidence interval stays below its ceiling.",
    CALIBRATION: "Predicted probabilities match observed rates.",
    CHAMPION: "Not worse than the champion by more than the margin, same rows.",
    ANCHOR: "Not worse than a fixed older version by more than its margin, same rows.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Another version on the same rows.

    Attributes
    ----------
    difference
        Candidate minus the other in the primary score; None with a ``problem`` if the other could
        not be scored, or not fairly.
    further
        The same in further scores, by name.
    calibration_error
        The other's own on these rows.
    decisions
        McNemar's test at the declared threshold, shown beside it; None for a regression.
    """

    version: int
    model_digest: str
    difference: Interval | None
    further: Mapping[str, Interval] = field(default_factory=dict)
    calibration_error: float | None = None
    decisions: McNemarTest | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityEvidence:
    """What was measured on the holdout.

    Attributes
    ----------
    scores
        Name to score with its interval over rows or days.
    calibration_error
        Expected calibration error; NaN where undefined, None for a regression.
    champion, anchor
        None if no version is declared, or none but the candidate is registered: then the floors
        alone decide, which is the rule for the first version.
    """

    rows: int
    scores: Mapping[str, Interval]
    calibration_error: float | None
    champion: Comparison | None
    anchor: Comparison | None


def judge_quality(
    evidence: QualityEvidence, policy: QualityPolicy, *, minimum_rows: int, confidence: float
) -> tuple[Finding, ...]:
    """Hold scores, calibration and comparisons against the policy.

    An interval of another confidence, without ends, or of fewer than ``minimum_rows`` rows is
    inconclusive, the candidate's own as well as that of a comparison.
    """
    found = [
        _limit(
            rule,
            name,
            limit,
            evidence.scores.get(name),
            minimum_rows=minimum_rows,
            confidence=confidence,
        )
        for rule, limits in ((FLOOR, policy.floors), (CEILING, policy.ceilings))
        for name, limit in limits.items()
    ]
    if policy.calibration_error_limit is not None:
        found.append(
            compare(
                rule=CALIBRATION,
                subject="holdout",
                observed=evidence.calibration_error,
                limit=policy.calibration_error_limit,
                bound="at most",
                unit="expected calibration error",
                n=evidence.rows,
                minimum_n=minimum_rows,
            )
        )
    compared = [(CHAMPION, "champion", evidence.champion, policy.champion_margin)]
    if policy.anchor_margin is not None:
        compared.append((ANCHOR, "anchor", evidence.anchor, policy.anchor_margin))
    found += [
        _against(
            rule,
            role,
            other,
            policy,
            margin=margin,
            minimum_rows=minimum_rows,
            confidence=confidence,
        )
        for rule, role, other, margin in compared
    ]
    return (
        *found,
        *_calibration(evidence, policy, minimum_rows),
        *_further(evidence, policy, minimum_rows, confidence),
    )


def _calibration(
    evidence: QualityEvidence, policy: QualityPolicy, minimum_rows: int
) -> tuple[Finding, ...]:
    """The calibration error beside that of a champion, if there is one."""
    other = evidence.champion
    if policy.calibration_margin is None or other is None:
        return ()
    own, others = evidence.calibration_error, other.calibration_error
    known = own is not None and others is not None
    return (
        compare(
            rule=CALIBRATION,
            subject=f"against champion version {other.version}",
            observed=own - others if own is not None and others is not None else None,
            limit=policy.calibration_margin,
            bound="at most",
            unit="greater expected calibration error",
            n=evidence.rows,
            minimum_n=minimum_rows,
            detail=f"champion {others:.4f}" if known else other.problem,
        ),
    )


def _further(
    evidence: QualityEvidence, policy: QualityPolicy, minimum_rows: int, confidence: float
) -> tuple[Finding, ...]:
    """The champion in further scores."""
    other = evidence.champion
    if other is None:
        return ()
    found = []
    for name, margin in policy.further_margins.items():
        finding = _against(
            CHAMPION,
            "champion",
            replace(other, difference=other.further.get(name), decisions=None),
            policy.model_copy(update={"primary": name}),
            margin=margin,
            minimum_rows=minimum_rows,
            confidence=confidence,
        )
        found.append(replace(finding, subject=f"{finding.subject}, {name}"))
    return tuple(found)


def _limit(
    rule: str,
    name: str,
    limit: float,
    interval: Interval | None,
    *,
    minimum_rows: int,
    confidence: float,
) -> Finding:
    floor = rule == FLOOR
    end = None
    words = [_doubt(interval, minimum_rows=minimum_rows, confidence=confidence)]
    if interval is not None and interval.confidence == confidence:
        end = interval.low if floor else interval.high
    if interval is not None and isfinite(interval.estimate):
        words.append(f"{interval.estimate:.4f} over {interval.units} independent units")
    side = "lower" if floor else "upper"
    return compare(
        rule=rule,
        subject=f"{name} on the holdout",
        observed=end,
        limit=limit,
        bound="at least" if floor else "at most",
        unit=f"{name}, {side} end of the {confidence * 100:g}% interval",
        n=None if interval is None else interval.n,
        minimum_n=minimum_rows,
        detail="; ".join(word for word in words if word),
    )


def _doubt(interval: Interval | None, *, minimum_rows: int, confidence: float) -> str:
    """Why an interval cannot be held against a limit; empty if it can."""
    if interval is None:
        return "it was not measured"
    if interval.confidence != confidence:
        # An interval of another confidence answers another question.
        return f"expected an interval of confidence {confidence:g}, found {interval.confidence:g}"
    if interval.n < minimum_rows:
        return f"expected at least {minimum_rows} rows, found {interval.n}"
    if not (isfinite(interval.low) and isfinite(interval.high)):
        return "the rows cannot tell: the interval has no ends"
    return ""


def _against(
    rule: str,
    role: str,
    other: Comparison | None,
    policy: QualityPolicy,
    *,
    margin: float,
    minimum_rows: int,
    confidence: float,
) -> Finding:
    sign = 1.0 if policy.greater_is_better else -1.0
    unit = f"{policy.primary} gained, lower end of the {confidence * 100:g}% interval"
    limit = 0.0 - margin  # -0.0 would be shown with its sign
    if other is None:
        return Finding(
            rule=rule,
            subject=f"no {role}",
            outcome=Outcome.PASS,
            limit=limit,
            bound="at least",
            unit=unit,
            detail="there is none yet; for the first version the limits on itself decide",
        )
    subject = f"{role} version {other.version}"
    difference = other.difference
    doubt = _doubt(difference, minimum_rows=minimum_rows, confidence=confidence)
    if difference is None or doubt:
        return Finding(
            rule=rule,
            subject=subject,
            outcome=Outcome.INCONCLUSIVE,
            limit=limit,
            bound="at least",
            unit=unit,
            n=None if difference is None else difference.n,
            detail=other.problem if difference is None and other.problem else doubt,
        )
    relation = relation_of(difference, margin=margin, greater_is_better=policy.greater_is_better)
    end = difference.low if policy.greater_is_better else -difference.high
    finding = compare(
        rule=rule,
        subject=subject,
        observed=end,
        limit=limit,
        bound="at least",
        unit=unit,
        n=difference.n,
        detail=_detail(difference, relation, other.decisions, sign),
    )
    # One relation, one outcome: what the margin says and what the limit says must be the same.
    good = relation in {Relation.BETTER, Relation.NON_INFERIOR}
    if (finding.outcome is Outcome.PASS) != good:
        message = f"{rule}: {relation} and {finding.outcome} of the same interval {difference}"
        raise AssertionError(message)
    return finding


def _detail(
    difference: Interval, relation: Relation, decisions: McNemarTest | None, sign: float
) -> str:
    words = [
        f"{relation.value.replace('_', '-')}: gains {sign * difference.estimate:+.4f}"
        f" over {difference.units} independent units"
    ]
    if decisions is not None and isfinite(decisions.p_value):
        words.append(
            f"decides {decisions.challenger_only} rows rightly that the other gets wrong,"
            f" {decisions.champion_only} the other way round (McNemar p = {decisions.p_value:.3g})"
        )
    elif decisions is not None and decisions.n:
        words.append("both decide every row alike")
    return "; ".join(words)
