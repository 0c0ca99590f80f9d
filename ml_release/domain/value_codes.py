"""Feature values of any kind as a matrix of whole numbers, and back without loss.

What explains a model from outside mixes the columns of a matrix of floats. A word is no float, and
floats of very different size are mixed up by tolerances. So each value is replaced by the number
of its place among the distinct values of its feature, and put back before the model is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ml_release.domain.features import Columns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueCodes:
    """The distinct values of some features; a code is a place among them.

    Attributes
    ----------
    distinct
        Feature to its distinct values, in the order of the columns of the matrix. Missing (NaN or
        None) is one of them.
    """

    distinct: Mapping[str, npt.NDArray[np.generic]]

    def decode(self, matrix: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.generic]]:
        """Feature values of a matrix of codes, shape (n, features), as they were."""
        codes = matrix.astype(np.intp)
        return {
            name: values[codes[:, position]]
            for position, (name, values) in enumerate(self.distinct.items())
        }


def encode_values(
    names: Sequence[str], *parts: Columns
) -> tuple[ValueCodes, tuple[npt.NDArray[np.float64], ...]]:
    """Codes common to several tables, and the matrix of each, shape (n of the part, features)."""
    distinct, columns = {}, []
    for name in names:
        pieces = [part[name] for part in parts]
        values, codes = _coded(np.concatenate(pieces))
        distinct[name] = values
        columns.append(codes.astype(np.float64))
    whole = np.column_stack(columns)
    ends = np.cumsum([len(next(iter(part.values()))) for part in parts])
    return ValueCodes(distinct=distinct), tuple(np.split(whole, ends[:-1]))


def _coded(
    column: npt.NDArray[np.generic],
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.intp]]:
    if column.dtype != object:
        return np.unique(column, return_inverse=True)
    # Words beside None have no order, and numpy strings lose NUL at the end of a word.
    place_of = {word: place for place, word in enumerate(dict.fromkeys(column.tolist()))}
    distinct = np.empty(len(place_of), dtype=object)
    distinct[:] = list(place_of)
    return distinct, np.array([place_of[word] for word in column], dtype=np.intp)
