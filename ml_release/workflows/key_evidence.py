"""Find rows whose key another row has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import pandas as pd

    from ml_release.workflows.word_columns import WordColumn

_ROOM = 2**62


def duplicate_rows(
    rows: pd.DataFrame, keys: Sequence[str], words: Mapping[str, WordColumn]
) -> npt.NDArray[np.bool_]:
    """Which rows have the key of a row before them, shape (n,); two missing values are alike."""
    packed = _packed(rows, keys, words)
    if packed is not None:
        packed.sort()
        if not (packed[1:] == packed[:-1]).any():
            return np.zeros(len(rows), dtype=np.bool_)
    # Which ones, or keys that are too wide: hash tables of every key, several times its size.
    del packed
    return rows.duplicated(list(keys)).to_numpy()


def _packed(
    rows: pd.DataFrame, keys: Sequence[str], words: Mapping[str, WordColumn]
) -> npt.NDArray[np.int64] | None:
    """The key of each row as one number, shape (n,), equal where the keys are.

    None if a key column is neither words nor whole numbers or times, or all together need more
    than 62 bits.
    """
    packed, size = np.zeros(len(rows), dtype=np.int64), 1
    for key in keys:
        whole = words[key].codes if key in words else _whole(rows[key])
        if whole is None or not len(whole):
            return None
        low, high = int(whole.min()), int(whole.max())
        width = high - low + 1
        size *= width
        if size > _ROOM:
            return None
        packed *= width
        packed += whole
        packed -= low
    return packed


def _whole(column: pd.Series) -> npt.NDArray[np.integer] | None:
    """The column as whole numbers without a copy; the number of a missing time is far from all."""
    if column.dtype.kind == "M":
        return column.to_numpy(dtype=f"datetime64[{column.dt.unit}]").view(np.int64)
    values = column.to_numpy()
    return values if values.dtype.kind == "i" else None
