"""A profile of numbers is what numpy's unique values and quantiles are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.column_profile import EXACT, POINTS, profile_numbers

if TYPE_CHECKING:
    import numpy.typing as npt


@given(values=st.lists(st.sampled_from([0.0, -0.0, 1.5, -3.0, np.nan, np.inf]), max_size=50))
def test_few_values_are_kept_with_their_rows(values: list[float]) -> None:
    """Those that are no numbers are missing."""
    numbers = np.array(values, dtype=np.float64)
    expected, rows = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    found = profile_numbers(numbers)
    assert found.values == tuple(expected)
    assert found.weights == tuple(rows)
    assert found.missing == len(values) - rows.sum()


@pytest.mark.parametrize("rows", [EXACT, EXACT + 1, 1000, 4096, 9999])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_many_values_are_kept_as_quantiles(rows: int, kind: type) -> None:
    """Each is a value that occurs, and stands for as many rows as any other."""
    numbers: npt.NDArray[np.number] = np.random.default_rng(rows).permutation(rows).astype(kind)
    found = profile_numbers(numbers)
    if rows == EXACT:
        assert found.values == tuple(range(rows))
        return
    middles = (np.arange(POINTS) + 0.5) / POINTS
    assert found.values == tuple(np.quantile(numbers, middles, method="inverted_cdf"))
    assert set(found.weights) == {rows / POINTS}


def test_the_numbers_themselves_are_left_as_they_are() -> None:
    """They may be a column of the table."""
    numbers = np.array([3.0, np.nan, 1.0])
    profile_numbers(numbers)
    np.testing.assert_array_equal(numbers, [3.0, np.nan, 1.0])
