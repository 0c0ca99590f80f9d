"""Frozen bins of one feature, and how values are counted in them.

Numbers: the unique 10 % to 90 % quantiles of the reference with open ends. Categories: the 50 most
frequent words. Bins of their own for *other* (categories) and *missing*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from ml_release.domain.features import frequent_words

if TYPE_CHECKING:
    from collections.abc import Sequence

CATEGORY_BINS = 50
_FEW_EDGES = 64


class FeatureBins(BaseModel):
    """The frozen bins of one feature: edges for a number, words for a category.

    A number has ``len(edges) + 1`` bins, bin i holding edges[i-1] < x <= edges[i]; a category one
    per word. Then *other* (categories only) and *missing* (both), in that order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edges: tuple[float, ...] | None = None
    words: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        """Number of bins, *other* and *missing* included."""
        return len(self.words) + 2 if self.words is not None else len(self.edges or ()) + 2

    def positions(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.integer]:
        """The bin of every value, shape (n,)."""
        if self.words is not None:
            codes = _Codes(self.words)
            return np.fromiter(
                map(codes.__getitem__, values.tolist()), dtype=np.int64, count=len(values)
            )
        return _numbers_positions(values.astype(np.float64, copy=False), self.edges or ())

    def count(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
        """Rows per bin, shape (size,)."""
        return np.bincount(self.positions(values), minlength=self.size)

    def count_by(
        self, group: npt.NDArray[np.int64], values: npt.NDArray[np.generic], *, groups: int
    ) -> npt.NDArray[np.int64]:
        """Rows per group and bin, shape (groups, size).

        Parameters
        ----------
        group
            Of each value, from 0 to ``groups`` - 1, shape (n,).
        """
        place = group * self.size + self.positions(values)
        return np.bincount(place, minlength=groups * self.size).reshape(groups, self.size)


class _Codes(dict[object, int]):
    """The bin of a word. One that is met for the first time is looked at, and then remembered."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__((word, position) for position, word in enumerate(words))
        self._other, self._missing = len(words), len(words) + 1

    def __missing__(self, word: object) -> int:
        found = self._other if isinstance(word, str) else self._missing
        self[word] = found
        return found


def _numbers_positions(
    numbers: npt.NDArray[np.float64], edges: tuple[float, ...]
) -> npt.NDArray[np.integer]:
    missing = len(edges) + 1
    if len(edges) > _FEW_EDGES:
        positions = np.searchsorted(np.array(edges), numbers, side="left")
    else:
        # Passing over all numbers per edge has no branches: a quarter of the time of a search.
        positions = np.zeros(len(numbers), dtype=np.uint8)
        for edge in edges:
            positions += numbers > edge
    positions[np.isnan(numbers)] = missing
    return positions


def fit_bins(column: npt.NDArray[np.generic]) -> FeatureBins:
    """Freeze the bins of one column: object of str or None for words, float64 for numbers."""
    if column.dtype == object:
        return FeatureBins(words=frequent_words(column, limit=CATEGORY_BINS))
    numbers = column.astype(np.float64)
    present_numbers = numbers[~np.isnan(numbers)]
    if not len(present_numbers):
        return FeatureBins(edges=())
    quantiles = np.quantile(present_numbers, np.arange(1, 10) / 10, method="inverted_cdf")
    return FeatureBins(edges=tuple(float(edge) for edge in np.unique(quantiles)))
