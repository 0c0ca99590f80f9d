"""A classifier whose margin is mapped to a probability by a sigmoid with two numbers.

Platt, J. (1999), Probabilistic outputs for support vector machines and comparisons to regularized
likelihood methods, in Advances in Large Margin Classifiers, MIT Press.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

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
