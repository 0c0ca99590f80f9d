"""The AUC of sorted values, and of groups of rows, is the AUC of the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.column_auc import auc_of_groups, auc_of_samples
from ml_release.domain.scores import auc_score

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=1, max_size=60)
HUGE = st.lists(st.tuples(st.booleans(), st.floats(allow_nan=False, allow_infinity=False)))


@given(rows=ROWS | HUGE)
def test_the_auc_of_samples_is_that_of_the_ranks_to_the_last_bit(
    rows: list[tuple[bool, float]],
) -> None:
    """Ties count half on both ways; without one of the labels both are NaN."""
    target = np.array([float(label) for label, _ in rows])
    score = np.array([float(value) for _, value in rows])
    found = auc_of_samples(score[target > 0], score[target == 0])
    np.testing.assert_equal(found, auc_score(target, score))


@given(rows=ROWS)
def test_the_auc_of_groups_is_that_of_their_rows(rows: list[tuple[bool, int]]) -> None:
    """Also where two groups have one score, or a group has no row."""
    labels, groups = np.array([r[0] for r in rows]), np.array([r[1] for r in rows]) + 4
    positives = np.bincount(groups[labels], minlength=10)
    negatives = np.bincount(groups[~labels], minlength=10)
    score = np.array([0.5, 0.25, 0.25, 0.0, 1.0, 0.5, 0.75, 0.125, 0.3, 0.9])
    found = auc_of_groups(score, positives, negatives)
    np.testing.assert_equal(found, auc_score(labels.astype(np.float64), score[groups]))


def test_whole_numbers_are_compared_as_they_are() -> None:
    """Two neighbours that one float would stand for are no tie."""
    near = 2**60
    assert auc_of_samples(np.array([near + 1]), np.array([near])) == 1.0


@pytest.mark.parametrize("positives", [[], [1.0]])
def test_without_both_labels_it_is_not_defined(positives: list[float]) -> None:
    """NaN, which the judge calls inconclusive."""
    assert np.isnan(auc_of_samples(np.array(positives), np.array([])))
