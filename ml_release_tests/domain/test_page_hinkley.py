"""Page-Hinkley: where river finds a change, with a state that goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.drift import PageHinkley as RiverPageHinkley

from ml_release.domain.page_hinkley import PageHinkley, PageHinkleyPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

RNG = np.random.default_rng(20130401)
STREAMS = {
    "a step": np.r_[RNG.normal(0.4, 0.2, 600), RNG.normal(0.6, 0.2, 600)],
    "zeros and ones": (RNG.random(1500) < np.repeat([0.2, 0.4, 0.1], 500)).astype(float),
    "a slope": RNG.normal(0, 1, 1500) + np.linspace(0, 3, 1500),
    "nothing": RNG.normal(0, 1, 1500),
    "constant": np.full(200, 0.25),
}
POLICIES = (
    PageHinkleyPolicy(),
    PageHinkleyPolicy(minimum_values=7, delta=0.02, threshold=0.8),
    PageHinkleyPolicy(minimum_values=10, delta=0.01, threshold=5.0, fading=0.99),
)


def changes_in(values: Sequence[float], policy: Any, state: Any) -> tuple[tuple[int, ...], Any]:
    """Positions of the values at which a detector showed a change, and its state after all."""
    found = []
    for position, value in enumerate(values):
        state = state.after(value, policy)
        if state.changed:
            found.append(position)
    return tuple(found), state


def by_river(values: np.ndarray, policy: PageHinkleyPolicy) -> tuple[int, ...]:
    detector = RiverPageHinkley(
        min_instances=policy.minimum_values,
        delta=policy.delta,
        threshold=policy.threshold,
        alpha=policy.fading,
        mode="up",
    )
    found = []
    for position, value in enumerate(values.tolist()):
        detector.update(value)  # type: ignore[no-untyped-call]
        if detector.drift_detected:
            found.append(position)
    return tuple(found)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", STREAMS)
def test_changes_are_found_where_river_finds_them(name: str, policy: PageHinkleyPolicy) -> None:
    """At the same values, one by one."""
    found, _ = changes_in(STREAMS[name].tolist(), policy, PageHinkley())
    assert found == by_river(STREAMS[name], policy)


def test_the_streams_hold_changes() -> None:
    """Or the comparison would show nothing."""
    assert by_river(STREAMS["a step"], POLICIES[1])
    assert not by_river(STREAMS["constant"], POLICIES[1])


def test_errors_that_shrink_are_no_change() -> None:
    """Only growth is looked for."""
    values = np.r_[np.full(50, 0.5), np.full(50, 0.1)].tolist()
    assert changes_in(values, POLICIES[1], PageHinkley())[0] == ()
    assert changes_in(values[::-1], POLICIES[1], PageHinkley())[0]


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(0, 60))
def test_a_stream_may_be_taken_up_again(values: list[float], cut: int) -> None:
    """The state after both parts is that after the whole."""
    policy = PageHinkleyPolicy(minimum_values=3, delta=0.0, threshold=0.5)
    first, state = changes_in(values[:cut], policy, PageHinkley())
    second, state = changes_in(values[cut:], policy, state)
    whole, after = changes_in(values, policy, PageHinkley())
    assert (*first, *(place + len(values[:cut]) for place in second)) == whole
    assert state == after
