"""Whether an interval keeps a limit, and the difference to another version its margin."""

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


def doubt_of(interval: Interval | None, *, minimum_rows: int, confidence: float) -> str:
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


def judge_limit(
    rule: str,
    subject: str,
    interval: Interval | None,
    *,
    name: str,
    limit: float,
    minimum_rows: int,
    confidence: float,
) -> Finding:
    """Hold the worse end of an interval against a floor of a score, a ceiling of anything else.

    Parameters
    ----------
    name
        The score: a name in ``_score`` grows with quality.
    """
    floor = name.endswith("_score")
    end = None
    words = [doubt_of(interval, minimum_rows=minimum_rows, confidence=confidence)]
    if interval is not None and interval.confidence == confidence:
        end = interval.low if floor else interval.high
    if interval is not None and isfinite(interval.estimate):
        words.append(f"{interval.estimate:.4f} over {interval.units} independent units")
    side = "lower" if floor else "upper"
    return compare(
        rule=rule,
        subject=subject,
        observed=end,
        limit=limit,
        bound="at least" if floor else "at most",
        unit=f"{name}, {side} end of the {confidence * 100:g}% interval",
        n=None if interval is None else interval.n,
        minimum_n=minimum_rows,
        detail="; ".join(word for word in words if word),
    )


def judge_comparison(
    rule: str,
    role: str,
    other: Comparison | None,
    *,
    primary: str,
    margin: float,
    minimum_rows: int,
    confidence: float,
) -> Finding:
    """Hold the interval of the difference against the margin; no other version at all passes.

    Parameters
    ----------
    role
        What the other version is, as ``champion``.
    primary
        The score of the difference: a name in ``_score`` grows with quality.
    margin
        How much worse is acceptable, in the unit of ``primary``.
    """
    greater_is_better = primary.endswith("_score")
    sign = 1.0 if greater_is_better else -1.0
    unit = f"{primary} gained, lower end of the {confidence * 100:g}% interval"
    limit = 0.0 - margin  # -0.0 would be shown with its sign
    if other is None:
        return replace(no_other(rule, role), limit=limit, bound="at least", unit=unit)
    subject = f"{role} version {other.version}"
    difference = other.difference
    doubt = doubt_of(difference, minimum_rows=minimum_rows, confidence=confidence)
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
    relation = relation_of(difference, margin=margin, greater_is_better=greater_is_better)
    end = difference.low if greater_is_better else -difference.high
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


def no_other(rule: str, role: str) -> Finding:
    """What a comparison says where there is nothing to compare with: the first version passes."""
    return Finding(
        rule=rule,
        subject=f"no {role}",
        outcome=Outcome.PASS,
        detail="there is none yet; for the first version the limits on itself decide",
    )


def unknown(finding: Finding, detail: str, *, subject: str) -> Finding:
    """The same finding without an answer, and why there is none."""
    return replace(
        finding,
        outcome=Outcome.INCONCLUSIVE,
        observed=None,
        n=None,
        subject=subject,
        detail=detail,
    )
