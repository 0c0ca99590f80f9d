"""What looking all the time costs: tuned intervals, and the plan that rests on them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.domain.planned_looks import (
    always_valid_p,
    half_width,
    inflation,
    mixture_width,
    planned_variance,
    variance_for,
)

ALPHAS = st.floats(0.001, 0.2)
VARIANCES = st.floats(1e-8, 1e2)


@given(tuned_at=VARIANCES, alpha=ALPHAS)
@settings(max_examples=50, deadline=None)
def test_the_interval_is_about_as_narrow_as_it_can_be_where_it_is_tuned(
    tuned_at: float, alpha: float
) -> None:
    """Tuning to a fourth or to four times the variance gives a wider one there."""
    here = half_width(tuned_at, tuned_at=tuned_at, alpha=alpha)
    for factor in (0.25, 4.0):
        assert half_width(tuned_at, tuned_at=tuned_at * factor, alpha=alpha) > here


@given(variance=VARIANCES, tuned_at=VARIANCES, alpha=ALPHAS)
@settings(max_examples=50, deadline=None)
def test_the_variance_for_a_width_gives_that_width(
    variance: float, tuned_at: float, alpha: float
) -> None:
    """The inverse of the width, and the width grows with the variance."""
    width = half_width(variance, tuned_at=tuned_at, alpha=alpha)
    assert variance_for(width, tuned_at=tuned_at, alpha=alpha) == pytest.approx(variance, rel=1e-4)
    assert half_width(2 * variance, tuned_at=tuned_at, alpha=alpha) > width


@given(variance=VARIANCES, z=st.floats(-6, 6), alpha=ALPHAS)
@settings(max_examples=80, deadline=None)
def test_the_p_value_and_the_interval_say_nearly_the_same(
    variance: float, z: float, alpha: float
) -> None:
    """Two averages over the same mixture: what one rejects clearly the other rejects too."""
    estimate = z * math.sqrt(variance)
    p_value = always_valid_p(estimate, variance, tuned_at=variance, alpha=alpha)
    width = half_width(variance, tuned_at=variance, alpha=alpha)
    if abs(estimate) > 1.02 * width:
        assert p_value < alpha
    if abs(estimate) < 0.98 * width:
        assert p_value > alpha


@pytest.mark.parametrize(
    ("estimate", "variance"),
    [
        pytest.param(math.nan, 1.0, id="no estimate"),
        pytest.param(0.1, math.inf, id="nothing known"),
        pytest.param(0.1, math.nan, id="no variance"),
        pytest.param(0.1, 0.0, id="no spread is no proof"),
    ],
)
def test_what_is_not_known_has_no_p_value(estimate: float, variance: float) -> None:
    """And no interval where the variance is missing."""
    assert math.isnan(always_valid_p(estimate, variance, tuned_at=1.0, alpha=0.05))
    if not math.isfinite(variance) or variance == 0:
        assert half_width(variance, tuned_at=1.0, alpha=0.05) == math.inf


@pytest.mark.parametrize("alpha", [0.01, 0.05])
@pytest.mark.parametrize("power", [0.8, 0.9])
def test_the_planned_variance_finds_its_effect_with_the_power(alpha: float, power: float) -> None:
    """By simulation at the planned look alone."""
    variance = planned_variance(0.02, alpha=alpha, power=power)
    width = half_width(variance, tuned_at=variance, alpha=alpha)
    estimates = np.random.default_rng(5).normal(0.02, math.sqrt(variance), 40_000)
    assert float((estimates > width).mean()) == pytest.approx(power, abs=0.01)


def test_an_interval_for_all_looks_holds_at_all_looks() -> None:
    """Brownian sums looked at 1,000 times leave it in at most alpha of 2,000 runs; z does not."""
    generator = np.random.default_rng(11)
    n = np.arange(1, 1001)
    means = np.cumsum(generator.normal(size=(2000, 1000)), axis=1) / n
    widths = np.array([half_width(1 / k, tuned_at=1 / 500, alpha=0.05) for k in n])
    assert float((np.abs(means) > widths).any(axis=1).mean()) <= 0.05
    assert float((np.abs(means) > 1.96 / np.sqrt(n)).any(axis=1).mean()) > 0.3


def test_inflation_grows_with_neither_effect_nor_variance() -> None:
    """The ratio of planned variances, for one look and for all, at any effect."""
    from statistics import NormalDist

    normal = NormalDist()
    once = (0.07 / (normal.inv_cdf(0.975) + normal.inv_cdf(0.8))) ** 2
    assert once / planned_variance(0.07, alpha=0.05, power=0.8) == pytest.approx(
        inflation(alpha=0.05, power=0.8)
    )
    assert mixture_width(4.0, alpha=0.05) == pytest.approx(2 * mixture_width(1.0, alpha=0.05))
