"""Losses of a regression against scikit-learn, and their intervals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.domain.intervals import mean_interval
from ml_release.domain.regression_scores import (
    mean_absolute_error,
    mean_error,
    pinball_loss,
    r2_score,
    root_mean_squared_error,
    signed_errors,
    squared_errors,
)
from ml_release.errors import InputError

Floats = npt.NDArray[np.float64]
NAN = float("nan")


def sample(seed: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    target = rng.gamma(2.0, 10.0, 120)
    return target, target + rng.normal(1, 5, 120)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.02, 0.98))
def test_losses_are_those_of_scikit_learn(seed: int, alpha: float) -> None:
    """To 1e-9, each within its interval."""
    from sklearn import metrics

    target, prediction = sample(seed)
    cases = [
        (mean_absolute_error(target, prediction), metrics.mean_absolute_error(target, prediction)),
        (
            root_mean_squared_error(target, prediction),
            metrics.root_mean_squared_error(target, prediction),
        ),
        (
            pinball_loss(target, prediction, alpha=alpha),
            metrics.mean_pinball_loss(target, prediction, alpha=alpha),
        ),
        (mean_error(target, prediction), float(np.mean(prediction - target))),
    ]
    for found, expected in cases:
        assert found.estimate == pytest.approx(expected, abs=1e-9)
        assert found.low < found.estimate < found.high
    assert r2_score(target, prediction) == pytest.approx(
        metrics.r2_score(target, prediction), abs=1e-9
    )


def test_the_bias_is_positive_where_predictions_are_too_high() -> None:
    """Prediction minus target."""
    assert mean_error(np.array([1.0, 2.0]), np.array([2.0, 5.0])).estimate == 2.0


def test_the_interval_of_a_root_is_the_root_of_the_interval() -> None:
    """Over days too; a low end below 0 is 0."""
    target, prediction = sample(1)
    days = np.arange(120) // 10
    found = root_mean_squared_error(target, prediction, confidence=0.9, groups=days)
    squared = mean_interval(squared_errors(target, prediction), confidence=0.9, groups=days)
    assert (found.low**2, found.high**2) == pytest.approx((squared.low, squared.high))
    assert found.units == 12
    wide = root_mean_squared_error(np.zeros(4), np.array([0.0, 0.1, 0.1, 9.0]))
    assert wide.low == 0.0


def test_the_intervals_of_the_losses_cover() -> None:
    """600 samples of 300 normal errors at 90 %: MAE is root(2 / pi), RMSE is 1."""
    rng = np.random.default_rng(2)
    covered = np.zeros(2)
    for _ in range(600):
        error = rng.normal(0, 1, 300)
        mae = mean_absolute_error(np.zeros(300), error, confidence=0.9)
        rmse = root_mean_squared_error(np.zeros(300), error, confidence=0.9)
        covered += [mae.low <= (2 / np.pi) ** 0.5 <= mae.high, rmse.low <= 1 <= rmse.high]
    assert covered / 600 == pytest.approx(np.array([0.9, 0.9]), abs=0.03)


@pytest.mark.parametrize(
    ("target", "prediction"),
    [
        pytest.param([], [], id="no rows"),
        pytest.param([1.0, NAN], [1.0, 2.0], id="a label is missing"),
        pytest.param([1.0, 2.0], [1.0, NAN], id="a prediction is NaN"),
        pytest.param([1.0, np.inf], [1.0, np.inf], id="both infinite"),
    ],
)
def test_losses_are_undefined_where_rows_are_not_known(
    target: list[float], prediction: list[float]
) -> None:
    """NaN in estimate and ends."""
    columns = np.array(target), np.array(prediction)
    for found in (
        mean_absolute_error(*columns),
        root_mean_squared_error(*columns),
        mean_error(*columns),
        pinball_loss(*columns, alpha=0.9),
    ):
        assert np.isnan([found.estimate, found.low, found.high]).all()
    assert np.isnan(r2_score(*columns))


def test_a_perfect_prediction_has_a_loss_of_0_and_no_ends() -> None:
    """No spread is no proof."""
    found = root_mean_squared_error(np.arange(5.0), np.arange(5.0))
    assert found.estimate == 0
    assert np.isnan([found.low, found.high]).all()


def test_r2_is_undefined_for_a_constant_target() -> None:
    """scikit-learn gives 1 or 0 there."""
    assert np.isnan(r2_score(np.full(3, 0.1), np.full(3, 0.1)))
    assert np.isnan(r2_score(np.array([1.0]), np.array([1.0])))


def test_wrong_arguments_are_refused() -> None:
    """A level outside 0 to 1, and columns of different rows."""
    for alpha in (0.0, 1.0, NAN):
        with pytest.raises(InputError, match="alpha between 0 and 1"):
            pinball_loss(np.zeros(2), np.zeros(2), alpha=alpha)
    with pytest.raises(InputError, match="same rows"):
        signed_errors(np.zeros(2), np.zeros((2, 1)))
