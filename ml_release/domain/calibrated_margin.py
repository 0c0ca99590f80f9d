"""A classifier whose margin is mapped to a probability by a sigmoid with two numbers.

Platt, J. (1999), Probabilistic outputs for support vector machines and comparisons to regularized
likelihood methods, in Advances in Large Margin Classifiers, MIT Press.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from ml_release.errors import RefusedError

Floats = npt.NDArray[np.float64]
_CLIP = 1e-15


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedMargin:
    """A fitted two-class estimator with probability = sigmoid(slope * margin + intercept).

    Attributes
    ----------
    estimator
        Fitted, with the classes 0 and 1. `margin_of` says what its margin is.
    slope
        Per unit of the margin, above 0: rows keep their order. 1 with intercept 0 changes nothing
        where the margin is in log-odds.
    intercept
        In log-odds.
    """

    estimator: object
    slope: float
    intercept: float

    def predict_proba(self, matrix: Floats) -> Floats:
        """Probabilities of class 0 and class 1, shape (n, 2), of rows of shape (n, features)."""
        positive = sigmoid(self.slope * margin_of(self.estimator, matrix) + self.intercept)
        return np.column_stack([1 - positive, positive])


class CalibrationRecord(BaseModel):
    """A calibration, as the record of its candidate keeps it.

    Attributes
    ----------
    rows
        Validation rows of the folds it was fitted on.
    log_loss_before, log_loss_after
        Nats, on those rows, of the sigmoid of the margin as it is and of the fitted one: the second
        is measured where it was fitted, so it says what was gained, not how good it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Literal["sigmoid"] = "sigmoid"
    slope: float
    intercept: float
    rows: int
    log_loss_before: float
    log_loss_after: float


def sigmoid(log_odds: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1 / (1 + small), small / (1 + small))


def margin_of(estimator: Any, matrix: Floats) -> Floats:  # noqa: ANN401 (any estimator)
    """How far each row is on the side of class 1, shape (n,).

    The estimator's ``decision_function`` (log-odds for gradient boosting and logistic regression).
    One that has none is asked for the log-odds of its probability, kept 1e-15 away from 0 and 1.
    """
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(matrix), dtype=np.float64).reshape(-1)
    positive = np.clip(estimator.predict_proba(matrix)[:, 1], _CLIP, 1 - _CLIP)
    log_odds: Floats = np.log(positive) - np.log1p(-positive)
    return log_odds


def fit_sigmoid(margin: Floats, label: Floats) -> tuple[float, float]:
    """Slope and intercept of the sigmoid that makes the labels most likely, given the margins.

    The labels are smoothed as Platt (1999) says, to (n1 + 1) / (n1 + 2) for the n1 rows of class 1
    and 1 / (n0 + 2) for the n0 of class 0, which keeps the slope finite on separable rows. His sign
    is the opposite: A = -slope, B = -intercept.

    Parameters
    ----------
    margin
        Of rows the estimator was not fitted on, finite, shape (n,).
    label
        0 or 1, shape (n,).

    Raises
    ------
    RefusedError
        If a margin is not finite, if all are the same, if one class is missing, or if the slope is
        not above 0: then larger margins go with class 0, and no sigmoid makes that a model.
    """
    from scipy.optimize import minimize

    positive = label > 0
    ones, zeros = int(positive.sum()), int((~positive).sum())
    spread = float(np.std(margin)) if np.isfinite(margin).all() and len(margin) else 0.0
    if not ones or not zeros or not spread > 0:
        message = (
            "calibration: expected finite margins that differ, of both classes, found"
            f" {ones} rows of class 1 and {zeros} of class 0 with margins of standard deviation"
            f" {spread:g}. Choose a longer window, or calibration: none in policy.yaml."
        )
        raise RefusedError(message)
    centre = float(np.mean(margin))
    scaled = (margin - centre) / spread
    smoothed = np.where(positive, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    columns = np.column_stack([scaled, np.ones_like(scaled)])

    def loss(weights: Floats) -> float:
        log_odds = columns @ weights
        return float(np.mean(np.logaddexp(0.0, log_odds) - smoothed * log_odds))

    def gradient(weights: Floats) -> Floats:
        off: Floats = columns.T @ (sigmoid(columns @ weights) - smoothed) / len(scaled)
        return off

    def curvature(weights: Floats) -> Floats:
        p = sigmoid(columns @ weights)
        curved: Floats = (columns * (p * (1 - p))[:, None]).T @ columns / len(scaled)
        return curved

    # Convex in two numbers: Newton's steps inside a trust region end at the one minimum.
    found = minimize(
        loss,
        np.array([1.0, float(np.log((ones + 1) / (zeros + 1)))]),
        jac=gradient,
        hess=curvature,
        method="trust-exact",
        options={"gtol": 1e-10},
    )
    slope = float(found.x[0]) / spread
    intercept = float(found.x[1]) - slope * centre
    if not slope > 0:
        message = (
            f"calibration: expected margins that grow with the share of class 1, found a slope of"
            f" {slope:.3g} on {len(margin)} rows. The estimator orders new rows the wrong way round"
            " or by chance; choose a longer window or other features."
        )
        raise RefusedError(message)
    return slope, intercept
