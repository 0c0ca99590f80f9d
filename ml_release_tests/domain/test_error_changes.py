"""Which days are fed to the change detectors, and that each is fed once."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.domain.answers import DayCount
from ml_release.domain.error_changes import (
    ErrorChanges,
    FedDay,
    changes_from_json,
    days_to_feed,
    fed_with,
    kept_since,
)
from ml_release.domain.performance_policy import ChangePolicy
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST = date(2013, 4, 1)
POLICY = ChangePolicy(patience_days=3)
BEGINNING = ErrorChanges(model_digest="m", policy_digest="p")
LATER = date(2014, 1, 1)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def counts(*labelled: int, answers: int = 10) -> tuple[DayCount, ...]:
    return tuple(
        DayCount(day=day(number), answers=answers, labelled=known)
        for number, known in enumerate(labelled)
    )


def fed(*labelled: int) -> ErrorChanges:
    return BEGINNING.model_copy(
        update={
            "fed": tuple(
                FedDay(day=day(number), labelled=known, error=0.1)
                for number, known in enumerate(labelled)
            )
        }
    )


@pytest.mark.parametrize(
    ("state", "days", "due_before", "expected", "left_out"),
    [
        pytest.param(BEGINNING, (), LATER, [], [], id="no day"),
        pytest.param(BEGINNING, (10,), LATER, [], [], id="the newest day may go on"),
        pytest.param(BEGINNING, (10, 10, 0), LATER, [0, 1], [], id="all that are over"),
        pytest.param(BEGINNING, (10, 10, 0), day(1), [0], [], id="labels may still be due"),
        pytest.param(fed(10), (10, 10, 10, 0), LATER, [1, 2], [], id="only what is new"),
        pytest.param(BEGINNING, (8, 7, 9, 0), LATER, [0], [], id="an unsettled day holds up"),
        pytest.param(
            BEGINNING, (8, 7, 9, 9, 9, 0), LATER, [0, 1, 2, 3, 4], [1], id="but not for ever"
        ),
        pytest.param(BEGINNING, (8, 0, 0, 0, 0, 0), LATER, [0], [], id="nobody labels any more"),
        pytest.param(fed(10, 8), (10, 8, 0), LATER, [], [], id="nothing new"),
    ],
)
def test_days_come_in_order_once_they_are_settled(
    state: ErrorChanges,
    days: Sequence[int],
    due_before: date,
    expected: list[int],
    left_out: list[int],
) -> None:
    """Over, due, and labelled enough."""
    found = days_to_feed(state, counts(*days), due_before=due_before, policy=POLICY)
    assert [(one - FIRST).days for one in found.days] == expected
    assert [(one - FIRST).days for one in sorted(found.left_out)] == left_out
    assert found.anew == ""


@pytest.mark.parametrize(
    ("state", "days", "reason"),
    [
        pytest.param(fed(8, 10), (10, 10, 10, 0), "counted with 8", id="labels came later"),
        pytest.param(
            BEGINNING.model_copy(update={"fed": (FedDay(day=day(1), labelled=10, error=0.1),)}),
            (10, 10, 0),
            "and had none",
            id="answers came later",
        ),
    ],
)
def test_what_comes_after_a_day_was_fed_is_counted_anew(
    state: ErrorChanges, days: Sequence[int], reason: str
) -> None:
    """From the first day on."""
    found = days_to_feed(state, counts(*days), due_before=LATER, policy=POLICY)
    assert reason in found.anew
    assert found.days[0] == FIRST


def test_a_few_labels_more_are_let_be() -> None:
    """Five in a hundred move no mean."""
    few = days_to_feed(fed(100), counts(105, 90, answers=110), due_before=LATER, policy=POLICY)
    many = days_to_feed(fed(100), counts(106, 90, answers=110), due_before=LATER, policy=POLICY)
    assert (few.anew, bool(many.anew)) == ("", True)


@pytest.mark.parametrize("unit", ["day", "row"])
def test_errors_that_grow_are_dated_and_errors_that_shrink_are_not_worse(unit: str) -> None:
    """By the day of the value that showed it; the state is the same after a round trip."""
    policy = ChangePolicy.model_validate({"unit": unit})
    state = BEGINNING
    for number in range(150):
        error = 0.05 if number < 30 else 0.3 if number < 90 else 0.01
        state = fed_with(state, day(number), labelled=4, errors=np.full(4, error), policy=policy)
        state = changes_from_json(state.to_json())
    assert state.n == (150 if unit == "day" else 600)
    for detector in ("page_hinkley", "adwin"):
        (worse,) = (one for one in state.changes if one.detector == detector and one.is_worse)
        assert day(30) <= worse.day < day(90)
        assert worse.before < worse.after <= 0.3 + 1e-9
    assert any(not one.is_worse for one in state.changes)


@pytest.mark.parametrize("errors", [None, np.array([])])
def test_a_day_that_is_left_out_is_no_value(errors: np.ndarray | None) -> None:
    """It is remembered, so that its labels are noticed when they come."""
    state = fed_with(BEGINNING, FIRST, labelled=3, errors=errors, policy=POLICY)
    assert state.n == 0
    assert state.fed == (FedDay(day=FIRST, labelled=3, error=None),)


def test_days_that_are_no_longer_kept_are_forgotten() -> None:
    """Not what they have shown of the mean."""
    state = kept_since(fed(1, 2, 3), {one.day: one for one in counts(1, 2, 3)[1:]})
    assert [one.labelled for one in state.fed] == [2, 3]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"model_digest": 1}'])
def test_what_is_no_state_is_refused(content: bytes) -> None:
    """It is not taken for a beginning."""
    with pytest.raises(IntegrityError, match="error changes"):
        changes_from_json(content)
