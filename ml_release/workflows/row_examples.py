"""One row as people find it again: by its key, with personal data masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.personal_data import masked

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from ml_release.spec.release_line import ReleaseLine


def row_example(line: ReleaseLine, rows: pd.DataFrame, chosen: npt.NDArray[np.bool_]) -> str:
    """The key of the first chosen row; empty if none is chosen."""
    if not chosen.any():
        return ""
    place = int(np.argmax(chosen))
    # By column: in a row of its own a whole number among fractions would become one.
    keys = {key: rows[key].iloc[place] for key in line.keys if key in rows}
    return ", ".join(f"{key} {masked(str(value))}" for key, value in keys.items())


def masked_texts(rows: pd.DataFrame) -> pd.DataFrame:
    """A few rows to show, personal data in their texts masked."""
    texts = [name for name in rows if rows[name].dtype == object]
    return rows.assign(
        **{
            str(name): [masked(v) if isinstance(v, str) else v for v in rows[name]]
            for name in texts
        }
    )
