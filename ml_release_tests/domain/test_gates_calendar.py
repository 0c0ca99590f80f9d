"""The times of a partition's rows: every rule at its limit and beyond it."""

from __future__ import annotations

from typing import Any

import pytest

from ml_release.domain.gates_calendar import CalendarEvidence, CalendarPolicy, judge_calendar
from ml_release.domain.verdict import Finding, Outcome

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
POLICY = CalendarPolicy(missing_days_limit=1, day_share_floor=0.5, retention_days=30)
DAYS = {"2013-01-01": 10, "2013-01-02": 10, "2013-01-03": 10}


def judge(policy: CalendarPolicy = POLICY, **change: Any) -> tuple[Finding, ...]:
    values = {
        "rows": 30,
        "outside_rows": 0,
        "outside_example": "",
        "shifted_rows": 0,
        "shifted_example": "",
        "shift_minutes": 0.0,
        "rows_per_day": DAYS,
        "expired_rows": 0,
        **change,
    }
    return judge_calendar("2013-01", CalendarEvidence(**values), policy)


@pytest.mark.parametrize(
    ("change", "rule", "expected"),
    [
        pytest.param({}, "rows_belong_to_partition", [PASS, PASS], id="all in the month"),
        pytest.param({"outside_rows": 1}, "rows_belong_to_partition", [FAIL, PASS], id="one not"),
        pytest.param({"shifted_rows": 1}, "rows_belong_to_partition", [PASS, FAIL], id="shifted"),
        pytest.param(
            {"rows_per_day": DAYS | {"2013-01-04": 0}}, "days_are_covered", [PASS, PASS], id="limit"
        ),
        pytest.param(
            {"rows_per_day": DAYS | {"2013-01-04": 0, "2013-01-05": 0}},
            "days_are_covered",
            [FAIL, PASS],
            id="a day too many without rows",
        ),
        pytest.param(
            {"rows_per_day": DAYS | {"2013-01-04": 5}}, "days_are_covered", [PASS, PASS], id="half"
        ),
        pytest.param(
            {"rows_per_day": DAYS | {"2013-01-04": 4}},
            "days_are_covered",
            [PASS, FAIL],
            id="less than half a day",
        ),
        pytest.param(
            {"rows_per_day": {"2013-01-01": 0}},
            "days_are_covered",
            [INCONCLUSIVE, INCONCLUSIVE],
            id="no rows at all",
        ),
        pytest.param(
            {"rows_per_day": {}},
            "days_are_covered",
            [INCONCLUSIVE, INCONCLUSIVE],
            id="no day is over yet",
        ),
        pytest.param({"expired_rows": 0}, "rows_are_within_retention", [PASS], id="young"),
        pytest.param({"expired_rows": 1}, "rows_are_within_retention", [FAIL], id="one too old"),
        pytest.param({"rows": 0}, "rows_are_within_retention", [INCONCLUSIVE], id="no rows"),
    ],
)
def test_a_rule_holds_at_its_limit_and_fails_beyond(
    change: dict[str, Any], rule: str, expected: list[Outcome]
) -> None:
    """One row or one day more decides."""
    assert [f.outcome for f in judge(**change) if f.rule == rule] == expected


def test_without_time_columns_nothing_passes() -> None:
    """What could not be counted holds the partition."""
    assert {f.outcome for f in judge_calendar("2013-01", None, POLICY)} == {INCONCLUSIVE}


def test_retention_that_is_not_declared_is_not_judged() -> None:
    """And not shown as pass."""
    found = judge(CalendarPolicy(), expired_rows=None)
    assert not [f for f in found if f.rule == "rows_are_within_retention"]


def test_a_shift_says_how_far_and_where() -> None:
    """An hour tells a reader of a time zone."""
    found = judge(shifted_rows=3, shift_minutes=60.0, shifted_example="trip 7")
    (detail,) = [f.detail for f in found if f.outcome is FAIL]
    assert detail == "by up to 60 minutes; for example trip 7"
