"""Rows with the key of another row are those that pandas finds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.workflows.key_evidence import duplicate_rows
from ml_release.workflows.word_columns import word_columns

TIMES = [pd.Timestamp("2013-01-01", tz="UTC"), pd.Timestamp("2013-01-02", tz="UTC"), pd.NaT]
WIDE = [-(2**62), 0, 1, 2**62]
ROW = st.tuples(
    st.sampled_from(TIMES),
    st.sampled_from(["a", "b", None, 1, "1"]),
    st.integers(-2, 2),
    st.sampled_from(WIDE),
    st.sampled_from([0.0, -0.0, 1.5, np.nan]),
)
COLUMNS = ("time", "word", "number", "wide", "share")


@pytest.mark.parametrize(
    "keys",
    [
        ("time", "word", "number"),
        ("word", "number"),
        ("wide",),
        ("number", "wide"),
        ("share", "word"),
        ("time",),
    ],
)
@given(drawn=st.lists(ROW, max_size=20))
def test_duplicates_are_those_of_pandas(keys: tuple[str, ...], drawn: list[tuple[object]]) -> None:
    """Of whatever types, with missing values, and of more bits than a number has."""
    rows = pd.DataFrame(drawn, columns=list(COLUMNS)).astype(
        {"word": object, "number": int, "wide": int, "share": float}
    )
    rows["time"] = pd.to_datetime(rows["time"], utc=True).astype("datetime64[us, UTC]")
    expected = rows.duplicated(list(keys)).tolist()
    assert duplicate_rows(rows, keys, word_columns(rows)).tolist() == expected
