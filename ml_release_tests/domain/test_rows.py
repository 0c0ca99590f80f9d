"""Columns of different rows are refused; groups become codes."""

from __future__ import annotations

import numpy as np
import pytest

from ml_release.domain.rows import group_codes, require_same_rows
from ml_release.errors import InputError


def test_columns_of_different_rows_are_refused_by_shape() -> None:
    """The message names each column and what it was."""
    with pytest.raises(InputError, match=r"AUC: .*target \(3,\), score \(2,\)"):
        require_same_rows("AUC", target=np.zeros(3), score=np.zeros(2))
    with pytest.raises(InputError, match=r"score \(3, 1\)"):
        require_same_rows("AUC", score=np.zeros((3, 1)))


def test_a_column_may_have_the_name_of_an_argument() -> None:
    """Columns are named by users."""
    require_same_rows("slices", subject=np.zeros(2), columns=np.zeros(2))


def test_groups_need_one_value_per_row() -> None:
    """A shorter column would shift every row's day."""
    codes, count = group_codes(np.array([30, 10, 30]), 3)
    assert (codes.tolist(), count) == ([1, 0, 1], 2)
    with pytest.raises(InputError, match=r"one for each of 3 rows, found shape \(2,\)"):
        group_codes(np.array([1, 2]), 3)
