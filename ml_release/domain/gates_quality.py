"""Whether a candidate is good enough on later data, and no worse than champion and anchor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_release.domain.gates_comparison import judge_comparison, judge_limit
from ml_release.domain.verdict import Finding, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.gates_comparison import Comparison
    from ml_release.domain.intervals import Interval
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
        judge_limit(
            rule,
            f"{name} on the holdout",
            evidence.scores.get(name),
            name=name,
            limit=limit,
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
        judge_comparison(
            rule,
            role,
            other,
            primary=policy.primary,
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
        finding = judge_comparison(
            CHAMPION,
            "champion",
            replace(other, difference=other.further.get(name), decisions=None),
            primary=name,
            margin=margin,
            minimum_rows=minimum_rows,
            confidence=confidence,
        )
        found.append(replace(finding, subject=f"{finding.subject}, {name}"))
    return tuple(found)
