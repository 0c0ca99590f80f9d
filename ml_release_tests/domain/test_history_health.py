"""History look-ups of a window: added up, and judged; what is not known does not pass."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.history_health import (
    HistoryHealthPolicy,
    HistoryUse,
    history_use,
    judge_history,
)
from ml_release.domain.performance import WindowRecord
from ml_release.domain.verdict import Outcome

POLICY = HistoryHealthPolicy(age_limit_days=31, miss_limit=0.01, minimum_rows=100)
NOTHING = HistoryUse(rows=0, look_ups=0, misses=0, ages={})


def use(**changes: Any) -> HistoryUse:
    """A hundred rows with two look-ups each, half of them a day later."""
    known: dict[str, Any] = {"rows": 100, "look_ups": 200, "misses": 0, "ages": {3: 50, 4: 50}}
    return HistoryUse(**{**known, **changes})


def window(history: HistoryUse | None, *, rows: int = 100) -> WindowRecord:
    return WindowRecord(
        line="line",
        version=1,
        model_digest="sha256:0",
        days=7,
        as_of=date(2013, 4, 7),
        rows=rows,
        errors=0,
        labels=0,
        counts={},
        latency_p50_ms=None,
        latency_p99_ms=None,
        history=history,
    )


@pytest.mark.parametrize(
    ("history", "age", "misses"),
    [
        pytest.param(use(), Outcome.PASS, Outcome.PASS, id="fresh, every key met"),
        pytest.param(use(ages={31: 100}), Outcome.PASS, Outcome.PASS, id="as old as allowed"),
        pytest.param(use(ages={3: 99, 32: 1}), Outcome.FAIL, Outcome.PASS, id="a day too old"),
        pytest.param(use(ages={-1: 100}), Outcome.PASS, Outcome.PASS, id="before the table's day"),
        pytest.param(use(misses=2), Outcome.PASS, Outcome.PASS, id="as many misses as allowed"),
        pytest.param(use(misses=3), Outcome.PASS, Outcome.FAIL, id="one miss too many"),
        pytest.param(
            use(ages={3: 99}), Outcome.INCONCLUSIVE, Outcome.PASS, id="one row of unknown age"
        ),
        pytest.param(
            use(ages={32: 99}), Outcome.FAIL, Outcome.PASS, id="one unknown, all others too old"
        ),
        pytest.param(
            use(ages={}, misses=200), Outcome.INCONCLUSIVE, Outcome.FAIL, id="no table at all"
        ),
        pytest.param(
            use(look_ups=0), Outcome.PASS, Outcome.INCONCLUSIVE, id="a model without look-ups"
        ),
        pytest.param(
            use(rows=99, look_ups=198, ages={3: 99}),
            Outcome.INCONCLUSIVE,
            Outcome.INCONCLUSIVE,
            id="too few rows",
        ),
        pytest.param(NOTHING, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE, id="none recorded"),
        pytest.param(None, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE, id="a window of before"),
    ],
)
def test_look_ups_pass_only_when_measured_within_both_limits(
    history: HistoryUse | None, age: Outcome, misses: Outcome
) -> None:
    """Age and misses are two findings of one claim, each at its limit and one beyond."""
    verdict = judge_history(window(history), subject_digest="sha256:1", policy=POLICY)
    assert [finding.outcome for finding in verdict.findings] == [age, misses]
    assert {finding.rule for finding in verdict.findings} == {"history_is_fresh"}
    assert verdict.subject_digest == "sha256:1"


def test_an_empty_window_is_inconclusive() -> None:
    """An idle endpoint shows nothing."""
    verdict = judge_history(window(NOTHING, rows=0), subject_digest="d", policy=POLICY)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "expected at least 100 rows, found 0" in verdict.findings[0].detail
    assert "do not say" not in verdict.findings[0].detail


def test_a_verdict_says_what_its_numbers_leave_open() -> None:
    """Rows of before it was recorded, without an age, and of days before the table's."""
    history = use(ages={-2: 10, 3: 80})
    age, misses = judge_history(
        window(history, rows=130), subject_digest="d", policy=POLICY
    ).findings
    assert age.detail == (
        "30 rows do not say what their look-ups met; median 3 days; 10 rows met no table, or one of"
        " unknown age; 10 rows are of days before the table's"
    )
    assert misses.detail == (
        "30 rows do not say what their look-ups met; 0 of 200 look-ups met no key"
    )


def test_another_policy_is_another_verdict() -> None:
    """The digest of the policy is evidence."""
    digests = {
        judge_history(window(use()), subject_digest="d", policy=policy).evidence["policy_digest"]
        for policy in (POLICY, POLICY.model_copy(update={"miss_limit": 0.02}))
    }
    assert len(digests) == 2


maybe = st.one_of(st.none(), st.integers(-3, 40))


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 2)), maybe), max_size=30))
def test_a_window_adds_up_what_its_rows_recorded(rows: list[tuple[int | None, int | None]]) -> None:
    """Rows that did not record their misses are not counted at all."""
    found = history_use(
        misses=np.array([math.nan if misses is None else misses for misses, _ in rows], float),
        ages=np.array([math.nan if age is None else age for _, age in rows], float),
        features=2,
    )
    recorded = [(misses, age) for misses, age in rows if misses is not None]
    ages = [age for _, age in recorded if age is not None]
    assert (found.rows, found.look_ups) == (len(recorded), 2 * len(recorded))
    assert found.misses == sum(misses for misses, _ in recorded)
    assert found.miss_share == (found.misses / found.look_ups if recorded else None)
    assert found.age_largest_days == max(ages, default=None)
    assert found.age_median_days == (float(np.median(ages)) if ages else None)
    assert found.rows_without_age == len(recorded) - len(ages)
    assert found.rows_before_table == sum(age < 0 for age in ages)
    assert HistoryUse.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    "limits",
    [{"age_limit_days": -1}, {"miss_limit": 1.5}, {"miss_limit": math.nan}, {"minimum_rows": 0}],
)
def test_a_limit_that_cannot_be_is_refused(limits: dict[str, float]) -> None:
    """By name."""
    with pytest.raises(ValueError, match=next(iter(limits))):
        HistoryHealthPolicy(**limits)  # type: ignore[arg-type]
