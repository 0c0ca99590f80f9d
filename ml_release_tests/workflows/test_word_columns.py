"""Codes of a word column count as pandas counts its values."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_release.workflows.word_columns import coded, word_columns

WORDS = ["b", "a", None, "b", "c", "b", "a"]
COLUMNS = [
    pytest.param(pd.Series(WORDS, dtype=object), id="texts"),
    pytest.param(pd.Series(WORDS, dtype="string"), id="a text type"),
    pytest.param(pd.Series(WORDS, dtype="category"), id="categories"),
    pytest.param(
        pd.Series(WORDS, dtype=pd.CategoricalDtype(["z", "a", "b", "c"])), id="an unused category"
    ),
    pytest.param(pd.Series([], dtype=object), id="no rows"),
    pytest.param(pd.Series([None, np.nan, pd.NA, pd.NaT], dtype=object), id="nothing known"),
    pytest.param(pd.Series(["1", 1, 2.5, None, "2.5", date(2013, 1, 1)]), id="mixed"),
]


@pytest.mark.parametrize("column", COLUMNS)
def test_words_are_counted_as_they_are_written(column: pd.Series) -> None:
    """In the order in which they come; a value that looks like another counts with it."""
    held = coded(column)
    expected: Counter[str] = Counter()
    for value, rows in column.value_counts(sort=False).items():
        expected[str(value)] += rows
    assert list(held.counts().items()) == [(w, n) for w, n in expected.items() if n]
    assert held.missing == column.isna().sum()
    np.testing.assert_array_equal(held.codes < 0, column.isna().to_numpy())


@pytest.mark.parametrize("column", COLUMNS)
def test_rows_of_a_word_are_found(column: pd.Series) -> None:
    """A missing value is no word, not even 'None'."""
    held = coded(column)
    for word in (*held.counts(), "None", "nan"):
        expected = [not pd.isna(value) and str(value) == word for value in column]
        assert held.rows_with(word).tolist() == expected


@pytest.mark.parametrize("column", COLUMNS)
def test_the_first_rows_show_every_value(column: pd.Series) -> None:
    """And that one is missing, where one is."""
    first = coded(column).first_rows()
    assert first.tolist() == np.flatnonzero(~column.duplicated()).tolist() or column.isna().all()
    assert column.iloc[first].isna().any() == column.isna().any()


@pytest.mark.parametrize(
    ("words", "kind"), [(1, "int8"), (127, "int8"), (128, "int16"), (32767, "int16")]
)
def test_codes_are_as_small_as_they_can_be(words: int, kind: str) -> None:
    """And still tell every word from every other, and from none."""
    column = pd.Series([*map(str, range(words)), None], dtype=object)
    held = coded(column)
    assert held.codes.dtype == kind
    assert held.codes.tolist() == [*range(words), -1]


def test_only_words_and_objects_are_coded() -> None:
    """Numbers and times are counted as what they are."""
    kinds: dict[str, Any] = {"w": ["a"], "n": [1.0], "t": [pd.Timestamp(0)], "b": [True]}
    assert set(word_columns(pd.DataFrame(kinds))) == {"w"}
