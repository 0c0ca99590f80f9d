"""The AUC of a column is that of its rows, counted the long way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml_release.domain.scores import auc_score
from ml_release.workflows.leakage_evidence import count_aucs
from ml_release.workflows.word_columns import word_columns
from ml_release_tests.small_line import SMALL_LINE

ROWS = 400
GENERATOR = np.random.default_rng(11)
LABELS = np.where(
    GENERATOR.uniform(size=ROWS) < 0.1, np.nan, GENERATOR.integers(0, 2, ROWS).astype(float)
)
GAPS = GENERATOR.uniform(size=ROWS) < 0.3
WORDS = pd.Series(GENERATOR.choice(np.array(["a", "b", "c", "only here"], dtype=object), ROWS))
COLUMNS = {
    "floats": pd.Series(np.where(GAPS, np.nan, GENERATOR.normal(size=ROWS) + (LABELS == 1))),
    "infinite": pd.Series(np.where(GAPS, np.inf, GENERATOR.normal(size=ROWS))),
    "few values": pd.Series(GENERATOR.integers(0, 3, ROWS)),
    "booleans": pd.Series(GAPS),
    "nullable": pd.Series(GENERATOR.integers(0, 9, ROWS)).astype("Int64").mask(GAPS),
    "truths": pd.Series(GENERATOR.integers(0, 2, ROWS) > 0).astype("boolean").mask(GAPS),
    "times": pd.Series(pd.Timestamp("2013-01-01") + pd.to_timedelta(WORDS.index % 7, "D")).mask(
        GAPS
    ),
    "words": WORDS.where(~GAPS),
    "categories": WORDS.astype("category"),
    "durations": pd.Series(pd.to_timedelta(GENERATOR.integers(0, 3, ROWS), "h")),
}


def _larger(area: float) -> float:
    return max(area, 1 - area)


def _rows_of(name: str) -> pd.DataFrame:
    return pd.DataFrame({name: COLUMNS[name]})


@pytest.mark.parametrize(
    "name", ["floats", "infinite", "few values", "booleans", "nullable", "truths"]
)
def test_a_number_is_scored_by_its_value(name: str) -> None:
    """Over the rows that have both a label and a finite value."""
    rows = _rows_of(name)
    score = COLUMNS[name].to_numpy(dtype=np.float64, na_value=np.nan)
    used = np.isfinite(score) & np.isfinite(LABELS)
    found = count_aucs(SMALL_LINE, rows, LABELS, word_columns(rows))[0]
    assert (found.how, found.auc_score) == ("value", _larger(auc_score(LABELS[used], score[used])))
    assert (found.positives, found.negatives) == (
        (LABELS[used] == 1).sum(),
        (LABELS[used] == 0).sum(),
    )


def test_a_time_is_scored_as_a_number() -> None:
    """Without those that are missing."""
    rows, used = _rows_of("times"), np.isfinite(LABELS) & ~GAPS
    score = COLUMNS["times"].to_numpy().astype(np.int64).astype(np.float64)
    found = count_aucs(SMALL_LINE, rows, LABELS, {})[0]
    assert found.auc_score == _larger(auc_score(LABELS[used], score[used]))


@pytest.mark.parametrize("name", ["words", "categories", "durations"])
def test_a_word_is_scored_by_the_other_half_of_the_rows(name: str) -> None:
    """Missing values are a word of their own."""
    rows = _rows_of(name)
    even = np.arange(ROWS) % 2 == 0
    word = COLUMNS[name].astype(object).map(str)
    learned = pd.Series(LABELS)[even].groupby(word[even]).mean()
    score = word.map(learned).to_numpy(dtype=np.float64)
    used = ~even & np.isfinite(LABELS)
    found = count_aucs(SMALL_LINE, rows, LABELS, word_columns(rows))[0]
    assert found.how == "share of label 1 per word"
    assert found.auc_score == _larger(auc_score(LABELS[used], score[used]))
    assert found.positives + found.negatives == used.sum()


def test_a_word_that_only_the_odd_rows_hold_scores_as_the_rest_together() -> None:
    """Nothing is known of it, so it must not tell anything."""
    labels = np.tile([1.0, 1.0, 0.0, 0.0], 50)
    word = np.where(np.arange(200) % 2 == 1, "odd", "even").astype(object)
    rows = pd.DataFrame({"word": word})
    (found,) = count_aucs(SMALL_LINE, rows, labels, word_columns(rows))
    assert found.auc_score == 0.5


@pytest.mark.parametrize("name", ["floats", "words", "times"])
def test_whether_a_value_is_missing_is_a_column_of_its_own(name: str) -> None:
    """Over all rows with a label."""
    rows, known = _rows_of(name), np.isfinite(LABELS)
    found = count_aucs(SMALL_LINE, rows, LABELS, word_columns(rows))[1]
    expected = auc_score(LABELS[known], GAPS[known].astype(np.float64))
    assert (found.how, found.auc_score) == ("is missing", _larger(expected))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_column_that_tells_shows_the_row_at_its_label_1_end(sign: float) -> None:
    """Only among the rows that were used."""
    labels = np.array([np.nan, 0.0, 0.0, 1.0, 1.0, 1.0])
    rows = pd.DataFrame({"trip": range(6), "leak": sign * np.array([9.0, 1, 2, 3, 5, 4])})
    found = count_aucs(SMALL_LINE, rows, labels, {})[1]
    assert found.auc_score == 1.0
    assert found.example == "the end where label 1 is: for example trip 4"
