"""The split: right ones are seldom called off, wrong ones soon."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from ml_release.domain.sample_ratio import log_e_sample_ratio
from ml_release.errors import InputError


@pytest.mark.parametrize(("x", "y", "w"), [(50, 950, 0.05), (30, 70, 0.5), (0, 20, 0.1)])
def test_it_equals_adaptive_quadrature(x: int, y: int, w: float) -> None:
    """Of two arms it is the integral over a Beta around the declared share."""
    prior = stats.beta(100 * w, 100 * (1 - w))

    def integrand(p: float) -> float:
        return math.exp(x * math.log(p / w) + y * math.log((1 - p) / (1 - w))) * prior.pdf(p)

    value, _ = integrate.quad(integrand, 1e-9, 1 - 1e-9, points=[w, x / (x + y) or 0.01], limit=500)
    found = float(log_e_sample_ratio([x, y], [w, 1 - w], concentration=100))
    assert found == pytest.approx(math.log(value), abs=1e-6)


def test_a_right_split_is_hardly_ever_called_off() -> None:
    """2000 runs of 500 looks: at most one in a thousand, give or take chance."""
    generator = np.random.default_rng(6)
    counts = np.stack(
        [generator.poisson(10, (2000, 500)), generator.poisson(190, (2000, 500))], axis=-1
    )
    log_e = log_e_sample_ratio(counts.cumsum(axis=1), [0.05, 0.95])
    assert float((log_e >= math.log(1000)).any(axis=1).mean()) <= 0.003


def test_a_wrong_split_of_three_arms_is_called_off() -> None:
    """A tenth of one arm is lost."""
    assert float(log_e_sample_ratio([9000, 10_000, 10_000], [1 / 3, 1 / 3, 1 / 3])) > math.log(1e6)


@pytest.mark.parametrize(
    ("counts", "shares"),
    [
        pytest.param([1, 2], [0.5, 0.6], id="more than everything"),
        pytest.param([1, 2], [0.0, 1.0], id="an arm without share"),
        pytest.param([1, 2, 3], [0.5, 0.5], id="another number of arms"),
        pytest.param([-1, 2], [0.5, 0.5], id="negative"),
        pytest.param([math.nan, 2], [0.5, 0.5], id="NaN"),
    ],
)
def test_what_is_no_split_is_refused(counts: list[float], shares: list[float]) -> None:
    """With one clear error."""
    with pytest.raises(InputError, match="sample ratio: expected"):
        log_e_sample_ratio(counts, shares)
