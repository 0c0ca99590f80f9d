"""The AUC of one column as a score of the label, without a rank or a copy for every row.

The same Mann-Whitney form as `scores.auc_score`, and the same number: ties count half, pairs are
counted in whole and half numbers, and only the last step divides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Numbers = npt.NDArray[np.number]
    Counts = npt.NDArray[np.int64]


def auc_of_samples(positives: Numbers, negatives: Numbers) -> float:
    """AUC of the finite values of either label, shapes (m,) and (n,). Range 0 to 1.

    NaN without values of both. Both arrays are sorted in place.

    >>> auc_of_samples(np.array([0.35, 0.8]), np.array([0.1, 0.4]))
    0.75
    """
    m, n = len(positives), len(negatives)
    if m == 0 or n == 0:
        return float("nan")
    positives.sort()
    negatives.sort()
    below = np.searchsorted(negatives, positives, side="left").sum()
    not_above = np.searchsorted(negatives, positives, side="right").sum()
    return float((below + not_above) / 2 / (m * n))


def auc_of_groups(score: Floats, positives: Counts, negatives: Counts) -> float:
    """AUC where all rows of a group have its score; shapes (k,), rows per group of either label.

    NaN without rows of both.

    >>> auc_of_groups(np.array([0.0, 1.0]), np.array([1, 3]), np.array([2, 2]))
    0.625
    """
    m, n = int(positives.sum()), int(negatives.sum())
    if m == 0 or n == 0:
        return float("nan")
    scores, place = np.unique(score, return_inverse=True)
    above = np.bincount(place, weights=positives, minlength=len(scores))
    below = np.bincount(place, weights=negatives, minlength=len(scores))
    return float((above * (np.cumsum(below) - below / 2)).sum() / (m * n))
