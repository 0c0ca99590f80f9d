"""The probability of a calibrated margin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ml_release.domain.calibrated_margin import CalibratedMargin, margin_of


class Distance:
    """An estimator whose margin is its first column."""

    def decision_function(self, matrix: np.ndarray) -> np.ndarray:
        return matrix[:, 0]


class Share:
    """An estimator that gives its first column as probability."""

    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        return np.column_stack([1 - matrix[:, 0], matrix[:, 0]])


def test_slope_and_intercept_stand_before_the_logistic_function() -> None:
    """By the formula, row by row; both classes sum to one."""
    calibrated = CalibratedMargin(estimator=Distance(), slope=2.0, intercept=-1.0)
    found = calibrated.predict_proba(np.array([[0.0], [0.5], [3.0]]))
    expected = [1 / (1 + math.exp(-(2 * margin - 1))) for margin in (0.0, 0.5, 3.0)]
    assert found[:, 1] == pytest.approx(expected, abs=1e-15)
    assert found.sum(axis=1) == pytest.approx([1, 1, 1])


def test_a_probability_is_turned_into_finite_log_odds() -> None:
    """Also where it is 0 or 1."""
    found = margin_of(Share(), np.array([[0.0], [0.25], [1.0]]))
    assert np.isfinite(found).all()
    assert found[1] == pytest.approx(math.log(1 / 3))
    assert found[0] == pytest.approx(-found[2], rel=1e-2)
