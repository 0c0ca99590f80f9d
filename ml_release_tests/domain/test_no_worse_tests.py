"""Showing that a canary is no worse: never by doing nothing, seldom by chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ml_release.domain.no_worse_tests import log_e_no_worse, rate_difference_upper
from ml_release.errors import InputError


@pytest.mark.parametrize(("low", "delta"), [(0.0, 0.1), (0.01, 0.05), (0.2, 0.1), (0.6, 0.3)])
@pytest.mark.parametrize(("n_a", "n_b"), [(5, 15), (20, 60)])
def test_a_canary_worse_by_the_tolerance_averages_to_at_most_one(
    low: float, delta: float, n_a: int, n_b: int
) -> None:
    """Over all outcomes at the border of the null, and beyond it."""
    a, b = np.arange(n_a + 1)[:, None], np.arange(n_b + 1)[None, :]
    e = np.exp(log_e_no_worse(n_a, a, n_b, b, tolerance=delta))
    for more in (0.0, 0.05):
        chance = stats.binom(n_a, low + delta + more).pmf(a) * stats.binom(n_b, low).pmf(b)
        assert float(np.sum(chance * e)) <= 1 + 1e-6


def test_a_canary_worse_by_the_tolerance_is_seldom_ever_shown() -> None:
    """1000 releases, 40 looks: at most 5 % at 5 %."""
    generator = np.random.default_rng(8)
    shape = (1000, 40)
    n_a = generator.poisson(100, shape)
    n_b = generator.poisson(1900, shape)
    a, b = (
        generator.binomial(n_a, 0.02).cumsum(axis=1),
        generator.binomial(n_b, 0.01).cumsum(axis=1),
    )
    log_e = log_e_no_worse(n_a.cumsum(axis=1), a, n_b.cumsum(axis=1), b, tolerance=0.01)
    assert float((log_e >= math.log(20)).any(axis=1).mean()) <= 0.05


def test_an_equal_canary_is_shown_in_the_end() -> None:
    """At 1 % errors and a tolerance of one point, within 3000 of its requests."""
    assert float(log_e_no_worse(3000, 30, 57_000, 570, tolerance=0.01)) > math.log(20)


@pytest.mark.parametrize(("n_a", "n_b"), [(0, 0), (0, 500), (500, 0)])
def test_without_an_arm_nothing_is_shown(n_a: int, n_b: int) -> None:
    """No requests are no proof."""
    assert float(log_e_no_worse(n_a, 0, n_b, 0, tolerance=0.01)) == 0
    assert rate_difference_upper(n_a, 0, n_b, 0, alpha=0.05) == 1


@given(
    n=st.integers(10, 3000),
    canary=st.floats(0, 1),
    control=st.floats(0, 1),
    alpha=st.sampled_from([0.01, 0.05, 0.2]),
)
@settings(max_examples=15, deadline=None)
def test_the_upper_end_is_not_below_what_was_seen(
    n: int, canary: float, control: float, alpha: float
) -> None:
    """And is itself shown to be one."""
    a, b = int(n * canary), int(9 * n * control)
    upper = rate_difference_upper(n, a, 9 * n, b, alpha=alpha)
    assert upper >= a / n - b / (9 * n)
    if upper < 1:
        assert float(log_e_no_worse(n, a, 9 * n, b, tolerance=upper)) >= -math.log(alpha) - 1e-9


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -0.1, float("nan")])
def test_a_tolerance_lies_between_nothing_and_everything(tolerance: float) -> None:
    """No tolerance can never be shown, all of it is always kept."""
    with pytest.raises(InputError, match="expected a tolerance between 0 and 1"):
        log_e_no_worse(10, 1, 10, 1, tolerance=tolerance)


def test_an_alpha_lies_between_0_and_1() -> None:
    """As every error probability."""
    with pytest.raises(InputError, match="expected an alpha between 0 and 1"):
        rate_difference_upper(10, 1, 10, 1, alpha=1.0)
