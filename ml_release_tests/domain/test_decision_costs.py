"""What decided rows cost: by hand, expected without labels, and with an interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.decision_costs import DecisionCosts
from ml_release.domain.intervals import mean_interval
from ml_release.errors import InputError

COSTS = DecisionCosts(false_positive=1.0, false_negative=4.0)
NAN = float("nan")
shares = st.floats(0, 1, allow_nan=False)


@pytest.mark.parametrize("pair", [(0, 0), (-1, 2), (NAN, 1), (1, np.inf)])
def test_costs_that_decide_nothing_are_refused(pair: tuple[float, float]) -> None:
    """The message says what was found."""
    with pytest.raises(InputError, match=f"false_positive={pair[0]}, false_negative={pair[1]}"):
        DecisionCosts(false_positive=pair[0], false_negative=pair[1])


@pytest.mark.parametrize(
    ("decided", "chance", "cost"),
    [(1, 0, 1.0), (0, 1, 4.0), (1, 1, 0.0), (0, 0, 0.0), (1, 0.25, 0.75), (0, 0.25, 1.0)],
)
def test_only_wrong_decisions_cost(decided: float, chance: float, cost: float) -> None:
    """Expected where only the probability of the label is known."""
    found = COSTS.of_rows(np.array([float(decided)]), np.array([float(chance)]))
    assert found.tolist() == [cost]


@given(chance=shares)
def test_the_calibrated_threshold_is_where_both_decisions_cost_the_same(chance: float) -> None:
    """Above it yes is cheaper, below it no."""
    yes, no = (COSTS.of_rows(np.array([d]), np.array([chance])).item() for d in (1.0, 0.0))
    if chance != COSTS.calibrated_threshold:
        assert (yes < no) == (chance > COSTS.calibrated_threshold)


def test_the_cost_of_a_thousand_has_the_interval_of_a_mean() -> None:
    """Over rows, or over days, which is wider where days differ."""
    rng = np.random.default_rng(1)
    days = np.repeat(np.arange(20), 50)
    target = (rng.random(1000) < np.repeat(rng.random(20), 50)).astype(float)
    decided = np.zeros(1000)
    by_row = COSTS.per_1000(decided, target, confidence=0.9)
    by_day = COSTS.per_1000(decided, target, confidence=0.9, groups=days)
    assert by_row == mean_interval(4000 * target, confidence=0.9)
    assert by_row.estimate == by_day.estimate == pytest.approx(4000 * target.mean())
    assert by_day.high - by_day.low > 2 * (by_row.high - by_row.low)


def test_without_a_row_nothing_is_known() -> None:
    """Neither the cost nor its ends."""
    nothing = np.array([])
    assert np.isnan(COSTS.per_1000(nothing, nothing, confidence=0.9).estimate)
