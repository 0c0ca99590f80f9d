"""Scores of decisions and rankings against scikit-learn, and where they differ from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.domain.classification_scores import (
    ConfusionCounts,
    accuracy_score,
    average_precision_score,
    confusion_counts,
    f1_score,
    false_positive_rate,
    precision_score,
    recall_score,
    selection_rate,
)
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

Floats = npt.NDArray[np.float64]
NAN = float("nan")
NOTHING: Floats = np.empty(0)


def sample(seed: int, n: int = 200) -> tuple[Floats, Floats]:
    """Labels and scores with many ties."""
    rng = np.random.default_rng(seed)
    score = np.round(rng.random(n), 1 + seed % 3)
    target = (rng.random(n) < score).astype(float)
    target[:2] = (0, 1)
    return target, score


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.05, 0.95))
def test_scores_are_those_of_scikit_learn(seed: int, threshold: float) -> None:
    """On random rows with ties, wherever both are defined, to 1e-12."""
    from sklearn import metrics

    target, score = sample(seed)
    decision = (score >= threshold).astype(float)
    counts = confusion_counts(target, score, threshold=threshold)
    assert counts is not None
    tn, fp, fn, tp = metrics.confusion_matrix(target, decision).ravel()
    assert (counts.true_positives, counts.false_positives) == (tp, fp)
    assert (counts.false_negatives, counts.true_negatives) == (fn, tn)
    expected = {
        precision_score: metrics.precision_score(target, decision, zero_division=np.nan),
        recall_score: metrics.recall_score(target, decision),
        f1_score: metrics.f1_score(target, decision),
        accuracy_score: metrics.accuracy_score(target, decision),
        false_positive_rate: fp / (fp + tn),
        selection_rate: decision.mean(),
    }
    for ours, theirs in expected.items():
        assert ours(counts) == pytest.approx(theirs, abs=1e-12, nan_ok=True)
    assert average_precision_score(target, score) == pytest.approx(
        metrics.average_precision_score(target, score), abs=1e-12
    )


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_average_precision_reads_the_order_of_scores_only(seed: int, random: object) -> None:
    """Neither the order of the rows, tied ones too, nor the scale of the scores."""
    target, score = sample(seed, n=50)
    rows = np.random.default_rng(seed + 1).permutation(50)
    expected = average_precision_score(target, score)
    assert average_precision_score(target[rows], score[rows]) == pytest.approx(expected, abs=1e-12)
    assert average_precision_score(target, np.exp(3 * score)) == pytest.approx(expected, abs=1e-12)


def counts(tp: int, fp: int, fn: int, tn: int) -> ConfusionCounts:
    return ConfusionCounts(
        true_positives=tp, false_positives=fp, false_negatives=fn, true_negatives=tn
    )


@pytest.mark.parametrize(
    ("score", "found", "expected"),
    [
        pytest.param(precision_score, counts(0, 0, 3, 2), NAN, id="precision, none selected"),
        pytest.param(recall_score, counts(0, 3, 0, 2), NAN, id="recall, no positives"),
        pytest.param(false_positive_rate, counts(2, 0, 3, 0), NAN, id="FPR, no negatives"),
        pytest.param(selection_rate, counts(0, 0, 0, 0), NAN, id="selection, no rows"),
        pytest.param(accuracy_score, counts(0, 0, 0, 0), NAN, id="accuracy, no rows"),
        pytest.param(f1_score, counts(0, 0, 0, 9), NAN, id="F1, nothing to find or found"),
        pytest.param(f1_score, counts(0, 0, 3, 2), 0.0, id="F1, positives but none selected"),
        pytest.param(f1_score, counts(0, 3, 0, 2), 0.0, id="F1, selected but no positives"),
    ],
)
def test_undefined_is_nan_where_scikit_learn_gives_0(
    score: Callable[[ConfusionCounts], float], found: ConfusionCounts, expected: float
) -> None:
    """A false positive rate of 0 without negatives would pass any limit."""
    assert score(found) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("target", "score", "threshold"),
    [
        pytest.param([0.0, NAN], [0.1, 0.2], 0.5, id="a label is missing"),
        pytest.param([0.0, 1.0], [0.1, NAN], 0.5, id="a score is NaN"),
        pytest.param([0.0, 1.0], [0.1, np.inf], 0.5, id="a score is infinite"),
        pytest.param([0.0, 1.0], [0.1, 0.2], NAN, id="the threshold is NaN"),
    ],
)
def test_rows_that_are_not_known_are_not_counted_as_right(
    target: list[float], score: list[float], threshold: float
) -> None:
    """No counts, and every score of no counts is NaN."""
    found = confusion_counts(np.array(target), np.array(score), threshold=threshold)
    assert found is None
    for of in (precision_score, recall_score, f1_score, false_positive_rate, selection_rate):
        assert np.isnan(of(found))
    assert np.isnan(accuracy_score(found))


@pytest.mark.parametrize(
    ("target", "score"),
    [
        pytest.param(NOTHING, NOTHING, id="no rows"),
        pytest.param(np.zeros(3), np.arange(3.0), id="no positives"),
        pytest.param(np.array([0, 1.0]), np.array([NAN, 1]), id="a score is NaN"),
        pytest.param(np.array([NAN, 1.0]), np.array([0.0, 1]), id="a label is missing"),
    ],
)
def test_average_precision_is_undefined_without_positives(target: Floats, score: Floats) -> None:
    """There is no recall to gain."""
    assert np.isnan(average_precision_score(target, score))


def test_a_row_at_the_threshold_is_selected() -> None:
    """At or above, as the endpoint decides."""
    found = confusion_counts(np.array([1.0]), np.array([0.5]), threshold=0.5)
    assert found == counts(1, 0, 0, 0)


def test_columns_of_different_rows_are_refused() -> None:
    """Nothing is counted."""
    with pytest.raises(InputError, match=r"target \(2,\), score \(3,\)"):
        confusion_counts(np.zeros(2), np.zeros(3), threshold=0.5)
