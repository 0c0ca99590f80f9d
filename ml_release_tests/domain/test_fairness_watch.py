"""Served gaps and slices against approved ones: which windows fail, hold, or cannot tell."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from ml_release.domain.fairness_record import (
    HISTORY_WINDOWS,
    FairnessHistory,
    FairnessRecord,
    FairnessWindow,
    WatchedGap,
    WatchedSlice,
    history_from_json,
    record_from_json,
)
from ml_release.domain.fairness_watch import GAPS, SLICES, history_rows, judge_fairness_watch
from ml_release.domain.fairness_watch_policy import FairnessWatchPolicy
from ml_release.domain.verdict import Finding, Outcome
from ml_release.errors import IntegrityError

POLICY = FairnessWatchPolicy()
END = date(2013, 4, 28)
PARITY = "demographic_parity_difference"


def a_gap(
    value: float | None = 0.12,
    p_adjusted: float | None = 0.9,
    *,
    measure: str = PARITY,
    baseline: float | None = 0.1,
    limit: float | None = 0.15,
) -> WatchedGap:
    return WatchedGap(
        column="origin",
        measure=measure,
        value=value,
        low=None if value is None else value - 0.02,
        high=None if value is None else value + 0.02,
        baseline=baseline,
        limit=limit,
        p_adjusted=p_adjusted,
        least=("JFK",),
        greatest=(None,),
        compared=("JFK", None),
        left_out=("LGA",),
        n=5000,
    )


def a_slice(value: float | None, p_adjusted: float | None, *, score: str) -> WatchedSlice:
    return WatchedSlice(
        column="carrier",
        slice="UA",
        score=score,
        value=value,
        low=None,
        high=None,
        baseline=0.7,
        limit=0.65 if score == "auc_score" else 0.75,
        p_adjusted=p_adjusted,
        n=900,
    )


def a_window(
    *gaps: WatchedGap, slices: tuple[WatchedSlice, ...] = (), number: int = 0, labelled: int = 950
) -> FairnessWindow:
    last = END - timedelta(days=14 * number)
    return FairnessWindow(
        first_day=last - timedelta(days=13),
        last_day=last,
        days=14,
        matured=1000,
        labelled=labelled,
        gaps=gaps,
        slices=slices,
    )


def a_record(*windows: FairnessWindow, problem: str = "") -> FairnessRecord:
    return FairnessRecord(
        line="line",
        environment="production",
        version=3,
        model_digest="sha256:" + "1" * 64,
        baseline_digest=None if problem else "sha256:" + "2" * 64,
        baseline_problem=problem,
        windows=windows,
    )


def judged(record: FairnessRecord, *rules: str, policy: FairnessWatchPolicy = POLICY) -> Finding:
    verdict = judge_fairness_watch(
        record, policy, rules=rules or (GAPS,), evidence={}, subject_digest="sha256:" + "3" * 64
    )
    (finding,) = verdict.findings
    assert verdict.outcome is finding.outcome
    return finding


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        pytest.param(a_gap(0.12, 0.9), a_gap(0.12, 0.9), Outcome.PASS, id="keeps the limit"),
        pytest.param(a_gap(0.3, 0.001), a_gap(0.3, 0.001), Outcome.FAIL, id="shown, twice"),
        pytest.param(a_gap(0.3, 0.001), a_gap(0.1, 0.9), Outcome.INCONCLUSIVE, id="shown, once"),
        pytest.param(a_gap(0.3, 0.001), None, Outcome.INCONCLUSIVE, id="no window before"),
        pytest.param(a_gap(0.12, 0.9), a_gap(0.3, 0.001), Outcome.PASS, id="it has gone back"),
        pytest.param(a_gap(0.2, 0.2), a_gap(0.2, 0.2), Outcome.INCONCLUSIVE, id="not shown"),
        pytest.param(a_gap(None, None), a_gap(0.3, 0.001), Outcome.INCONCLUSIVE, id="no value"),
        pytest.param(a_gap(0.3, None), a_gap(0.3, 0.001), Outcome.INCONCLUSIVE, id="no spread"),
        pytest.param(
            a_gap(0.3, 0.001, baseline=None, limit=None),
            a_gap(0.3, 0.001),
            Outcome.INCONCLUSIVE,
            id="no baseline",
        ),
    ],
)
def test_a_gap_fails_when_it_is_shown_for_long_enough(
    now: WatchedGap, before: WatchedGap | None, expected: Outcome
) -> None:
    """Above the limit without proof is neither a failure nor a pass."""
    windows = [a_window(now)] + ([] if before is None else [a_window(before, number=1)])
    assert judged(a_record(*windows)).outcome is expected


def test_a_finding_names_groups_limits_and_windows() -> None:
    """What a person has to know without opening anything else."""
    wide = a_gap(0.3, 0.001)
    sentence = judged(a_record(a_window(wide), a_window(wide, number=1))).sentence()
    for part in (
        "observed 0.3 difference of rates, limit at most 0.15",
        "n = 5000",
        "approved with 0.1",
        "shown in 2 of 2 windows in a row",
        "from JFK to missing",
        "too few rows to judge: LGA",
    ):
        assert part in sentence


def test_a_finding_says_when_others_are_at_the_lower_end() -> None:
    """A gap of the same size may have turned round."""
    for least, turned in (("EWR", True), ("JFK", False)):
        gap = a_gap().model_copy(update={"approved_least": (least,), "approved_greatest": ("X",)})
        sentence = judged(a_record(a_window(gap))).sentence()
        assert (f"when approved from {least} to X" in sentence) is turned


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (a_record(), "no answer of the served version has a label that is due"),
        (a_record(problem="no baseline: gone"), "no baseline: gone"),
        (a_record(a_window()), "measured no groups"),
        (a_record(a_window(a_gap(), labelled=700)), "found 700 of 1000"),
    ],
)
def test_what_cannot_be_told_is_inconclusive(record: FairnessRecord, said: str) -> None:
    """With the reason."""
    finding = judged(record)
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert said in finding.detail


@pytest.mark.parametrize(
    ("score", "value", "p_adjusted", "expected"),
    [
        ("auc_score", 0.66, 0.9, Outcome.PASS),
        ("auc_score", 0.5, 0.001, Outcome.FAIL),
        ("auc_score", 0.6, 0.2, Outcome.INCONCLUSIVE),
        ("log_loss", 0.74, 0.9, Outcome.PASS),
        ("log_loss", 0.9, 0.001, Outcome.FAIL),
    ],
)
def test_slices_are_held_in_the_direction_of_their_score(
    score: str, value: float, p_adjusted: float, expected: Outcome
) -> None:
    """A score has a floor, a loss a ceiling."""
    slices = (a_slice(value, p_adjusted, score=score),)
    record = a_record(a_window(slices=slices), a_window(slices=slices, number=1))
    finding = judged(record, SLICES)
    assert finding.outcome is expected
    assert finding.bound == ("at least" if score == "auc_score" else "at most")


def test_a_ratio_has_a_floor() -> None:
    """It is the baseline less the margin; a difference's ceiling is the baseline with it."""
    policy = FairnessWatchPolicy(margin=0.05, margins={"demographic_parity_ratio": 0.1})
    assert policy.limit_of("demographic_parity_ratio", 0.8) == pytest.approx(0.7)
    assert policy.limit_of(PARITY, 0.1) == pytest.approx(0.15)
    ratio = a_gap(0.75, 0.9, measure="demographic_parity_ratio", baseline=0.8, limit=0.7)
    assert judged(a_record(a_window(ratio))).outcome is Outcome.PASS


