"""One row as people find it again: by its key, with personal data masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.domain.personal_data import kinds_of_name, masked

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from ml_release.spec.release_line import ReleaseLine


MASK = "(personal)"


def row_example(line: ReleaseLine, rows: pd.DataFrame, chosen: npt.NDArray[np.bool_]) -> str:
    """The key of the first chosen row; empty if none is chosen."""
    if not chosen.any():
        return ""
    place = int(np.argmax(chosen))
    # By column: in a row of its own a whole number among fractions would become one.
    keys = {key: rows[key].iloc[place] for key in line.keys if key in rows}
    return ", ".join(f"{key} {masked(str(value))}" for key, value in keys.items())


def masked_texts(rows: pd.DataFrame) -> pd.DataFrame:
    """A few rows to show, personal data masked: by form, and whole columns by their name."""
    import pandas as pd

    shown: dict[str, pd.Series[Any]] = {}
    for name in rows:
        column = rows[name]
        if kinds_of_name(str(name)):
            words: list[Any] = [MASK if known else None for known in column.notna()]
        elif column.dtype == object:
            words = [masked(v) if isinstance(v, str) else v for v in column]
        else:
            continue
        shown[str(name)] = pd.Series(words, index=rows.index, dtype=object)
    return rows.assign(**shown)
