"""Word columns as small codes: each distinct word is looked at once, however many rows hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Codes = npt.NDArray[np.signedinteger]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordColumn:
    """One word column of n rows with k distinct values.

    Attributes
    ----------
    codes
        Shape (n,), the number of each row's value, from 0 on; -1 where it is missing. Of the
        smallest integer type that holds k.
    words
        The values in writing, k of them. Two values may be written alike, as 1 and '1'.
    rows
        Shape (k,), rows per value; 0 for a category that no row has.
    missing
        Rows without a value.
    """

    codes: Codes
    words: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    missing: int

    def counts(self) -> Mapping[str, int]:
        """Rows per word; a value of another type counts as what it looks like."""
        counts: dict[str, int] = {}
        for word, rows in zip(self.words, self.rows.tolist(), strict=True):
            if rows:
                counts[word] = counts.get(word, 0) + rows
        return counts

    def rows_with(self, word: str) -> npt.NDArray[np.bool_]:
        """Which rows hold a word, shape (n,)."""
        alike = [code for code, other in enumerate(self.words) if other == word]
        return np.isin(self.codes, np.array(alike, dtype=self.codes.dtype))

    def first_rows(self) -> npt.NDArray[np.int64]:
        """Places of the first row of each value, and of the first one without, in row order."""
        return np.flatnonzero(~pd.Series(self.codes).duplicated().to_numpy())


def word_columns(rows: pd.DataFrame) -> dict[str, WordColumn]:
    """Every column of words, or of Python objects of whatever type."""
    return {str(name): coded(rows[name]) for name in rows if _holds_words(rows[name])}


def coded(column: pd.Series) -> WordColumn:
    """The codes of a column's values; equal values, as Python compares them, share one."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        numbered = column.cat.codes.to_numpy().astype(np.intp)
        values = column.cat.categories
    else:
        numbered, values = pd.factorize(column)
    numbered += 1
    held = np.bincount(numbered, minlength=len(values) + 1)
    numbered -= 1
    return WordColumn(
        # -1 - k rather than -k: never too small, and a column without any value has a type too.
        codes=numbered.astype(np.min_scalar_type(-1 - len(values))),
        words=tuple(str(value) for value in values),
        rows=held[1:].astype(np.int64),
        missing=int(held[0]),
    )


def _holds_words(column: pd.Series) -> bool:
    return column.dtype == object or isinstance(column.dtype, pd.StringDtype | pd.CategoricalDtype)
