"""Columns of the same rows, and the groups that rows fall into.

Scores take one array per column. Arrays of different rows give a number that looks like a score, so
they are refused before anything is computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ml_release.errors import InputError

Codes = npt.NDArray[Any]
"""Shape (n,): the day, slice or stratum of each row, as anything that can be sorted."""


def require_same_rows(subject: str, /, **columns: npt.NDArray[Any]) -> None:
    """Refuse columns that are not of one and the same number of rows.

    Parameters
    ----------
    subject
        What was to be computed, the first words of the message.
    columns
        Name to column; each has to be of shape (n,) with the same n.

    Raises
    ------
    InputError
        With the shape of each column.
    """
    shapes = {column.shape for column in columns.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        found = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
        message = (
            f"{subject}: expected columns of the same rows, found shapes {found}; pass one value "
            "per row in each"
        )
        raise InputError(message)


def group_codes(groups: Codes, n: int) -> tuple[npt.NDArray[np.intp], int]:
    """Groups as codes 0, 1, ... in sorted order, and how many there are.

    Raises
    ------
    InputError
        If there is not one group for each of ``n`` rows.

    >>> codes, count = group_codes(np.array(["tue", "mon", "tue"]), 3)
    >>> codes.tolist(), count
    ([1, 0, 1], 2)
    """
    if groups.shape != (n,):
        message = f"groups: expected one for each of {n} rows, found shape {groups.shape}"
        raise InputError(message)
    names, codes = np.unique(groups, return_inverse=True)
    return codes, len(names)
