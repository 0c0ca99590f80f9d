"""Decisions and outcomes of groups, counted from the favourable outcome."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ml_release.domain.group_counts import GroupCounts, cells_of, group_counts
from ml_release.errors import InputError

CODES = np.array([0, 0, 0, 1, 1, -1])
TARGET = np.array([1.0, 0, 1, 0, 0, 1])
DECISION = np.array([1.0, 1, 0, 0, 1, 1])
COLUMNS: dict[str, Any] = {
    "codes": CODES,
    "names": ("a", "b"),
    "target": TARGET,
    "decision": DECISION,
    "favourable": 1,
}


def test_the_favourable_outcome_is_what_counts_as_selected() -> None:
    """Turned round, positives are the zeros; missing groups are counted too."""
    for_1 = group_counts(**COLUMNS)
    assert [(g.name, g.n, g.positives, g.selected) for g in for_1] == [
        ("a", 3, 2, 2),
        ("b", 2, 0, 1),
        (None, 1, 1, 1),
    ]
    assert [(g.true_positives, g.false_positives) for g in for_1] == [(1, 1), (0, 1), (1, 0)]
    for_0 = group_counts(**COLUMNS | {"favourable": 0})
    assert [(g.positives, g.selected, g.true_positives, g.false_positives) for g in for_0] == [
        (1, 1, 0, 1),
        (2, 1, 1, 0),
        (0, 0, 0, 0),
    ]


def test_without_missing_values_there_is_no_group_of_them() -> None:
    """But a named group without rows stays."""
    found = group_counts(**COLUMNS | {"codes": np.array([0] * 6)})
    assert [(group.name, group.n) for group in found] == [("a", 6), ("b", 0)]


def test_cells_add_up_to_the_rows_and_over_days_to_the_counts() -> None:
    """Days are counted one by one for the draws."""
    whole = cells_of(CODES, 2, TARGET, DECISION, favourable=1)
    parts = [
        cells_of(CODES[r], 2, TARGET[r], DECISION[r], favourable=1)
        for r in (slice(0, 2), slice(2, 6))
    ]
    assert whole.tolist() == np.sum(parts, axis=0).tolist()
    assert whole.sum(axis=1).tolist() == [3, 2, 1]
    assert [tuple(row) for row in whole] == [g.cells for g in group_counts(**COLUMNS)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"target": np.array([1.0, 0, 1, 0, 0, np.nan])}, id="a label is missing"),
        pytest.param({"decision": TARGET / 2}, id="a probability is no decision"),
        pytest.param({"codes": CODES + 1}, id="a code without a name"),
        pytest.param({"codes": CODES - 1}, id="a code below -1"),
        pytest.param({"favourable": 2}, id="favourable is no class"),
        pytest.param({"target": TARGET[:-1]}, id="different rows"),
    ],
)
def test_what_cannot_be_counted_is_refused(change: dict[str, Any]) -> None:
    """A row that falls out of the counts would favour somebody."""
    with pytest.raises(InputError, match="group counts: expected"):
        group_counts(**COLUMNS | change)


@pytest.mark.parametrize(
    "change",
    [
        {"true_positives": 5},
        {"positives": 1},
        {"n": 4},
        {"selected": 4},
        {"false_positives": -1, "selected": 1},
    ],
)
def test_counts_that_no_rows_could_have_are_refused(change: dict[str, int]) -> None:
    """Counts made elsewhere are checked too."""
    counts = {"n": 9, "positives": 4, "selected": 3, "true_positives": 2, "false_positives": 1}
    GroupCounts(name="a", **counts)
    with pytest.raises(InputError, match="group a: expected"):
        GroupCounts(name="a", **counts | change)
