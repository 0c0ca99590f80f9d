"""Folds in the order of time, before the holdout, and the policy that asks for them."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.training_plan import (
    Days,
    Fold,
    TrainingPolicy,
    time_ordered_folds,
    whole_days,
)
from ml_release.errors import InputError, RefusedError

FIRST = np.datetime64("2013-01-01")
DAY = np.timedelta64(1, "D")


def first_days(count: int) -> Days:
    return FIRST + np.arange(count)


def folds_of(
    days: Days, holdout: int, *, folds: int = 3, length: int = 7, embargo: int = 1
) -> tuple[Fold, ...]:
    return time_ordered_folds(
        days,
        holdout_from=FIRST + holdout * DAY,
        folds=folds,
        validation_days=length,
        embargo_days=embargo,
    )


@given(
    rows=st.lists(st.integers(0, 400), max_size=200),
    holdout=st.integers(0, 400),
    folds=st.integers(1, 6),
    length=st.integers(1, 20),
    embargo=st.integers(0, 20),
)
def test_no_fold_knows_anything_of_the_holdout(
    rows: list[int], holdout: int, folds: int, length: int, embargo: int
) -> None:
    """Nor of what could not be known: each trains at least the embargo before it is judged."""
    days = FIRST + np.array(rows, dtype=np.int64)
    try:
        found = folds_of(days, holdout, folds=folds, length=length, embargo=embargo)
    except RefusedError:
        before = days[days < FIRST + holdout * DAY]
        known = holdout - int((before.min() - FIRST) / DAY) if len(before) else 0
        assert known < (folds + 1) * length + embargo
        return
    assert len(found) == folds
    held_out = days >= FIRST + holdout * DAY
    judged = np.zeros(len(days), dtype=np.int64)
    trained_before = np.zeros(len(days), dtype=np.bool_)
    for fold in found:
        trains, validates = fold.trains_on(days), fold.validates_on(days)
        assert not (held_out & (trains | validates)).any()
        assert (fold.validation_from - fold.train_to) / DAY == embargo + 1
        assert (fold.validation_to - fold.validation_from) / DAY == length - 1
        # Expanding: what an earlier fold has learned from, a later one has too.
        assert (trains | ~trained_before).all()
        trained_before = trains
        judged += validates
    assert judged.max(initial=0) <= 1
    assert found[-1].validation_to == FIRST + (holdout - 1) * DAY
    assert (days[~held_out].min() <= found[0].train_to - (length - 1) * DAY).all()


def test_rows_of_the_holdout_change_no_fold() -> None:
    """Whether they are there or not."""
    assert folds_of(first_days(80), 60) == folds_of(first_days(60), 60)


@pytest.mark.parametrize(
    ("days", "enough"),
    [pytest.param(29, True, id="just enough"), pytest.param(28, False, id="one day short")],
)
def test_a_window_has_to_be_long_enough_for_its_folds(days: int, enough: bool) -> None:
    """Three weeks to judge on, an embargo of a day and a week to learn from are 29 days."""
    if enough:
        first = folds_of(first_days(days), days)[0]
        assert first.trains_on(first_days(days)).sum() == 7
        return
    with pytest.raises(RefusedError, match=r"expected at least 29 days .* found 28\. Choose"):
        folds_of(first_days(days), days)


def test_a_window_without_rows_has_no_folds() -> None:
    """Nor one whose rows are all of the holdout."""
    for days in (first_days(0), FIRST + 50 * DAY + np.arange(5)):
        with pytest.raises(RefusedError, match="found 0"):
            folds_of(days, 50)


@pytest.mark.parametrize(
    ("delay", "days"),
    [
        pytest.param(timedelta(0), 0, id="at once"),
        pytest.param(timedelta(days=1), 1, id="a day"),
        pytest.param(timedelta(days=1, seconds=1), 2, id="rounded up"),
    ],
)
def test_a_delay_is_whole_days(delay: timedelta, days: int) -> None:
    """Rounded down, a label would be learned from before it is known."""
    assert whole_days(delay) == days


def test_another_budget_is_another_policy_and_none_is_the_same() -> None:
    """Everything else stays."""
    policy = TrainingPolicy(search_trials=5, validation_folds=2)
    assert policy.with_budget(trials=None, seconds=None) == policy
    other = policy.with_budget(trials=9, seconds=3.5)
    assert (other.search_trials, other.search_seconds, other.validation_folds) == (9, 3.5, 2)
    assert policy.with_budget(trials=0, seconds=None).search_trials == 0


def test_a_budget_out_of_range_is_an_input_error() -> None:
    """With everything that is wrong with it."""
    with pytest.raises(InputError) as refused:
        TrainingPolicy().with_budget(trials=-1, seconds=float("nan"))
    assert "search_trials" in str(refused.value)
    assert "search_seconds" in str(refused.value)
    assert "found -1" in str(refused.value)


@pytest.mark.parametrize(
    ("policy", "needed"),
    [
        pytest.param(TrainingPolicy(), False, id="neither"),
        pytest.param(TrainingPolicy(search_trials=1), True, id="a search"),
        pytest.param(TrainingPolicy(calibration="sigmoid"), True, id="a calibration"),
    ],
)
def test_folds_are_needed_by_whatever_decides_on_them(policy: TrainingPolicy, needed: bool) -> None:
    """A window without them may be shorter."""
    assert policy.needs_folds is needed


@pytest.mark.parametrize(
    "values",
    [
        {"search_trials": -1},
        {"search_seconds": 0},
        {"search_objective": "accuracy_score"},
        {"pinball_quantile": 1.0},
        {"validation_folds": 0},
        {"validation_days": 0},
        {"embargo_days": -1},
        {"calibration": "isotonic"},
        {"trials": 3},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, object]) -> None:
    """An unknown word or key is no default."""
    with pytest.raises(ValidationError, match=next(iter(values))):
        TrainingPolicy.model_validate(values)
