"""AUC intervals where rows come in dependent groups, such as the days they fall on.

DeLong's interval in `scores` takes rows as independent. Here the placement values it is made of are
added up within each group first: Obuchowski (1997), Biometrics 53(2), for one model or two on the
same rows. It needs one sort instead of a bootstrap of days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.intervals import (
    NO_SPREAD,
    NOTHING,
    Interval,
    require_confidence,
)
from ml_release.domain.rows import group_codes, require_same_rows

if TYPE_CHECKING:
    from ml_release.domain.rows import Codes
    from ml_release.domain.scores import Floats


def auc_interval_by_groups(
    target: Floats, score: Floats, groups: Codes, *, confidence: float
) -> Interval:
    """AUC with an interval over groups; see `auc_difference_by_groups`. Range 0 to 1."""
    return _over_groups(target, (score,), groups, confidence)


def auc_difference_by_groups(
    target: Floats, challenger: Floats, champion: Floats, groups: Codes, *, confidence: float
) -> Interval:
    """AUC of challenger minus AUC of champion on the same rows, with an interval over groups.

    The variance is G / (G - 1) times the sum over groups of the squared sum of what each row adds
    to the AUC, and the quantile is Student's with G - 1 degrees of freedom, G being the number of
    groups. With each row a group of its own it is DeLong's up to factors of m / (m - 1).

    Parameters
    ----------
    target, challenger, champion
        Shape (n,) each; the target is 0 or 1.
    groups
        Shape (n,): the day, or other unit, of each row. A group may hold one class only.

    Returns
    -------
    Interval
        ``estimate`` is NaN with only one class or a value that is not known; the ends also with
        fewer than two groups. Scores that put the rows in the same order differ by exactly 0, an
        interval without width; any other difference without spread has ends of NaN.

    Raises
    ------
    InputError
        If the columns have different lengths, or ``confidence`` is not between 0 and 1.
    """
    return _over_groups(target, (challenger, champion), groups, confidence)


def _over_groups(
    target: Floats, scores: tuple[Floats, ...], groups: Codes, confidence: float
) -> Interval:
    from scipy.special import stdtrit

    require_confidence(confidence)
    n = len(target)
    columns = {f"score_{number}": score for number, score in enumerate(scores, start=1)}
    require_same_rows("AUC by groups", target=target, **columns)
    codes, units = group_codes(groups, n)
    estimate = low = high = NOTHING
    positive = target > 0
    known = bool(np.isfinite([target, *scores]).all())
    if known and positive.any() and not positive.all():
        parts = [_contributions(positive, score) for score in scores]
        estimate = parts[0][0] - (parts[1][0] if len(parts) > 1 else 0.0)
        rows = parts[0][1] - (parts[1][1] if len(parts) > 1 else 0.0)
        sums = np.bincount(codes, weights=rows, minlength=units)
        if len(scores) > 1 and same_order(*scores):
            low = high = 0.0
        elif units > 1 and np.ptp(sums) > NO_SPREAD:
            spread = float(np.sqrt(units / (units - 1) * np.sum(sums**2)))
            reach = float(stdtrit(units - 1, 0.5 + confidence / 2)) * spread
            low, high = estimate - reach, estimate + reach
    return Interval(estimate=estimate, low=low, high=high, confidence=confidence, n=n, units=units)


def same_order(first: Floats, second: Floats) -> bool:
    """Whether two scores put the rows in the same order, ties included."""
    from scipy.stats import rankdata

    return bool(np.array_equal(rankdata(first), rankdata(second)))


def _contributions(
    positive: np.ndarray[tuple[int], np.dtype[np.bool_]], score: Floats
) -> tuple[float, Floats]:
    """The AUC, and how far each row pulls it; the pulls of all rows add up to 0."""
    from scipy.stats import rankdata

    m = int(positive.sum())
    n = len(positive) - m
    ranks = rankdata(score)
    above = (ranks[positive] - rankdata(score[positive])) / n
    below = 1 - (ranks[~positive] - rankdata(score[~positive])) / m
    auc = float(np.mean(above))
    pulls = np.empty(len(score))
    pulls[positive] = (above - auc) / m
    pulls[~positive] = (below - auc) / n
    return auc, pulls
