"""Frozen bins of one feature, and how values are counted in them.

Numbers: the unique 10 % to 90 % quantiles of the reference with open ends. Categories: the 50 most
frequent words. Bins of their own for *other* (categories) and *missing*.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from ml_release.domain.features import frequent_words

CATEGORY_BINS = 50


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

    def count(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
        """Rows per bin, shape (size,)."""
        if self.words is not None:
            code_of = {word: position for position, word in enumerate(self.words)}
            other, missing = len(self.words), len(self.words) + 1
            positions = np.fromiter(
                (code_of.get(v, other) if isinstance(v, str) else missing for v in values),
                dtype=np.int64,
                count=len(values),
            )
        else:
            numbers = values.astype(np.float64)
            positions = np.searchsorted(np.array(self.edges or ()), numbers, side="left")
            positions = np.where(np.isnan(numbers), self.size - 1, positions)
        return np.bincount(positions, minlength=self.size)


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
