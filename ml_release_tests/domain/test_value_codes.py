"""Values of any kind as codes: nothing is lost, nothing is mixed up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.value_codes import encode_values

WORDS = st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=2, max_size=30)


def objects(words: list[Any]) -> np.ndarray[Any, Any]:
    column = np.empty(len(words), dtype=object)
    column[:] = words
    return column


@given(words=WORDS, seed=st.integers(0, 99))
def test_what_was_coded_comes_back_as_it_was(words: list[str | None], seed: int) -> None:
    """Words and None, numbers and NaN, in both tables, to the last bit."""
    generator = np.random.default_rng(seed)
    numbers = generator.choice([np.nan, -0.5, 1e-300, 1e9, 1e9 + 1e-6], len(words))
    values = {"word": objects(words), "number": numbers}
    cut = len(words) // 2
    first, second = (
        {name: column[rows] for name, column in values.items()}
        for rows in (slice(None, cut), slice(cut, None))
    )
    codes, matrices = encode_values(("number", "word"), first, second)
    for part, matrix in zip((first, second), matrices, strict=True):
        assert matrix.shape == (len(part["word"]), 2)
        decoded = codes.decode(matrix)
        assert list(decoded) == ["number", "word"]
        assert decoded["word"].tolist() == part["word"].tolist()
        np.testing.assert_array_equal(decoded["number"], part["number"])


def test_different_values_differ_by_at_least_one() -> None:
    """Also those that a tolerance would take for the same, and words that end with NUL."""
    values = {
        "small": np.array([1e-12, 2e-12, np.nan, np.nan]),
        "word": objects(["a", "a\0", None, "a"]),
    }
    _, (matrix,) = encode_values(("small", "word"), values)
    assert matrix[:, 0].tolist() == [0, 1, 2, 2]
    assert matrix[:, 1].tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("names", [("a",), ("b", "a")])
def test_only_the_features_of_the_model_are_columns(names: tuple[str, ...]) -> None:
    """In the order of its plan."""
    values = {name: np.arange(3.0) * scale for name, scale in (("a", 1), ("b", -1), ("c", 1))}
    codes, (matrix,) = encode_values(names, values)
    assert tuple(codes.distinct) == names
    assert matrix[:, -1].tolist() == [0, 1, 2]
