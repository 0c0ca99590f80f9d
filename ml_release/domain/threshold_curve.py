"""What every threshold of a binary classifier would do, and which one costs least.

A row is selected where its score is at or above the threshold. Which costs to declare, and whether
the cheapest threshold is the one to serve, is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.rows import require_same_rows
from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.decision_costs import DecisionCosts
    from ml_release.domain.scores import Floats

CURVE_POINTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdPoint:
    """The decisions at one threshold.

    Attributes
    ----------
    threshold
        In the unit of the score; rows at or above it are selected.
    precision, recall, false_positive_rate, selection_rate
        Fractions, 0 to 1; NaN where nothing stands below the fraction line.
    cost_per_row
        Mean cost of a row, in the unit of the costs.
    n
        Rows behind all of these.
    """

    threshold: float
    precision: float
    recall: float
    false_positive_rate: float
    selection_rate: float
    cost_per_row: float
    n: int


def threshold_curve(
    target: Floats, score: Floats, *, costs: DecisionCosts, points: int = CURVE_POINTS
) -> tuple[ThresholdPoint, ...]:
    """What the distinct scores would do as thresholds, from the largest to the smallest.

    Parameters
    ----------
    target, score
        Shape (n,) each; the target is 0 or 1.
    points
        At most so many thresholds, evenly spaced among the distinct scores in their order; the
        first and the last are kept. At least 2.

    Returns
    -------
    tuple of ThresholdPoint
        The first selects no row: its threshold is the next number above the largest score. The last
        selects every row. Empty without rows, or with a target or score that is not known.

    Raises
    ------
    InputError
        If the columns have different lengths, or ``points`` is below 2.
    """
    if points < 2:  # noqa: PLR2004
        message = f"threshold curve: expected at least 2 points, found {points}; ask for more"
        raise InputError(message)
    thresholds, hits, selected = _counts(target, score)
    if not len(thresholds):
        return ()
    kept = np.unique(np.linspace(0, len(thresholds) - 1, points).round().astype(np.intp))
    positives, n = int(hits[-1]), len(target)
    return _points(
        thresholds[kept], hits[kept], selected[kept], positives=positives, n=n, costs=costs
    )


def cheapest_threshold(
    target: Floats, score: Floats, *, costs: DecisionCosts
) -> ThresholdPoint | None:
    """The threshold of least cost among all distinct scores, not only those of a thinned curve.

    Of several of the same cost the largest, which selects the fewest rows. Its cost is the least
    seen on these very rows and therefore too good: judge it on rows that did not choose it.
    None without rows, or with a target or score that is not known.

    Raises
    ------
    InputError
        If the columns have different lengths.
    """
    thresholds, hits, selected = _counts(target, score)
    if not len(thresholds):
        return None
    total = int(hits[-1])
    cost = costs.false_positive * (selected - hits) + costs.false_negative * (total - hits)
    best = [int(np.argmin(cost))]
    (point,) = _points(
        thresholds[best], hits[best], selected[best], positives=total, n=len(target), costs=costs
    )
    return point


def _counts(target: Floats, score: Floats) -> tuple[Floats, Floats, Floats]:
    """Thresholds from above the largest score downwards, with hits and selected rows at each."""
    require_same_rows("threshold curve", target=target, score=score)
    if not len(target) or not (np.isfinite(target).all() and np.isfinite(score).all()):
        return np.empty(0), np.empty(0), np.empty(0)
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(target[order] > 0)[last]
    return (
        np.concatenate(([np.nextafter(ranked[0], np.inf)], ranked[last])),
        np.concatenate(([0.0], hits)),
        np.concatenate(([0.0], last + 1)),
    )


def _points(
    thresholds: Floats,
    hits: Floats,
    selected: Floats,
    *,
    positives: int,
    n: int,
    costs: DecisionCosts,
) -> tuple[ThresholdPoint, ...]:
    wrong, missed = selected - hits, positives - hits
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = (
            thresholds,
            hits / selected,
            hits / np.float64(positives),
            wrong / np.float64(n - positives),
            selected / n,
            (costs.false_positive * wrong + costs.false_negative * missed) / n,
        )
    return tuple(
        ThresholdPoint(
            threshold=float(threshold),
            precision=float(precision),
            recall=float(recall),
            false_positive_rate=float(fpr),
            selection_rate=float(rate),
            cost_per_row=float(cost),
            n=n,
        )
        for threshold, precision, recall, fpr, rate, cost in zip(*columns, strict=True)
    )
