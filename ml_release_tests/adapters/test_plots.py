"""Pictures: a PNG whatever there is to show, and equal bytes for equal values."""

from __future__ import annotations

import numpy as np
import pytest

from ml_release.adapters.plots import Plots
from ml_release.domain.column_profile import ColumnShares

HALVES = np.array([0.5, 0.5, 0.0])


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param((), id="no column"),
        pytest.param((ColumnShares(column="x", current=HALVES, reference=HALVES),), id="both"),
        pytest.param((ColumnShares(column="x", current=HALVES, reference=None),), id="the first"),
        pytest.param(
            (ColumnShares(column="x", current=np.zeros(2), reference=None),), id="no rows"
        ),
    ],
)
def test_a_spread_is_drawn_with_and_without_a_reference(columns: tuple[ColumnShares, ...]) -> None:
    """The first partition of a line has none."""
    png = Plots().spread(columns)
    assert png.startswith(b"\x89PNG")
    assert Plots().spread(columns) == png
