"""The calibration error that chance gives: exact cases, its level at any n, and its power."""

from __future__ import annotations

import numpy as np
import pytest

from ml_release.domain import calibration_chance
from ml_release.domain.calibration_chance import calibration_excess
from ml_release.domain.scores import expected_calibration_error
from ml_release.errors import InputError

NAN = float("nan")


def test_with_one_row_the_expected_error_is_known() -> None:
    """A probability of 0.2 is off by 0.8 once in five times and by 0.2 else: 0.32."""
    found = calibration_excess(
        np.array([0.0]), np.array([0.2]), seed=1, simulations=20_000, confidence=0.9
    )
    assert found.expected == pytest.approx(0.32, abs=0.01)
    assert found.upper == pytest.approx(0.8)
    assert found.error == pytest.approx(0.2)
    assert found.n == 1
    assert found.p_value == 1.0
    assert found.excess == pytest.approx(0.2 - found.expected)


def test_in_one_bin_the_expected_error_is_that_of_a_normal_mean() -> None:
    """1,000 rows of probability one half: root(2 / pi) times 0.5 / root(1000)."""
    probability = np.full(1000, 0.5)
    found = calibration_excess(
        (np.arange(1000) % 2).astype(float), probability, seed=2, simulations=4000
    )
    assert found.expected == pytest.approx((2 / np.pi) ** 0.5 * 0.5 / 1000**0.5, rel=0.05)
    assert found.upper == pytest.approx(1.96 * 0.5 / 1000**0.5, rel=0.08)


@pytest.mark.parametrize("n", [50, 1000])
def test_a_calibrated_model_is_found_off_as_often_as_the_level_says(n: int) -> None:
    """200 samples at 10 %, few rows or many, though the error itself differs fourfold."""
    rng = np.random.default_rng(n)
    alarms = 0
    errors = []
    for seed in range(200):
        probability = rng.beta(2, 4, n)
        target = (rng.random(n) < probability).astype(float)
        found = calibration_excess(target, probability, seed=seed, simulations=100, confidence=0.9)
        alarms += found.p_value <= 0.1
        errors.append(found.error)
        assert found.error == expected_calibration_error(target, probability)
    assert alarms / 200 == pytest.approx(0.1, abs=0.055)
    assert np.mean(errors) == pytest.approx({50: 0.13, 1000: 0.032}[n], rel=0.25)


def test_a_model_that_is_off_is_found_with_rows_enough() -> None:
    """Probabilities too high by 0.05: in 5,000 rows, not in 50; the excess is about 0.05."""
    rng = np.random.default_rng(5)
    probability = rng.uniform(0.2, 0.8, 5000)
    target = (rng.random(5000) < probability - 0.05).astype(float)
    many = calibration_excess(target, probability, seed=6)
    assert many.p_value < 0.01
    assert many.excess == pytest.approx(0.04, abs=0.02)
    few = calibration_excess(target[:50], probability[:50], seed=6)
    assert few.error < few.upper


def test_the_seed_decides_and_the_block_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does the order of the rows."""
    rng = np.random.default_rng(7)
    probability = rng.random(200)
    target = (rng.random(200) < probability).astype(float)
    found = calibration_excess(target, probability, seed=8)
    assert found == calibration_excess(target, probability, seed=8)
    assert found.expected != calibration_excess(target, probability, seed=9).expected
    rows = rng.permutation(200)
    again = calibration_excess(target[rows], probability[rows], seed=8)
    assert (again.expected, again.upper) == pytest.approx((found.expected, found.upper))
    monkeypatch.setattr(calibration_chance, "BLOCK_CELLS", 700)
    assert calibration_excess(target, probability, seed=8) == found


@pytest.mark.parametrize(
    ("target", "probability"),
    [
        pytest.param([], [], id="no rows"),
        pytest.param([0.0, NAN], [0.1, 0.2], id="a label is missing"),
        pytest.param([0.0, 1.0], [0.1, NAN], id="a probability is NaN"),
    ],
)
def test_what_cannot_be_told_is_nan(target: list[float], probability: list[float]) -> None:
    """A p-value of 1 would pass."""
    found = calibration_excess(np.array(target), np.array(probability), seed=1)
    assert np.isnan([found.error, found.expected, found.upper, found.p_value, found.excess]).all()


def test_wrong_arguments_are_refused() -> None:
    """No probabilities, too few simulations, different rows."""
    rows = np.array([0.0, 1.0])
    with pytest.raises(InputError, match="from 0 to 1"):
        calibration_excess(rows, np.array([0.5, 1.2]), seed=1)
    with pytest.raises(InputError, match="at least 100 simulations, found 99"):
        calibration_excess(rows, rows, seed=1, simulations=99, confidence=0.99)
    with pytest.raises(InputError, match="same rows"):
        calibration_excess(rows, np.zeros(3), seed=1)
