"""ADWIN: where river cuts its window, with a state that goes on and stays small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.drift import ADWIN

from ml_release.domain.adwin import Adwin, AdwinPolicy
from ml_release_tests.domain.test_page_hinkley import STREAMS, changes_in

POLICIES = (
    AdwinPolicy(),
    AdwinPolicy(delta=0.05, clock=1, minimum_part=7),
    AdwinPolicy(delta=0.05, clock=7, maximum_buckets=2, minimum_part=3, grace_values=5),
)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", STREAMS)
def test_window_and_changes_are_those_of_river(name: str, policy: AdwinPolicy) -> None:
    """After every single value: width, sum, and whether it showed a change."""
    theirs = ADWIN(  # type: ignore[no-untyped-call]
        delta=policy.delta,
        clock=policy.clock,
        max_buckets=policy.maximum_buckets,
        min_window_length=policy.minimum_part,
        grace_period=policy.grace_values,
    )
    ours = Adwin()
    changes = 0
    for value in STREAMS[name].tolist():
        theirs.update(value)  # type: ignore[no-untyped-call]
        ours = ours.after(value, policy)
        assert (ours.changed, ours.width) == (theirs.drift_detected, theirs.width)
        assert ours.total == pytest.approx(theirs.total, abs=1e-9)
        changes += ours.changed
    if name == "a step":
        assert changes == 1


def test_the_two_sides_of_a_cut_are_told() -> None:
    """Which way it went is known by them."""
    values = [0.1] * 60 + [0.9] * 60
    state = Adwin()
    for value in values:
        state = state.after(value, POLICIES[1])
        if state.changed:
            break
    assert state.older_mean == pytest.approx(0.1)
    assert state.newer_mean is not None
    assert state.newer_mean > 0.5
    assert state.after(0.9, POLICIES[1]).width == 1


def test_the_state_grows_with_the_logarithm_of_the_stream() -> None:
    """Ten thousand values are kept in less than eighty buckets."""
    _, state = changes_in(np.full(10_000, 0.25).tolist(), AdwinPolicy(), Adwin())
    assert state.width == 10_000
    assert sum(len(row) for row in state.rows) < 80
    assert state.mean == 0.25
    assert Adwin().mean is None


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(0, 60))
def test_a_stream_may_be_taken_up_again(values: list[float], cut: int) -> None:
    """The state after both parts is that after the whole."""
    policy = AdwinPolicy(delta=0.5, clock=1, minimum_part=2, grace_values=2)
    _, state = changes_in(values[:cut], policy, Adwin())
    _, state = changes_in(values[cut:], policy, state)
    assert state == changes_in(values, policy, Adwin())[1]
