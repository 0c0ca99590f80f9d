"""Bounds of means: equal to their integral, kept at all looks, and unknown where nothing is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from ml_release.domain.mean_sequences import (
    UNKNOWN,
    Moments,
    log_e_mean_above,
    mean_difference,
    mean_radius,
    pooled_difference,
)
from ml_release.errors import InputError


@pytest.mark.parametrize(("x", "v", "tau"), [(0.02, 2.5e-5, 0.02), (-0.01, 1e-4, 0.02), (3, 1, 2)])
def test_the_e_value_equals_adaptive_quadrature(x: float, v: float, tau: float) -> None:
    """The likelihood ratio of a normal estimate over a half-normal of the true value."""

    def integrand(mean: float) -> float:
        ratio = float(stats.norm.pdf(x, mean, math.sqrt(v)) / stats.norm.pdf(x, 0, math.sqrt(v)))
        return ratio * 2 * float(stats.norm.pdf(mean, 0, tau))

    value, _ = integrate.quad(integrand, 0, 10 * tau, points=[abs(x)], limit=500)
    assert float(log_e_mean_above(x, v, tau=tau)) == pytest.approx(math.log(value), abs=1e-5)


def test_bounds_are_kept_at_all_looks() -> None:
    """2000 runs of up to 2000 values each, looked at from the 50th on: at most 5 % leave them."""
    generator = np.random.default_rng(3)
    values = generator.exponential(1.0, (2000, 2000)) - 1.0
    n = np.arange(1, 2001)
    means = values.cumsum(axis=1) / n
    variances = (values**2).cumsum(axis=1) / n - means**2
    radius = mean_radius(variances / n, tau=0.1, alpha=0.05)
    missed = (means - radius > 0)[:, 49:].any(axis=1)
    log_e = log_e_mean_above(means, variances / n, tau=0.1)
    assert float(missed.mean()) <= 0.05
    assert float((log_e >= math.log(20))[:, 49:].any(axis=1).mean()) <= 0.06


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40), st.integers(1, 39))
def test_moments_add_up(values: list[float], cut: int) -> None:
    """Two parts together are the whole, whose mean and variance numpy gives too."""
    array = np.array(values)
    whole = Moments.of(array[:cut]) + Moments.of(array[cut:])
    assert whole.n == len(array)
    assert whole.mean == pytest.approx(float(array.mean()), abs=1e-9)
    assert whole.variance == pytest.approx(float(array.var(ddof=1)), rel=1e-6, abs=1e-6)


def test_values_that_are_no_numbers_are_left_out() -> None:
    """And none of them are no mean."""
    assert Moments.of(np.array([1.0, np.nan, np.inf])) == Moments(n=1, total=1, total_squares=1)
    assert math.isnan(Moments().mean)
    assert math.isnan(Moments(n=1, total=1.0, total_squares=1.0).variance)


def test_a_change_of_split_and_of_traffic_is_no_difference() -> None:
    """Both arms are alike in each stretch; totals over both would say that the canary is worse."""
    generator = np.random.default_rng(4)

    def stretch(canary: int, control: int, mean: float) -> tuple[Moments, Moments]:
        return (
            Moments.of(generator.normal(mean, 1, canary)),
            Moments.of(generator.normal(mean, 1, control)),
        )

    parts = [stretch(1000, 9000, 0.0), stretch(9000, 1000, 5.0)]
    found = pooled_difference(parts)
    assert abs(found.value) < 4 * math.sqrt(found.variance)
    totals = mean_difference(parts[0][0] + parts[1][0], parts[0][1] + parts[1][1])
    assert totals.value > 3


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="no stretch"),
        pytest.param([(Moments(), Moments())], id="no values"),
        pytest.param([(Moments.of(np.ones(50)), Moments.of(np.ones(50)))], id="all equal"),
        pytest.param(
            [
                (
                    Moments(n=9, total=math.nan, total_squares=1.0),
                    Moments(n=9, total=0.0, total_squares=1.0),
                )
            ],
            id="NaN",
        ),
    ],
)
def test_what_is_not_known_stays_unknown(parts: list[tuple[Moments, Moments]]) -> None:
    """No spread is no proof."""
    found = pooled_difference(parts)
    assert not found.is_known
    assert math.isinf(float(mean_radius(UNKNOWN.variance, tau=1.0, alpha=0.05)))
    assert float(log_e_mean_above(math.nan, math.nan, tau=1.0)) == 0


def test_widths_and_probabilities_make_sense() -> None:
    """Or one clear error says what was expected."""
    with pytest.raises(InputError, match="expected a tau above 0"):
        mean_radius(1.0, tau=0.0, alpha=0.05)
    with pytest.raises(InputError, match="expected an alpha"):
        mean_radius(1.0, tau=1.0, alpha=0.0)
