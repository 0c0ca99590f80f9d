"""Platt's sigmoid: fitted as published, and refused where it would say nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.calibrated_margin import (
    CalibratedMargin,
    fit_sigmoid,
    margin_of,
    sigmoid,
)
from ml_release.errors import RefusedError


def labelled(
    slope: float, intercept: float, *, rows: int = 20_000, seed: int = 3
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Margins, and labels that are as likely as the sigmoid says."""
    generator = np.random.default_rng(seed)
    margin = generator.normal(-1, 2, rows)
    likely = sigmoid(slope * margin + intercept)
    return margin, (generator.uniform(0, 1, rows) < likely).astype(np.float64)


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [
        pytest.param(1.0, 0.0, id="calibrated already"),
        pytest.param(0.4, 0.0, id="too sure"),
        pytest.param(2.5, 0.0, id="not sure enough"),
        pytest.param(1.0, -1.5, id="too high"),
    ],
)
def test_the_sigmoid_that_made_the_labels_is_found(slope: float, intercept: float) -> None:
    """Up to the chance of 20,000 rows."""
    found = fit_sigmoid(*labelled(slope, intercept))
    assert found == pytest.approx((slope, intercept), abs=0.12)


@given(
    scale=st.floats(0.01, 100),
    shift=st.floats(-50, 50),
    rows=st.integers(20, 200),
    seed=st.integers(0, 5),
)
def test_it_is_the_one_scikit_learn_fits(scale: float, shift: float, rows: int, seed: int) -> None:
    """An independent implementation with the same smoothing answers alike, in any unit."""
    from sklearn.calibration import _SigmoidCalibration

    margin, label = labelled(1.5, 0.5, rows=rows, seed=seed)
    margin = margin * scale + shift
    try:
        slope, intercept = fit_sigmoid(margin, label)
    except RefusedError:
        return
    theirs = _SigmoidCalibration().fit(margin, label).predict(margin)
    np.testing.assert_allclose(sigmoid(slope * margin + intercept), theirs, atol=2e-4)


def test_separable_rows_have_a_finite_slope() -> None:
    """Smoothed targets are never reached, so the most likely slope is a number."""
    slope, intercept = fit_sigmoid(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0.0, 0, 1, 1]))
    top = sigmoid(np.array([2 * slope + intercept]))[0]
    assert 0.5 < top < 1
    assert np.isfinite([slope, intercept]).all()


def test_ranks_are_kept() -> None:
    """Calibration changes no AUC."""
    margin, label = labelled(0.7, 1.0, rows=300)
    slope, intercept = fit_sigmoid(margin, label)
    after = sigmoid(slope * margin + intercept)
    assert (np.argsort(after, kind="stable") == np.argsort(margin, kind="stable")).all()


@pytest.mark.parametrize(
    ("margin", "label", "problem"),
    [
        pytest.param([], [], "found 0 rows of class 1 and 0 of class 0", id="nothing"),
        pytest.param([1.0, 2.0], [1.0, 1.0], "found 2 rows of class 1 and 0", id="one class"),
        pytest.param([1.0, 1.0], [0.0, 1.0], "margins that differ", id="one margin"),
        pytest.param([1.0, float("nan")], [0.0, 1.0], "finite margins", id="no number"),
        pytest.param([1.0, float("inf")], [0.0, 1.0], "finite margins", id="infinite"),
        pytest.param([1.0, 2.0, 3.0], [1.0, 1.0, 0.0], "slope of -", id="the wrong way round"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    margin: list[float], label: list[float], problem: str
) -> None:
    """With what was found: no sigmoid is made up."""
    with pytest.raises(RefusedError, match=problem):
        fit_sigmoid(np.array(margin), np.array(label))


class _Odds:
    """Probability and nothing else."""

    def predict_proba(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack([1 - matrix[:, 0], matrix[:, 0]])


def test_without_a_decision_function_the_margin_is_the_log_odds() -> None:
    """Finite also at 0 and 1."""
    margin = margin_of(_Odds(), np.array([[0.0], [0.25], [0.5], [1.0]]))
    assert margin[1:3] == pytest.approx([-np.log(3), 0.0])
    assert margin[0] == pytest.approx(np.log(1e-15), rel=1e-6)
    assert np.isfinite(margin).all()


def fitted() -> tuple[Any, npt.NDArray[np.float64]]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    generator = np.random.default_rng(1)
    matrix = generator.normal(size=(400, 2))
    label = (matrix[:, 0] + generator.normal(size=400) > 0).astype(np.int64)
    return HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(matrix, label), matrix


def test_slope_one_and_intercept_zero_change_nothing() -> None:
    """The margin of gradient boosting is in log-odds."""
    estimator, matrix = fitted()
    found = CalibratedMargin(estimator=estimator, slope=1.0, intercept=0.0)
    np.testing.assert_allclose(
        found.predict_proba(matrix), estimator.predict_proba(matrix), atol=1e-15
    )


def test_probabilities_of_the_two_classes_are_those_of_the_sigmoid() -> None:
    """They add up to one."""
    estimator, matrix = fitted()
    found = CalibratedMargin(estimator=estimator, slope=2.0, intercept=-1.0).predict_proba(matrix)
    expected = 1 / (1 + np.exp(-(2 * estimator.decision_function(matrix) - 1)))
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
