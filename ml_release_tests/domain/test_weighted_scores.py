"""Scores under weights against scikit-learn's sample weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.domain.weighted_scores import (
    WeightedScore,
    difference_of,
    weighted_auc,
    weighted_average_precision,
    weighted_mean,
    weighted_ratio,
    weighted_root_mean,
)
from ml_release.errors import InputError

Floats = npt.NDArray[np.float64]
NAN = float("nan")


def sample(seed: int, n: int = 60) -> tuple[Floats, Floats, Floats]:
    """Labels, tied scores, and three rows of whole-number weights, some 0."""
    rng = np.random.default_rng(seed)
    score = np.round(rng.random(n), 1 + seed % 3)
    target = (rng.random(n) < score).astype(float)
    target[:2] = (0, 1)
    weights = rng.integers(0, 4, (3, n)).astype(float)
    weights[:, :2] = 1
    return target, score, weights


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_weighted_scores_are_those_of_scikit_learn(seed: int) -> None:
    """To 1e-12, for each of several resamples at once."""
    from sklearn import metrics

    target, score, weights = sample(seed)
    selected = (score >= 0.5).astype(float)
    squared = (target - score) ** 2
    cases: list[tuple[WeightedScore, Any, Floats]] = [
        (weighted_auc(target, score), metrics.roc_auc_score, score),
        (weighted_average_precision(target, score), metrics.average_precision_score, score),
        (weighted_mean(squared), metrics.mean_squared_error, score),
        (weighted_root_mean(squared), metrics.root_mean_squared_error, score),
        (weighted_ratio(target * selected, target), metrics.recall_score, selected),
        (weighted_ratio(2 * target * selected, target + selected), metrics.f1_score, selected),
    ]
    for ours, theirs, column in cases:
        expected = [theirs(target, column, sample_weight=row) for row in weights]
        assert ours.n == 60
        assert ours.under(weights).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("make", [weighted_auc, weighted_average_precision])
def test_a_resample_without_positives_has_no_score(make: object) -> None:
    """NaN there, and the score elsewhere."""
    assert callable(make)
    score = make(np.array([0.0, 1.0, 0.0]), np.array([0.1, 0.2, 0.3]))
    found = score.under(np.array([[1.0, 0.0, 2.0], [1.0, 1.0, 1.0]]))
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "score",
    [
        pytest.param(weighted_auc(np.array([0, 1.0]), np.array([NAN, 1])), id="score"),
        pytest.param(weighted_auc(np.array([NAN, 1.0]), np.array([0.0, 1])), id="target"),
        pytest.param(weighted_auc(np.array([0, 1.0]), np.array([np.inf, np.inf])), id="infinite"),
        pytest.param(weighted_mean(np.array([1.0, NAN])), id="value"),
        pytest.param(weighted_ratio(np.zeros(2), np.zeros(2)), id="nothing below the line"),
    ],
)
def test_a_value_that_is_not_known_makes_every_resample_undefined(score: WeightedScore) -> None:
    """Also those in which the row has no weight: nobody may rely on luck."""
    assert np.isnan(score.under(np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]]))).all()


def test_no_rows_have_no_score() -> None:
    """An empty slice is not an error."""
    assert np.isnan(weighted_auc(np.empty(0), np.empty(0)).under(np.ones((2, 0)))).all()
    assert np.isnan(weighted_mean(np.empty(0)).under(np.ones((1, 0)))).all()


def test_a_difference_is_taken_under_the_same_weights() -> None:
    """Of sums and of ranks alike."""
    target, score, weights = sample(3)
    other = score[::-1].copy()
    pairs: list[tuple[WeightedScore, WeightedScore]] = [
        (weighted_auc(target, score), weighted_auc(target, other)),
        (weighted_mean(score), weighted_mean(other)),
        (weighted_auc(target, score), weighted_mean(other)),
    ]
    for first, second in pairs:
        found = difference_of(first, second)
        assert found.n == 60
        expected = first.under(weights) - second.under(weights)
        assert found.under(weights).tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_scores_of_different_rows_are_refused() -> None:
    """A pair is the same row twice."""
    with pytest.raises(InputError, match="found 2 and 3 rows"):
        difference_of(weighted_mean(np.zeros(2)), weighted_mean(np.zeros(3)))
    with pytest.raises(InputError, match="same rows"):
        weighted_auc(np.zeros(2), np.zeros(3))
