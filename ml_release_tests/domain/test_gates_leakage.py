"""A single column that tells the label: at the limit, beyond it, and with too little to tell."""

from __future__ import annotations

import pytest

from ml_release.domain.gates_leakage import ColumnAuc, LeakagePolicy, judge_leakage
from ml_release.domain.verdict import Outcome

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
POLICY = LeakagePolicy(single_auc_limit_score=0.8, minimum_per_class=30)


@pytest.mark.parametrize(
    ("auc", "rarer", "expected", "votes"),
    [
        pytest.param(0.8, 30, PASS, True, id="at the limit"),
        pytest.param(0.81, 30, FAIL, True, id="beyond"),
        pytest.param(1.0, 29, INCONCLUSIVE, False, id="a column with too few values"),
        pytest.param(None, 30, INCONCLUSIVE, True, id="not defined"),
    ],
)
def test_a_column_may_tell_only_so_much(
    auc: float | None, rarer: int, expected: Outcome, votes: bool
) -> None:
    """What is hardly ever there is shown without a vote."""
    column = ColumnAuc(column="x", how="value", auc_score=auc, positives=rarer, negatives=100)
    (found,) = judge_leakage("m", (column,), POLICY, positives=50, negatives=100)
    assert (found.outcome, found.votes) == (expected, votes)


@pytest.mark.parametrize(("positives", "negatives"), [(29, 100), (100, 29), (0, 0)])
def test_too_few_labels_of_a_class_tell_nothing(positives: int, negatives: int) -> None:
    """Nor does the absence of columns."""
    column = ColumnAuc(column="x", how="value", auc_score=0.5, positives=1, negatives=1)
    found = judge_leakage("m", (column,), POLICY, positives=positives, negatives=negatives)
    assert [f.outcome for f in found] == [INCONCLUSIVE]
    assert judge_leakage("m", (), POLICY, positives=99, negatives=99)[0].outcome is INCONCLUSIVE


@pytest.mark.parametrize(
    ("aucs", "expected"),
    [
        pytest.param((0.51, 0.55), PASS, id="at the floor"),
        pytest.param((0.51, 0.549), FAIL, id="below"),
        pytest.param((None,), INCONCLUSIVE, id="none is defined"),
    ],
)
def test_labels_that_follow_no_column_belong_to_other_rows(
    aucs: tuple[float | None, ...], expected: Outcome
) -> None:
    """The best column with values enough is named, and held against the floor."""
    policy = POLICY.model_copy(update={"best_auc_floor_score": 0.55})
    columns = tuple(
        ColumnAuc(column=f"c{i}", how="value", auc_score=auc, positives=50, negatives=100)
        for i, auc in enumerate(aucs)
    )
    rare = ColumnAuc(column="rare", how="value", auc_score=0.7, positives=3, negatives=100)
    found = judge_leakage("m", (*columns, rare), policy, positives=50, negatives=100)
    (follows,) = [f for f in found if f.rule == "labels_follow_some_column"]
    assert follows.outcome is expected
    if expected is not INCONCLUSIVE:
        assert follows.subject == "best column c1 (value)"


def test_too_few_labels_leave_both_rules_inconclusive() -> None:
    """Neither passes for want of labels."""
    policy = POLICY.model_copy(update={"best_auc_floor_score": 0.55})
    found = judge_leakage("m", (), policy, positives=3, negatives=100)
    assert {f.rule: f.outcome for f in found} == {
        "labels_follow_some_column": INCONCLUSIVE,
        "no_single_feature_tells_all": INCONCLUSIVE,
    }
