"""The threshold curve against a count at each threshold, and the cheapest among all of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.domain.classification_scores import (
    confusion_counts,
    false_positive_rate,
    precision_score,
    recall_score,
    selection_rate,
)
from ml_release.domain.decision_costs import DecisionCosts
from ml_release.domain.threshold_curve import cheapest_threshold, threshold_curve
from ml_release.errors import InputError

Floats = npt.NDArray[np.float64]
NAN = float("nan")
COSTS = DecisionCosts(false_positive=1.0, false_negative=4.0)


def sample(seed: int, n: int = 300) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    score = np.round(rng.random(n), 2)
    return (rng.random(n) < score).astype(float), score


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_each_point_is_what_counting_at_its_threshold_gives(seed: int) -> None:
    """Precision, recall, both rates and the cost, to 1e-12."""
    target, score = sample(seed)
    for point in threshold_curve(target, score, costs=COSTS, points=15):
        counts = confusion_counts(target, score, threshold=point.threshold)
        assert counts is not None
        assert point.precision == pytest.approx(precision_score(counts), abs=1e-12, nan_ok=True)
        assert point.recall == pytest.approx(recall_score(counts), abs=1e-12, nan_ok=True)
        assert point.false_positive_rate == pytest.approx(false_positive_rate(counts), nan_ok=True)
        assert point.selection_rate == pytest.approx(selection_rate(counts), abs=1e-12)
        cost = counts.false_positives + 4 * counts.false_negatives
        assert point.cost_per_row == pytest.approx(cost / 300)
        assert point.n == 300


def test_the_curve_goes_from_no_row_to_every_row_in_at_most_so_many_points() -> None:
    """Ends are kept when it is thinned; with few distinct scores there are fewer points."""
    rng = np.random.default_rng(1)
    score = rng.random(5000)
    target = (rng.random(5000) < score).astype(float)
    curve = threshold_curve(target, score, costs=COSTS)
    assert len(curve) == 200
    assert (curve[0].selection_rate, curve[-1].selection_rate) == (0.0, 1.0)
    assert np.isnan(curve[0].precision)
    assert curve[0].threshold > score.max()
    assert np.all(np.diff([point.threshold for point in curve]) < 0)
    assert len(threshold_curve(*sample(1, n=20), costs=COSTS)) <= 21


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_no_threshold_costs_less_than_the_cheapest(seed: int) -> None:
    """Also none that a thinned curve leaves out."""
    target, score = sample(seed)
    best = cheapest_threshold(target, score, costs=COSTS)
    assert best is not None
    costs = [
        np.mean((score >= t) * (target == 0) + 4 * (score < t) * (target == 1))
        for t in (*np.unique(score), 2.0)
    ]
    assert best.cost_per_row == pytest.approx(min(costs), abs=1e-12)
    assert best.n == 300


def test_of_equal_costs_the_threshold_that_selects_fewest_is_taken() -> None:
    """One row of either class with the same score: selecting both or none costs the same."""
    costs = DecisionCosts(false_positive=1, false_negative=1)
    best = cheapest_threshold(np.array([0.0, 1.0]), np.array([0.5, 0.5]), costs=costs)
    assert best is not None
    assert best.selection_rate == 0


def test_for_calibrated_probabilities_the_costs_alone_give_the_threshold() -> None:
    """With 1 against 4 it is 0.2, and 100,000 calibrated rows agree."""
    assert COSTS.calibrated_threshold == pytest.approx(0.2)
    rng = np.random.default_rng(2)
    score = rng.random(100_000)
    best = cheapest_threshold((rng.random(100_000) < score).astype(float), score, costs=COSTS)
    assert best is not None
    assert best.threshold == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    ("target", "score"),
    [
        pytest.param(np.empty(0), np.empty(0), id="no rows"),
        pytest.param(np.array([0, NAN]), np.array([0.1, 0.2]), id="a label is missing"),
        pytest.param(np.array([0, 1.0]), np.array([0.1, NAN]), id="a score is NaN"),
    ],
)
def test_there_is_no_curve_of_rows_that_are_not_known(target: Floats, score: Floats) -> None:
    """And no cheapest threshold."""
    assert threshold_curve(target, score, costs=COSTS) == ()
    assert cheapest_threshold(target, score, costs=COSTS) is None


def test_recall_is_undefined_without_positives() -> None:
    """The rest of the point is not."""
    point = threshold_curve(np.zeros(3), np.arange(3.0), costs=COSTS)[-1]
    assert np.isnan(point.recall)
    assert (point.precision, point.false_positive_rate) == (0.0, 1.0)


def test_a_curve_of_one_point_or_of_different_rows_is_refused() -> None:
    """Both are mistakes of the caller."""
    with pytest.raises(InputError, match="at least 2 points, found 1"):
        threshold_curve(np.zeros(2), np.zeros(2), costs=COSTS, points=1)
    with pytest.raises(InputError, match="same rows"):
        cheapest_threshold(np.zeros(2), np.zeros(3), costs=COSTS)
