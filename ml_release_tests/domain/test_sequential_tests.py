"""E-values: equal to the integral they stand for, at most 1 on average, and never reached twice."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from ml_release.domain.sequential_tests import (
    log_e_more_common_events,
    log_e_more_events,
    log_e_other_events,
)
from ml_release.errors import InputError

counts = st.integers(0, 2000)
shares = st.floats(0.01, 0.99)


def by_quadrature(s: int, f: int, w: float, *, low: float) -> float:
    """The mixture by scipy's adaptive quadrature over its own Beta density."""
    prior = stats.beta(10 * w, 10 * (1 - w))

    def integrand(p: float) -> float:
        ratio = s * math.log(p / w) + f * math.log((1 - p) / (1 - w))
        return math.exp(ratio) * float(prior.pdf(p))

    points = [low + (1 - low) * 10**-x for x in (4, 3, 2, 1.5, 1, 0.5)]
    value, _ = integrate.quad(integrand, low, 1, points=points, limit=1000)
    return math.log(value / float(prior.sf(low)))


@pytest.mark.parametrize(
    ("s", "f", "w"),
    [
        pytest.param(12, 60, 0.05, id="harm"),
        pytest.param(0, 100, 0.05, id="no event of the canary"),
        pytest.param(0, 30_000, 0.05, id="out where scipy underflows"),
        pytest.param(700, 20_000, 0.05, id="better, many events"),
        pytest.param(3, 10, 0.5, id="half and half"),
        pytest.param(1000, 2000, 0.3, id="a third"),
        pytest.param(40, 0, 0.05, id="all of the canary"),
    ],
)
def test_more_events_equals_adaptive_quadrature(s: int, f: int, w: float) -> None:
    """The closed form is the integral of the likelihood ratio over the cut-off Beta."""
    assert float(log_e_more_events(s, f, w)) == pytest.approx(
        by_quadrature(s, f, w, low=w), abs=1e-6
    )


def test_other_events_equals_adaptive_quadrature() -> None:
    """The two-sided form is the integral over the whole Beta."""
    found = float(log_e_other_events(12, 60, 0.3))
    assert found == pytest.approx(by_quadrature(12, 60, 0.3, low=1e-12), abs=1e-4)


@pytest.mark.parametrize("w", [0.05, 0.3, 0.5])
@pytest.mark.parametrize("n", [1, 7, 60])
def test_e_values_of_a_known_split_average_to_one(w: float, n: int) -> None:
    """Over all outcomes of n events under equal rates, exactly: the definition of an e-value."""
    s = np.arange(n + 1)
    chance = stats.binom(n, w).pmf(s)
    for test in (log_e_more_events, log_e_other_events):
        assert float(np.sum(chance * np.exp(test(s, n - s, w)))) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.93])
@pytest.mark.parametrize(("n_a", "n_b"), [(3, 9), (20, 60), (40, 40)])
def test_e_values_of_common_events_average_to_at_most_one(rate: float, n_a: int, n_b: int) -> None:
    """Over all outcomes under equal rates, whatever they are."""
    a, b = np.arange(n_a + 1)[:, None], np.arange(n_b + 1)[None, :]
    chance = stats.binom(n_a, rate).pmf(a) * stats.binom(n_b, rate).pmf(b)
    mean = float(np.sum(chance * np.exp(log_e_more_common_events(n_a, a, n_b, b))))
    assert mean <= 1 + 1e-9


def test_an_equal_canary_hardly_ever_reaches_the_limit() -> None:
    """2000 releases, 500 looks each: at most 1 % at 1 %, also with the realised share."""
    generator = np.random.default_rng(5)
    shape = (2000, 500)
    n_a = generator.poisson(10, shape).cumsum(axis=1)
    n_b = generator.poisson(190, shape).cumsum(axis=1)
    a = generator.poisson(0.1, shape).cumsum(axis=1)
    b = generator.poisson(1.9, shape).cumsum(axis=1)
    log_e = log_e_more_events(a, b, n_a / np.maximum(n_a + n_b, 1))
    assert float((log_e >= math.log(100)).any(axis=1).mean()) <= 0.01


def test_common_events_are_found_sooner_by_their_own_test() -> None:
    """At 30 % against 40 % it shows more; both are valid."""
    own = log_e_more_common_events(400, 160, 1600, 480)
    assert float(own) > float(log_e_more_events(160, 480, 0.2))


@given(s=counts, f=counts, w=shares)
def test_more_events_grow_with_the_canarys(s: int, f: int, w: float) -> None:
    """One more event of the canary never shows less harm, one of the control never more."""
    here = float(log_e_more_events(s, f, w))
    assert float(log_e_more_events(s + 1, f, w)) >= here - 1e-9 or s + f == 0
    assert float(log_e_more_events(s, f + 1, w)) <= here + 1e-9 or s + f == 0


@given(s=counts, f=counts)
def test_other_events_are_symmetric_at_half(s: int, f: int) -> None:
    """With equal shares the arms may be swapped."""
    assert float(log_e_other_events(s, f, 0.5)) == pytest.approx(
        float(log_e_other_events(f, s, 0.5)), abs=1e-9
    )


@given(s=st.integers(0, 10**6), f=st.integers(0, 10**7), w=shares)
@settings(max_examples=100, deadline=None)
def test_e_values_are_numbers(s: int, f: int, w: float) -> None:
    """However large the counts and however clear the answer: a product keeps what others say."""
    assert math.isfinite(float(log_e_more_events(s, f, w)))
    assert math.isfinite(float(log_e_other_events(s, f, w)))


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_one_arm_alone_shows_nothing(share: float) -> None:
    """Nothing to compare with is 0 nats."""
    assert float(log_e_more_events(50, 0, share)) == 0
    assert float(log_e_other_events(50, 0, share)) == 0
    assert float(log_e_more_common_events(100, 50, 0, 0)) == 0


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: log_e_more_events(-1, 2, 0.5), id="negative"),
        pytest.param(lambda: log_e_more_events(float("nan"), 2, 0.5), id="NaN"),
        pytest.param(lambda: log_e_more_events(1, 2, 0.5, concentration=0), id="concentration"),
        pytest.param(lambda: log_e_more_common_events(1, 2, 5, 1), id="more events than requests"),
        pytest.param(lambda: log_e_other_events(1, math.inf, 0.5), id="infinite"),
    ],
)
def test_what_is_no_count_is_refused(call: object) -> None:
    """With one clear error, not with a number."""
    with pytest.raises(InputError, match="expected"):
        call()  # type: ignore[operator]
