"""Intervals that hold at every look: ends, edges, and how often they leave out the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.domain.sequential_intervals import (
    mean_sequence,
    paired_rates_sequence,
    rate_sequence,
)
from ml_release.errors import InputError

NAN = float("nan")


@given(st.integers(0, 10**7), st.floats(0, 1), st.floats(0.5, 0.99999))
@settings(max_examples=200, deadline=None)
def test_a_rate_lies_in_its_interval_and_that_between_0_and_1(
    n: int, share: float, confidence: float
) -> None:
    """However many units there are, and at both edges."""
    count = round(n * share)
    found = rate_sequence(count, n, confidence=confidence)
    assert 0 <= found.low <= found.high <= 1
    if n:
        assert found.low <= count / n <= found.high
        mirrored = rate_sequence(n - count, n, confidence=confidence)
        assert mirrored.low == pytest.approx(1 - found.high, abs=1e-9)
    else:
        assert (found.low, found.high) == (0, 1)


@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_a_rate_is_left_out_at_any_look_as_rarely_as_declared(rate: float) -> None:
    """Up to 1,000 units; a fixed 95 % interval would leave it out in far more of the runs."""
    draw = np.random.default_rng(11)
    hits = np.cumsum(draw.random((100, 1000)) < rate, axis=1)
    left_out = 0
    for run in hits:
        looks = (rate_sequence(int(run[n - 1]), n, confidence=0.95) for n in range(10, 1001, 50))
        left_out += any(not found.low <= rate <= found.high for found in looks)
    assert left_out <= 0.05 * 100


def test_rates_of_pairs_differ_by_what_their_intervals_allow() -> None:
    """Equal counts give an interval around 0, and more pairs a smaller one."""
    few = paired_rates_sequence(10, 10, 1000, confidence=0.99, tau=0.01)
    many = paired_rates_sequence(100, 100, 10_000, confidence=0.99, tau=0.01)
    assert few.low < many.low < 0 < many.high < few.high
    assert paired_rates_sequence(300, 10, 1000, confidence=0.99, tau=0.1).low > 0.1
    assert paired_rates_sequence(28, 0, 100, confidence=0.99, tau=0.1).low > 0.02
    everywhere = paired_rates_sequence(0, 0, 0, confidence=0.99, tau=0.1)
    assert (everywhere.low, everywhere.high) == (-1, 1)


def test_rates_of_pairs_are_left_out_at_any_look_as_rarely_as_declared() -> None:
    """Also where the interval passes from one form to the other."""
    draw = np.random.default_rng(12)
    left_out = 0
    for _ in range(100):
        each = draw.random(3000)
        more, less = np.cumsum(each < 0.02), np.cumsum(each > 0.98)
        looks = (
            paired_rates_sequence(int(more[n - 1]), int(less[n - 1]), n, confidence=0.95, tau=0.01)
            for n in range(20, 3001, 80)
        )
        left_out += any(not found.low <= 0 <= found.high for found in looks)
    assert left_out <= 0.05 * 100


@pytest.mark.parametrize(
    ("mean", "variance", "n", "ends"),
    [
        pytest.param(0.0, 0.0, 50, (0.0, 0.0), id="nothing differs"),
        pytest.param(0.1, 0.0, 50, (NAN, NAN), id="no spread"),
        pytest.param(0.1, 1e-28, 50, (NAN, NAN), id="dust"),
        pytest.param(0.1, 0.1, 1, (NAN, NAN), id="one unit"),
        pytest.param(0.1, 0.1, 0, (NAN, NAN), id="no unit"),
        pytest.param(NAN, 0.1, 50, (NAN, NAN), id="unknown mean"),
        pytest.param(0.1, NAN, 50, (NAN, NAN), id="unknown variance"),
    ],
)
def test_a_mean_that_cannot_be_told_has_no_interval(
    mean: float, variance: float, n: int, ends: tuple[float, float]
) -> None:
    found = mean_sequence(mean, variance, n, confidence=0.99, tau=0.05)
    assert (found.low, found.high) == pytest.approx(ends, nan_ok=True)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="expected a count from 0 to n = 3, found 4"):
        rate_sequence(4, 3, confidence=0.9)
    with pytest.raises(InputError, match="confidence"):
        rate_sequence(1, 3, confidence=1.0)
    with pytest.raises(InputError, match="expected counts within n = 3, found 2 and 2"):
        paired_rates_sequence(2, 2, 3, confidence=0.9, tau=0.1)
    with pytest.raises(InputError, match="tau"):
        mean_sequence(0.1, 0.1, 30, confidence=0.9, tau=0.0)


@pytest.mark.parametrize("n", [100, 300, 3000])
def test_pairs_that_all_differ_alike_are_told(n: int) -> None:
    """The worst there can be is no missing value."""
    worse = paired_rates_sequence(n, 0, n, confidence=0.99, tau=0.005)
    better = paired_rates_sequence(0, n, n, confidence=0.99, tau=0.005)
    assert (worse.estimate, better.estimate) == (1.0, -1.0)
    assert worse.high == -better.low == 1.0
    assert 0.3 < worse.low == -better.high < 1
