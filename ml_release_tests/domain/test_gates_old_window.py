"""The champion's old test window: judged where neither model was fitted, a remark where not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.gates_comparison import Comparison
from ml_release.domain.gates_old_window import DESCRIPTIONS, RULE, OldWindow, judge_old_window
from ml_release.domain.intervals import Interval
from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from ml_release.domain.verdict import Finding

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN = float("nan")
DIFFERENCE = Interval(estimate=0.0, low=-0.01, high=0.01, confidence=0.95, n=100, units=14)
OLD = OldWindow(
    version=3,
    days="2013-03-18 to 2013-03-31",
    all_days=14,
    days_left=10,
    rows_left=100,
    comparison=Comparison(version=3, model_digest="champion", difference=DIFFERENCE),
)


def judge(old: OldWindow | None = OLD, *, has_champion: bool = True) -> Finding:
    return judge_old_window(
        old,
        primary="auc_score",
        margin=0.02,
        minimum_rows=100,
        confidence=0.95,
        has_champion=has_champion,
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, PASS, id="as good"),
        pytest.param({"low": -0.02}, PASS, id="at the margin"),
        pytest.param({"low": -0.021}, FAIL, id="beyond"),
        pytest.param({"low": NAN, "high": NAN}, INCONCLUSIVE, id="no ends"),
    ],
)
def test_the_difference_on_what_is_left_keeps_the_margin(
    change: dict[str, Any], expected: Outcome
) -> None:
    """It votes, and says how much of the window it rests on."""
    other = Comparison(version=3, model_digest="c", difference=replace(DIFFERENCE, **change))
    found = judge(replace(OLD, comparison=other))
    assert (found.outcome, found.votes, found.limit) == (expected, True, -0.02)
    assert found.subject == "champion version 3, 2013-03-18 to 2013-03-31"
    assert found.detail.startswith("10 of 14 days; ")
    assert {found.rule} == set(DESCRIPTIONS) == {RULE}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            {"days_left": 0, "rows_left": 0, "comparison": None},
            "of its 14 days the candidate was not fitted on 0, which leaves 0 rows",
            id="nothing left",
        ),
        pytest.param({"rows_left": 99}, "leaves 99 rows, expected at least 100", id="too little"),
        pytest.param(
            {"missing": "found none of ['2013-03']"}, "found none of", id="rows not at hand"
        ),
    ],
)
def test_where_too_little_is_left_a_remark_says_so(change: dict[str, Any], said: str) -> None:
    """No pass and no vote: nobody has declared these days to be kept."""
    found = judge(replace(OLD, **change))
    assert (found.outcome, found.votes, found.observed) == (INCONCLUSIVE, False, None)
    assert said in found.detail
    assert "evaluation.sets.spans" in found.detail


@pytest.mark.parametrize(
    "old",
    [
        pytest.param(None, id="not looked at"),
        pytest.param(replace(OLD, problem="its record is lost"), id="unknown champion"),
        pytest.param(replace(OLD, comparison=None), id="not measured"),
    ],
)
def test_what_is_not_known_of_a_champion_votes(old: OldWindow | None) -> None:
    """A lost record is no window without days."""
    found = judge(old)
    assert (found.outcome, found.votes, found.observed) == (INCONCLUSIVE, True, None)
    assert found.detail


def test_without_a_champion_there_is_no_old_window() -> None:
    """As with the other comparisons, the limits on itself decide."""
    found = judge(None, has_champion=False)
    assert (found.outcome, found.subject) == (PASS, "no champion")
