"""Whether probabilities mean what they say: the calibration line, slope and intercept.

Nothing is recalibrated here. How large the expected calibration error may be by chance is in
`calibration_chance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.intervals import (
    NOTHING,
    Interval,
    require_confidence,
)
from ml_release.domain.rows import group_codes, require_same_rows

if TYPE_CHECKING:
    from ml_release.domain.rows import Codes
    from ml_release.domain.scores import Floats

CLIP = 1e-6
"""Probabilities are kept this far from 0 and 1 on the logit scale, where one sure row would
otherwise outweigh thousands."""

STEPS = 50
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationLine:
    """How outcomes follow the logit of the probability; perfect is slope 1 and intercept 0.

    Attributes
    ----------
    slope
        Below 1 the probabilities are too extreme, above 1 too timid.
    intercept
        Of the same line, on the logit scale.
    in_the_large
        Intercept with the slope fixed at 1: above 0 the probabilities are too low on the whole.
    """

    slope: Interval
    intercept: Interval
    in_the_large: Interval


def calibration_line(
    target: Floats, probability: Floats, *, confidence: float, groups: Codes | None = None
) -> CalibrationLine:
    """Logistic recalibration: logit P(target = 1) = intercept + slope x logit(probability).

    Cox (1958), Biometrika 45; Van Calster et al. (2019), BMC Medicine 17:230. Fitted by Newton's
    method; Wald intervals. With ``groups`` the variance is cluster-robust, G / (G - 1) times the
    sandwich of Liang and Zeger (1986), with Student's quantile of G - 1 degrees of freedom.

    Parameters
    ----------
    target, probability
        Shape (n,) each; the target is 0 or 1, the probability from 0 to 1.
    groups
        Shape (n,): the day, or other unit, of each row.

    Returns
    -------
    CalibrationLine
        NaN with only one class, a value that is not known, or where no finite line fits best: the
        classes are separated. Slope and intercept are NaN also if all probabilities are the same.

    Raises
    ------
    InputError
        If the columns have different lengths.
    """
    require_confidence(confidence)
    require_same_rows("calibration", target=target, probability=probability)
    n = len(target)
    codes, units = (None, n) if groups is None else group_codes(groups, n)
    two = [NOTHING, NOTHING], [NOTHING, NOTHING]
    one = [NOTHING], [NOTHING]
    known = bool(np.isfinite(target).all() and np.isfinite(probability).all())
    if known and 0 < (target > 0).sum() < n and units > 1:
        clipped = np.clip(probability, CLIP, 1 - CLIP)
        logit = np.log(clipped) - np.log1p(-clipped)
        ones = np.ones((n, 1))
        one = _newton(ones, logit, target, codes)
        if np.ptp(logit) > 0:
            two = _newton(np.column_stack((np.ones(n), logit)), np.zeros(n), target, codes)

    def interval(estimate: float, spread: float) -> Interval:
        reach = _quantile(confidence, units if groups is not None else None) * spread
        return Interval(
            estimate=estimate,
            low=estimate - reach,
            high=estimate + reach,
            confidence=confidence,
            n=n,
            units=units,
        )

    return CalibrationLine(
        slope=interval(two[0][1], two[1][1]),
        intercept=interval(two[0][0], two[1][0]),
        in_the_large=interval(one[0][0], one[1][0]),
    )


def _quantile(confidence: float, groups: int | None) -> float:
    from scipy.special import ndtri, stdtrit

    upper = 0.5 + confidence / 2
    return float(ndtri(upper) if groups is None or groups < 2 else stdtrit(groups - 1, upper))  # noqa: PLR2004


def _newton(
    X: Floats, offset: Floats, target: Floats, codes: Codes | None
) -> tuple[list[float], list[float]]:
    """Coefficients and standard errors of a logistic regression; NaN where it does not converge."""
    nothing = [NOTHING] * X.shape[1], [NOTHING] * X.shape[1]
    beta = np.zeros(X.shape[1])
    beta[1:] = 1.0
    for _ in range(STEPS):
        # The logistic function in a form that cannot overflow.
        fitted = 0.5 + 0.5 * np.tanh((X @ beta + offset) / 2)
        information = (X * (fitted * (1 - fitted))[:, None]).T @ X
        if not np.linalg.cond(information) < 1 / np.finfo(np.float64).eps:
            return nothing
        step = np.linalg.solve(information, X.T @ (target - fitted))
        # A longer step would overshoot where few rows are near the middle.
        beta += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < TOLERANCE:
            break
    else:
        return nothing
    covariance = np.linalg.inv(information)
    if codes is not None:
        scores = X * (target - fitted)[:, None]
        sums = np.column_stack([np.bincount(codes, weights=column) for column in scores.T])
        units = len(sums)
        covariance = units / (units - 1) * covariance @ (sums.T @ sums) @ covariance
    return beta.tolist(), np.sqrt(np.diag(covariance)).tolist()
