"""Scores against scikit-learn, DeLong's interval against a bootstrap, and the undefined cases."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.domain.scores import (
    auc_difference,
    auc_interval,
    auc_score,
    brier_loss,
    expected_calibration_error,
    log_loss,
    reliability_bins,
)

Floats = npt.NDArray[np.float64]
NAN = float("nan")
NOTHING: Floats = np.empty(0)


def sample(seed: int, n: int = 300) -> tuple[Floats, Floats]:
    """Labels and probabilities with many ties."""
    rng = np.random.default_rng(seed)
    probability = np.clip(np.round(rng.beta(1.2, 5, n), 2), 0.01, 0.99)
    target = (rng.random(n) < probability).astype(float)
    target[:2] = (0, 1)
    return target, probability


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    """On random rows with ties."""
    from sklearn import metrics

    target, probability = sample(seed)
    assert auc_score(target, probability) == pytest.approx(
        metrics.roc_auc_score(target, probability), abs=1e-12
    )
    assert brier_loss(target, probability) == pytest.approx(
        metrics.brier_score_loss(target, probability), abs=1e-12
    )
    assert log_loss(target, probability) == pytest.approx(
        metrics.log_loss(target, probability), abs=1e-9
    )


@given(st.integers(0, 10_000))
def test_the_auc_does_not_change_under_a_monotonic_change_of_scores(seed: int) -> None:
    """It reads the order only; turned around it is its complement."""
    target, score = sample(seed, n=50)
    assert auc_score(target, score**3) == pytest.approx(auc_score(target, score), abs=1e-12)
    assert auc_score(target, -score) == pytest.approx(1 - auc_score(target, score), abs=1e-12)


def test_sure_and_wrong_costs_much_and_stays_finite() -> None:
    """The log loss keeps probabilities away from 0 and 1."""
    assert log_loss(np.array([1.0]), np.array([0.0])) == pytest.approx(-np.log(1e-15))
    assert log_loss(np.array([0.0]), np.array([1.0])) == pytest.approx(-np.log(1e-15), rel=1e-3)


def test_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    """Three rows at 0.9 of which two are late, one row at 0.2 that is not."""
    target, probability = np.array([1.0, 1, 0, 0]), np.array([0.9, 0.9, 0.9, 0.2])
    expected = 0.75 * abs(2 / 3 - 0.9) + 0.25 * 0.2
    assert expected_calibration_error(target, probability) == pytest.approx(expected)


def test_reliability_bins_hold_every_known_row_once() -> None:
    """0 and 1 fall into the first and the last bin; unknown rows into none."""
    target = np.array([0.0, 1, 1, 0, NAN, 1])
    probability = np.array([0.0, 1.0, 0.95, 0.1, 0.5, NAN])
    bins = reliability_bins(target, probability)
    assert [(b.n, b.observed_rate) for b in bins] == [(1, 0.0), (1, 0.0), (2, 1.0)]
    assert [b.mean_probability for b in bins] == pytest.approx([0.0, 0.1, 0.975])


@pytest.mark.parametrize(
    ("target", "score"),
    [
        pytest.param(NOTHING, NOTHING, id="no rows"),
        pytest.param(np.zeros(3), np.arange(3.0), id="only negatives"),
        pytest.param(np.ones(3), np.arange(3.0), id="only positives"),
        pytest.param(np.array([0, 1.0]), np.array([NAN, 1]), id="a score is NaN"),
        pytest.param(np.array([0, 1.0]), np.array([0, np.inf]), id="a score is infinite"),
        pytest.param(np.array([0, 1.0, NAN]), np.array([0, 1.0, 2]), id="a label is missing"),
    ],
)
def test_the_auc_is_undefined_where_it_has_no_meaning(target: Floats, score: Floats) -> None:
    """A missing label is not a negative one."""
    assert np.isnan(auc_score(target, score))
    found = auc_difference(target, score, score, confidence=0.95)
    assert np.isnan([found.estimate, found.low, found.high]).all()


@pytest.mark.parametrize("loss", [brier_loss, log_loss, expected_calibration_error])
@pytest.mark.parametrize(
    ("target", "probability"),
    [
        pytest.param(NOTHING, NOTHING, id="no rows"),
        pytest.param(np.array([0, 1.0]), np.array([NAN, 0.5]), id="a probability is NaN"),
        pytest.param(np.array([0, NAN]), np.array([0.5, 0.5]), id="a label is missing"),
    ],
)
def test_a_loss_is_undefined_where_it_has_no_meaning(
    loss: object, target: Floats, probability: Floats
) -> None:
    """NaN, which the judges turn into inconclusive; never a convenient number."""
    assert callable(loss)
    assert np.isnan(loss(target, probability))


@pytest.mark.parametrize("n", [1, 2])
def test_an_interval_needs_two_rows_of_either_class(n: int) -> None:
    """With one row of a class there is no variance to speak of."""
    target = np.array([0.0] * n + [1.0] * 5)
    found = auc_interval(target, np.arange(n + 5.0), confidence=0.95)
    assert np.isnan(found.low) == (n == 1)


def test_identical_scores_differ_by_exactly_nothing() -> None:
    """That is known without doubt, so the interval has no width."""
    target, score = sample(1)
    found = auc_difference(target, score, score, confidence=0.95)
    assert (found.estimate, found.low, found.high, found.n) == (0.0, 0.0, 0.0, 300)


def test_the_difference_has_the_sign_of_the_better_model() -> None:
    """Challenger minus champion; exchanged, the interval is mirrored."""
    target, good = sample(2)
    rng = np.random.default_rng(3)
    bad = good + rng.normal(0, 0.3, len(good))
    found = auc_difference(target, good, bad, confidence=0.95)
    mirrored = auc_difference(target, bad, good, confidence=0.95)
    assert found.low > 0
    assert (found.low, found.high) == pytest.approx((-mirrored.high, -mirrored.low))
    assert found.estimate == pytest.approx(auc_score(target, good) - auc_score(target, bad))


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_delongs_interval_is_about_as_wide_as_the_bootstraps(confidence: float) -> None:
    """Paired bootstrap of the same rows, 600 resamples: within a fifth in width, same middle."""
    rng = np.random.default_rng(4)
    target, champion = sample(4, n=600)
    challenger = champion + rng.normal(0, 0.05, len(champion))
    found = auc_difference(target, challenger, champion, confidence=confidence)
    differences = []
    for _ in range(600):
        rows = rng.integers(0, len(target), len(target))
        differences.append(
            auc_score(target[rows], challenger[rows]) - auc_score(target[rows], champion[rows])
        )
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    assert (found.high - found.low) == pytest.approx(high - low, rel=0.2)
    assert (found.high + found.low) / 2 == pytest.approx((high + low) / 2, abs=0.005)
    assert found.confidence == confidence


def test_the_interval_of_an_auc_lies_around_it() -> None:
    """It is the difference from chance, put back."""
    target, score = sample(5)
    found = auc_interval(target, score, confidence=0.95)
    assert found.estimate == pytest.approx(auc_score(target, score))
    assert found.low < found.estimate < found.high
    narrower = auc_interval(target, score, confidence=0.5)
    assert found.low < narrower.low < narrower.high < found.high
