"""Losses and scores of a regression, over all rows or with an interval over rows or days.

The loss of each row is public too: it is what a paired comparison and a slice need. Undefined is
NaN, as in `scores`. All losses are in the unit of the target, squared where said.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.intervals import NOTHING, Interval, mean_interval
from ml_release.domain.rows import require_same_rows
from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.rows import Codes
    from ml_release.domain.scores import Floats


def signed_errors(target: Floats, prediction: Floats) -> Floats:
    """Prediction minus target of each row: above 0 the prediction is too high.

    Raises
    ------
    InputError
        If the columns have different lengths.
    """
    require_same_rows("regression error", target=target, prediction=prediction)
    with np.errstate(invalid="ignore"):
        return prediction - target


def absolute_errors(target: Floats, prediction: Floats) -> Floats:
    """Distance of prediction and target of each row."""
    return np.abs(signed_errors(target, prediction))


def squared_errors(target: Floats, prediction: Floats) -> Floats:
    """Squared distance of prediction and target of each row, in squared units."""
    return np.square(signed_errors(target, prediction))


def pinball_losses(target: Floats, prediction: Floats, *, alpha: float) -> Floats:
    """Loss of each row whose prediction is the ``alpha`` quantile of its target.

    alpha x shortfall, or (1 - alpha) x excess; Koenker and Bassett (1978), Econometrica 46(1). At
    alpha = 0.5 it is half the absolute error.

    Raises
    ------
    InputError
        If ``alpha`` is not between 0 and 1, or the columns have different lengths.
    """
    if not 0 < alpha < 1:
        message = f"pinball loss: expected alpha between 0 and 1, found {alpha}"
        raise InputError(message)
    error = signed_errors(target, prediction)
    return np.where(error < 0, -alpha * error, (1 - alpha) * error)


def mean_absolute_error(
    target: Floats, prediction: Floats, *, confidence: float = 0.95, groups: Codes | None = None
) -> Interval:
    """Mean absolute error with `mean_interval`'s interval. Range from 0 up."""
    return mean_interval(absolute_errors(target, prediction), confidence=confidence, groups=groups)


def mean_error(
    target: Floats, prediction: Floats, *, confidence: float = 0.95, groups: Codes | None = None
) -> Interval:
    """Mean of prediction minus target, the bias: above 0 predictions are too high on the whole."""
    return mean_interval(signed_errors(target, prediction), confidence=confidence, groups=groups)


def pinball_loss(
    target: Floats,
    prediction: Floats,
    *,
    alpha: float,
    confidence: float = 0.95,
    groups: Codes | None = None,
) -> Interval:
    """Mean pinball loss at ``alpha`` with `mean_interval`'s interval. Range from 0 up."""
    losses = pinball_losses(target, prediction, alpha=alpha)
    return mean_interval(losses, confidence=confidence, groups=groups)


def root_mean_squared_error(
    target: Floats, prediction: Floats, *, confidence: float = 0.95, groups: Codes | None = None
) -> Interval:
    """Root mean squared error, the ends being the roots of those of the mean squared error.

    Range from 0 up. A low end of the mean below 0 is taken as 0. Squared errors have long tails:
    with few rows prefer the bootstrap of `weighted_scores.weighted_root_mean`.
    """
    squared = squared_errors(target, prediction)
    found = mean_interval(squared, confidence=confidence, groups=groups)
    return found.mapped(lambda mean: math.sqrt(mean) if mean > 0 else mean * 0)


def r2_score(target: Floats, prediction: Floats) -> float:
    """Share of the target's variance that the prediction explains, 1 - SSE / SST. Range up to 1.

    Below 0 the prediction is worse than the mean of these very targets. NaN with fewer than two
    rows, a constant target, or a value that is not known; scikit-learn gives 1 or 0 for a constant
    target. It depends on the spread of the target: never compare it between slices.
    """
    squared = squared_errors(target, prediction)
    if len(target) < 2 or not np.isfinite(squared).all():  # noqa: PLR2004
        return NOTHING
    total = float(np.sum((target - np.mean(target)) ** 2))
    return 1 - float(np.sum(squared)) / total if np.ptp(target) > 0 else NOTHING
