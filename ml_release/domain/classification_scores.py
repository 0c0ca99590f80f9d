"""Scores of a binary classifier's decisions at a threshold, and of its ranking of the positives.

A row is selected where its score is at or above the threshold. Undefined is NaN: scikit-learn's
``zero_division`` gives 0 there by default, which a limit would read as a very bad or, for the
false positive rate, a perfect model. Intervals are in `intervals` and `bootstrap`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.rows import require_same_rows

if TYPE_CHECKING:
    from ml_release.domain.scores import Floats

NOTHING = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionCounts:
    """How many rows were selected or not, rightly or not; each count is a whole number of rows."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def n(self) -> int:
        """Rows counted."""
        return self.positives + self.negatives

    @property
    def positives(self) -> int:
        """Rows whose target is positive."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> int:
        """Rows whose target is negative."""
        return self.false_positives + self.true_negatives

    @property
    def selected(self) -> int:
        """Rows at or above the threshold."""
        return self.true_positives + self.false_positives


def confusion_counts(target: Floats, score: Floats, *, threshold: float) -> ConfusionCounts | None:
    """Count decisions at ``threshold`` against the outcomes.

    Parameters
    ----------
    target
        Shape (n,), 1 for a positive row and 0 for a negative one.
    score
        Shape (n,), any unit; selected where ``score >= threshold``.

    Returns
    -------
    ConfusionCounts or None
        None where a target, a score or the threshold is not known: a row that cannot be counted
        is not a row that was decided rightly.

    Raises
    ------
    InputError
        If the columns have different lengths.

    >>> confusion_counts(np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.6, 0.2]), threshold=0.5)
    ConfusionCounts(true_positives=1, false_positives=1, false_negatives=1, true_negatives=0)
    """
    require_same_rows("confusion counts", target=target, score=score)
    if not (np.isfinite(target).all() and np.isfinite(score).all() and np.isfinite(threshold)):
        return None
    positive, selected = target > 0, score >= threshold
    cells = np.bincount(2 * positive + selected, minlength=4)
    return ConfusionCounts(
        true_positives=int(cells[3]),
        false_positives=int(cells[1]),
        false_negatives=int(cells[2]),
        true_negatives=int(cells[0]),
    )


def precision_score(counts: ConfusionCounts | None) -> float:
    """Share of the selected rows that are positive. Range 0 to 1; NaN with none selected."""
    return NOTHING if counts is None else share(counts.true_positives, counts.selected)


def recall_score(counts: ConfusionCounts | None) -> float:
    """Share of the positive rows that are selected. Range 0 to 1; NaN without positives."""
    return NOTHING if counts is None else share(counts.true_positives, counts.positives)


def false_positive_rate(counts: ConfusionCounts | None) -> float:
    """Share of the negative rows that are selected. Range 0 to 1; NaN without negatives."""
    return NOTHING if counts is None else share(counts.false_positives, counts.negatives)


def selection_rate(counts: ConfusionCounts | None) -> float:
    """Share of all rows that are selected. Range 0 to 1; NaN without rows."""
    return NOTHING if counts is None else share(counts.selected, counts.n)


def accuracy_score(counts: ConfusionCounts | None) -> float:
    """Share of all rows that are decided rightly. Range 0 to 1; NaN without rows."""
    if counts is None:
        return NOTHING
    return share(counts.true_positives + counts.true_negatives, counts.n)


def f1_score(counts: ConfusionCounts | None) -> float:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN). Range 0 to 1.

    NaN with neither a positive nor a selected row; van Rijsbergen (1979), chapter 7. With one of
    the two it is 0, as in scikit-learn: something was there to be found, or was selected wrongly.
    """
    if counts is None:
        return NOTHING
    return share(2 * counts.true_positives, counts.positives + counts.selected)


def share(part: int, whole: int) -> float:
    """``part`` of ``whole``, NaN of nothing."""
    return part / whole if whole else NOTHING


def average_precision_score(target: Floats, score: Floats) -> float:
    """Mean precision over the positive rows, each at the threshold of its own score. Range 0 to 1.

    Sum over distinct scores, from the largest, of (gain in recall) x (precision): rows of equal
    score enter together, as in scikit-learn, so the order of tied rows cannot matter. There is no
    interpolation. The score of a random order is about the rate of positives, not 0.5: never
    compare it between sets of different rates. Su, Yuan and Zhu (2015), ICTIR.

    NaN without a positive row, and with a target or score that is not known. scikit-learn gives 0
    with a warning in the first case.

    >>> average_precision_score(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.8333333333333333
    """
    known = bool(np.isfinite(target).all() and np.isfinite(score).all())
    if not known or not (target > 0).any():
        return NOTHING
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    # The last row of each run of equal scores: only there is a threshold.
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(target[order] > 0)[last]
    gained = np.diff(hits, prepend=0)
    return float(np.sum(gained * (hits / (last + 1))) / hits[-1])