def test_a_measure_nobody_knows_is_refused() -> None:
    """A margin of it would hold nothing."""
    with pytest.raises(ValidationError, match="fairness margins"):
        FairnessWatchPolicy(margins={"niceness": 0.1})


def test_the_history_keeps_the_newest_windows_and_each_once() -> None:
    """A window of the same end replaces its predecessor; the oldest go."""
    history = FairnessHistory()
    for number in range(HISTORY_WINDOWS + 5, -1, -1):
        for value in (0.1, 0.2):
            record = a_record(a_window(a_gap(value), number=number))
            history = history.with_window(history_rows(record, POLICY))
    assert len(history.rows) == HISTORY_WINDOWS
    assert {row.value for row in history.rows} == {0.2}
    assert history.rows[-1].last_day == END
    assert {(row.rule, row.subject) for row in history.rows} == {(GAPS, a_gap().name)}
    assert history_from_json(history.to_json()) == history
    assert history.with_window(()) == history


def test_rows_of_two_windows_at_once_are_refused() -> None:
    """They would be counted as one."""
    rows = [
        row
        for number in (0, 1)
        for row in history_rows(a_record(a_window(a_gap(), number=number)), POLICY)
    ]
    with pytest.raises(ValueError, match="rows of one window"):
        FairnessHistory().with_window(rows)


def test_records_come_back_or_are_refused() -> None:
    """What is not a record is none."""
    record = a_record(a_window(a_gap(), slices=(a_slice(0.6, None, score="auc_score"),)))
    assert record_from_json(record.to_json()) == record
    assert history_from_json(None) == FairnessHistory()
    for read in (record_from_json, history_from_json):
        with pytest.raises(IntegrityError):
            read(b'{"rows": 7}')
