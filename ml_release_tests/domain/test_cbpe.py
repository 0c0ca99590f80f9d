"""CBPE: by hand on small cases, by simulation where it holds, and blind where it says it is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ml_release.domain.cbpe import estimated_performance, expected_confusion
from ml_release.domain.scores import auc_score, log_loss
from ml_release.errors import InputError


def expected_area_by_pairs(probability: np.ndarray, score: np.ndarray) -> float:
    """Every row as a positive against every row as a negative, weighted by both chances."""
    total = weight = 0.0
    for one, other in product(range(len(score)), repeat=2):
        share = probability[one] * (1 - probability[other])
        weight += share
        total += share * (1.0 if score[one] > score[other] else 0.5 * (score[one] == score[other]))
    return float(total / weight)


@pytest.mark.parametrize(
    ("probability", "auc", "rate"),
    [
        # Positives: 0.8 of 1 at the top, then 0.2; negatives: 0.2, then 0.8.
        pytest.param([0.2, 0.8], 0.8, 0.5, id="two rows"),
        pytest.param([0.3, 0.3, 0.3], 0.5, 0.3, id="one answer for all"),
        pytest.param([0.0, 1.0], 1.0, 0.5, id="certain"),
        # Corners at 0.1, 0.6 and 1.5 negatives, with 0.9, 1.4 and 1.5 positives.
        pytest.param([0.1, 0.5, 0.9], (0.045 + 0.575 + 1.305) / 1.5**2, 0.5, id="three rows"),
    ],
)
def test_small_cases_are_as_by_hand(probability: list[float], auc: float, rate: float) -> None:
    """The expected ROC curve, corner by corner."""
    found = estimated_performance(np.array(probability))
    assert found.auc == pytest.approx(auc)
    assert found.rate == pytest.approx(rate)
    assert found.rows == len(probability)


def test_the_area_is_that_over_all_pairs_with_ties() -> None:
    """Also where rows are ordered by something else than their probability."""
    rng = np.random.default_rng(1)
    probability = rng.random(40)
    score = np.round(rng.random(40), 1)
    found = estimated_performance(probability, score=score)
    assert found.auc == pytest.approx(expected_area_by_pairs(probability, score))


def test_it_is_a_weighted_area_of_both_outcomes() -> None:
    """Scikit-learn's on every row twice, weighted by how likely each outcome is."""
    probability = np.random.default_rng(2).random(300)
    twice = roc_auc_score(
        np.r_[np.ones(300), np.zeros(300)],
        np.r_[probability, probability],
        sample_weight=np.r_[probability, 1 - probability],
    )
    assert estimated_performance(probability).auc == pytest.approx(twice)


def test_it_finds_what_calibrated_probabilities_realise() -> None:
    """Outcomes drawn from them: AUC and log loss are those that are realised, after a shift too."""
    rng = np.random.default_rng(3)
    for a, b in ((1.0, 5.0), (2.0, 2.0)):
        probability = rng.beta(a, b, 40_000)
        target = (rng.random(40_000) < probability).astype(float)
        found = estimated_performance(probability)
        assert found.auc == pytest.approx(auc_score(target, probability), abs=0.01)
        assert found.log_loss == pytest.approx(log_loss(target, probability), abs=0.01)


def test_concept_drift_is_invisible_to_it() -> None:
    """Outcomes that no longer follow the probabilities: the estimate stays, the truth does not."""
    rng = np.random.default_rng(4)
    probability = rng.beta(1.0, 5.0, 20_000)
    target = (rng.random(20_000) < rng.permutation(probability)).astype(float)
    assert estimated_performance(probability).auc > 0.7
    assert auc_score(target, probability) == pytest.approx(0.5, abs=0.02)


def test_the_expected_confusion_matrix_adds_up() -> None:
    """To the rows; at the threshold a row is selected."""
    probability = np.array([0.1, 0.5, 0.9])
    found = expected_confusion(probability, threshold=0.5)
    assert found.true_positives == pytest.approx(1.4)
    assert found.false_positives == pytest.approx(0.6)
    assert found.false_negatives == pytest.approx(0.1)
    assert found.true_negatives == pytest.approx(0.9)


def test_nothing_is_made_of_nothing() -> None:
    """NaN where it is undefined."""
    empty = estimated_performance(np.array([]))
    assert empty.rows == 0
    assert np.isnan([empty.auc, empty.log_loss, empty.rate]).all()
    assert np.isnan(estimated_performance(np.array([0.0, 0.0])).auc)


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    """So that no estimate rests on it."""
    with pytest.raises(InputError, match="probabilities"):
        estimated_performance(np.array([0.5, bad]))


def test_scores_of_other_rows_are_refused() -> None:
    """One for each probability."""
    with pytest.raises(InputError, match="each of 2"):
        estimated_performance(np.array([0.5, 0.4]), score=np.array([0.5]))
