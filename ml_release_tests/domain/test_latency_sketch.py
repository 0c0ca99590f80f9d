"""Latencies in buckets: they add up, and a quantile is at most one step too great."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.latency_sketch import STEP, LatencySketch

LATENCIES = st.lists(st.floats(0.01, 1e5), min_size=1, max_size=60)


@given(LATENCIES, st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_at_most_one_step_above_the_true_one(
    values: list[float], share: float
) -> None:
    """The true one is the smallest value that so many do not exceed."""
    true = sorted(values)[max(1, int(np.ceil(share * len(values) - 1e-9))) - 1]
    found = LatencySketch.of(np.array(values)).quantile(share)
    assert found is not None
    assert true * (1 - 1e-6) <= found <= true * STEP * (1 + 1e-6)


@given(LATENCIES, LATENCIES)
def test_sketches_of_parts_are_the_sketch_of_the_whole(
    first: list[float], second: list[float]
) -> None:
    """In either order."""
    one, other = LatencySketch.of(np.array(first)), LatencySketch.of(np.array(second))
    whole = LatencySketch.of(np.array(first + second))
    assert one + other == other + one == whole
    assert whole.n == len(first) + len(second)


@given(LATENCIES, st.floats(0.1, 1e4))
def test_no_value_counts_as_above_a_limit_it_keeps(values: list[float], limit: float) -> None:
    """Those one step above it and more do."""
    found = LatencySketch.of(np.array(values)).above(limit)
    assert sum(value > limit * STEP * (1 + 1e-6) for value in values) <= found
    assert found <= sum(value >= limit * (1 - 1e-6) for value in values)


def test_without_values_there_is_no_quantile() -> None:
    """Values that are not known are none."""
    nothing = LatencySketch.of(np.array([np.nan, np.inf]))
    assert (nothing.n, nothing.quantile(0.99), nothing.above(1.0)) == (0, None, 0)


@pytest.mark.parametrize("limit", [float("nan"), float("inf")])
def test_nothing_is_above_a_limit_that_is_none(limit: float) -> None:
    """It is no number to be above."""
    assert LatencySketch.of(np.array([1.0])).above(limit) == 0
