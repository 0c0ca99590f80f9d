"""Between pandas frames and the plain arrays that features are computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.features import Category, Feature, RequestField
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.features import Columns

BLOCK = 500_000
"""Rows at a time, where a whole column of what is computed on the way would be too much."""

# A feature may be named like a key column and yet hold other values; the prefix keeps them apart.
_PREFIX = "features."


def columns_of(
    frame: pd.DataFrame, fields: Sequence[RequestField], *, subject: str
) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of the raw columns, in the form `feature_values` takes.

    Raises
    ------
    InputError
        If the frame lacks a column; ``subject`` says whose frame it is.
    """
    missing = [field.name for field in fields if field.name not in frame.columns]
    if missing:
        message = (
            f"{subject}: the features need the columns {missing}, found {sorted(frame.columns)}."
            " Let the line's assemble function make them."
        )
        raise InputError(message)
    return {field.name: _array(frame[field.name], field.type) for field in fields}


def feature_column(feature: str) -> str:
    """The column of the features table with the values of a feature."""
    return _PREFIX + feature


def feature_columns(values: Columns) -> dict[str, npt.NDArray[np.generic]]:
    """Feature values under the column names of the features table."""
    return {feature_column(name): column for name, column in values.items()}


def values_of(
    frame: pd.DataFrame, features: Sequence[Feature]
) -> dict[str, npt.NDArray[np.generic]]:
    """Feature values out of rows of the features table."""
    return {
        feature.name: _array(
            frame[feature_column(feature.name)],
            "string" if isinstance(feature, Category) else "number",
        )
        for feature in features
    }


def days_of(column: pd.Series) -> npt.NDArray[np.datetime64]:
    """The calendar day of each local timestamp."""
    return column.to_numpy(dtype="datetime64[us]").astype("datetime64[D]")


def floats_of(column: pd.Series) -> npt.NDArray[np.float64]:
    """A number column with NaN for missing."""
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def numbers_of(column: pd.Series) -> npt.NDArray[np.number]:
    """A number column with NaN for missing, to read only: the column itself where it can be."""
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else floats_of(column)


def _array(column: pd.Series, kind: str) -> npt.NDArray[np.generic]:
    if kind == "number":
        return floats_of(column)
    if kind == "timestamp":
        return column.to_numpy(dtype="datetime64[us]")
    words = column.to_numpy(dtype=object, copy=True)
    words[column.isna().to_numpy()] = None
    return words
