"""Bounds of a rate that hold at every look."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.intervals import rate_interval
from ml_release.domain.rate_sequences import rate_bounds
from ml_release.errors import InputError


@given(st.integers(0, 5000), st.integers(1, 5000))
def test_the_bounds_hold_the_rate_and_are_wider_than_at_one_look(count: int, n: int) -> None:
    """Between 0 and 1, in order, and symmetric in what counts as an event."""
    count = min(count, n)
    found = rate_bounds(count, n, confidence=0.95)
    assert 0 <= found.low <= found.rate <= found.high <= 1
    once = rate_interval(count, n, confidence=0.95)
    if n >= 30:
        assert found.high - found.low > once.high - once.low
    mirrored = rate_bounds(n - count, n, confidence=0.95)
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-9)


def test_the_density_at_a_bound_is_the_doubt() -> None:
    """The ratio of posterior and prior, which the bounds are made of."""
    from scipy.stats import beta

    found = rate_bounds(7, 300, confidence=0.9)
    assert beta.pdf([found.low, found.high], 8, 294) == pytest.approx([0.1, 0.1])


def test_looked_at_after_every_request_the_true_rate_stays_inside() -> None:
    """It leaves them in at most one run of twenty; an interval for one look loses it often."""
    rng = np.random.default_rng(5)
    lost = once_lost = 0
    runs, rate = 200, 0.1
    for _ in range(runs):
        counts = np.cumsum(rng.random(600) < rate)
        looks = range(20, 600, 20)
        bounds = [rate_bounds(int(counts[n - 1]), n, confidence=0.95) for n in looks]
        lost += any(not b.low <= rate <= b.high for b in bounds)
        single = [rate_interval(int(counts[n - 1]), n, confidence=0.95) for n in looks]
        once_lost += any(not b.low <= rate <= b.high for b in single)
    assert lost <= 0.05 * runs
    assert once_lost > 0.1 * runs


def test_without_requests_nothing_is_known() -> None:
    """NaN passes no comparison."""
    found = rate_bounds(0, 0, confidence=0.95)
    assert isnan(found.rate)
    assert isnan(found.low)
    assert isnan(found.high)


@pytest.mark.parametrize(("count", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 95)])
def test_counts_and_confidences_that_cannot_be_are_refused(
    count: int, n: int, confidence: float
) -> None:
    """More events than requests come of counting different rows."""
    with pytest.raises(InputError, match="expected"):
        rate_bounds(count, n, confidence=confidence)
