"""What the reference keeps of the holdout is what its rows were, by bin."""

from __future__ import annotations

import numpy as np
import pytest

from ml_release.domain.holdout_profile import fit_score_bins, with_holdout
from ml_release.domain.reference_profile import (
    SCORE,
    NumberFacts,
    ReferenceProfile,
    fit_profile,
    number_facts,
    profile_from_json,
)
from ml_release.domain.scores import log_loss

N = 4000
GENERATOR = np.random.default_rng(5)
SIGNAL = GENERATOR.normal(size=N)
VALUES = {
    "signal": np.where(GENERATOR.uniform(size=N) < 0.05, np.nan, SIGNAL),
    "noise": GENERATOR.normal(size=N),
    "word": GENERATOR.choice(np.array(["a", "b", None], dtype=object), N),
}
SCORES = 1 / (1 + np.exp(-SIGNAL))
TARGET = (GENERATOR.uniform(size=N) < SCORES).astype(np.float64)
DAYS = np.datetime64("2013-03-01") + np.sort(GENERATOR.integers(0, 14, N))
BEFORE = fit_profile(VALUES, DAYS)


def whole(*, scores: np.ndarray = SCORES, is_probability: bool = True) -> ReferenceProfile:
    return with_holdout(
        BEFORE,
        values=VALUES,
        days=DAYS,
        target=TARGET,
        scores=scores,
        is_probability=is_probability,
    )


def test_the_bins_of_a_feature_add_up_to_the_holdout() -> None:
    """Rows, scores, labels and losses of every feature, the score among them, are those of all."""
    profile = whole()
    assert set(profile.holdout) == {*VALUES, SCORE}
    for name, own in profile.holdout.items():
        assert sum(own.rows) == N, name
        assert sum(own.scores) == pytest.approx(SCORES.sum())
        assert sum(own.labels) == TARGET.sum()
        assert sum(own.loss) / N == pytest.approx(log_loss(TARGET, SCORES))
    probability = np.where(TARGET == 1, SCORES, 1 - SCORES)
    squares = sum(profile.holdout["noise"].loss_squares)
    assert squares == pytest.approx(float((np.log(probability) ** 2).sum()))


def test_one_bin_holds_what_its_rows_were() -> None:
    """The words a, and missing values of a number, which stand last."""
    profile = whole()
    own, chosen = profile.holdout["word"], VALUES["word"] == "a"
    place = (profile.bins["word"].words or ()).index("a")
    assert own.rows[place] == chosen.sum()
    assert own.labels[place] == TARGET[chosen].sum()
    missing = np.isnan(VALUES["signal"].astype(np.float64))
    assert profile.holdout["signal"].scores[-1] == pytest.approx(SCORES[missing].sum())


def test_the_score_is_counted_by_day_over_its_twentieths() -> None:
    """Each of twenty bins holds a twentieth of the answers."""
    score = whole().score
    assert score is not None
    assert len(score.bins.edges or ()) == 19
    table = score.table()
    assert table.shape == (len(score.days), score.bins.size)
    assert score.days[0] == "2013-03-01"
    assert table.sum(axis=0)[:20] == pytest.approx(np.full(20, N / 20), abs=2)
    assert table[3].sum() == (np.datetime64("2013-03-04") == DAYS).sum()


def test_the_days_of_a_feature_add_up_to_its_bins() -> None:
    """Of the holdout, over the days of the score."""
    profile = whole()
    for name, table in profile.holdout_days.items():
        assert tuple(np.array(table).sum(axis=0)) == profile.holdout[name].rows


def test_what_decides_the_score_is_important() -> None:
    """The shares add up to 1, and by chance nothing is explained."""
    importance = whole().importance
    assert sum(importance.values()) == pytest.approx(1)
    assert importance["signal"] > 0.97
    assert set(importance) == set(VALUES)


def test_without_a_probability_there_is_no_log_loss() -> None:
    """Scores, days and importance are still known."""
    profile = whole(scores=SIGNAL * 100, is_probability=False)
    assert profile.holdout == {}
    assert profile.score is not None
    assert profile.importance["signal"] > 0.97


def test_a_model_that_says_one_thing_explains_nothing() -> None:
    """No share is made up of nothing."""
    profile = whole(scores=np.full(N, 0.25))
    assert profile.importance == {}
    assert profile.score is not None
    assert profile.score.bins.edges == (0.25,)


def test_answers_that_are_no_number_are_left_out() -> None:
    """All of them: then nothing is known, and the profile is as before."""
    assert whole(scores=np.full(N, np.nan)) == BEFORE
    scores = np.where(np.arange(N) < 10, np.nan, SCORES)
    assert sum(whole(scores=scores).holdout[SCORE].rows) == N - 10


def test_a_profile_reads_back_and_so_does_an_older_one() -> None:
    """What was not kept yet is not known."""
    profile = whole()
    assert profile_from_json(profile.model_dump_json().encode()) == profile
    older = BEFORE.model_dump(include={"bins", "days", "counts"}, mode="json")
    found = ReferenceProfile.model_validate(older)
    assert (found.numbers, found.score, found.holdout, found.importance) == ({}, None, {}, {})


def test_numbers_are_those_of_the_finite_values() -> None:
    """Words have none, masked features tell none, and a number keeps its exact range."""
    facts = BEFORE.numbers["signal"]
    known = VALUES["signal"][~np.isnan(VALUES["signal"].astype(np.float64))]
    assert (facts.n, facts.minimum, facts.maximum) == (len(known), known.min(), known.max())
    assert facts.mean == pytest.approx(known.mean(), rel=1e-8)
    assert "word" not in BEFORE.numbers
    masked = fit_profile(VALUES, DAYS, masked=frozenset({"signal"}))
    assert set(masked.numbers) == {"noise"}
    assert number_facts(np.array([np.nan, np.inf])) == NumberFacts(
        n=0, mean=None, sd=None, minimum=None, maximum=None
    )
    assert number_facts(np.array([1e308, 1e308])).mean is None


def test_score_bins_are_unique() -> None:
    """A score of few values has few bins."""
    assert fit_score_bins(np.array([0.1] * 50 + [0.9] * 50)).edges == (0.1, 0.9)
