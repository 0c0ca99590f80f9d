"""Which days a span names, and which days a record shows a model never to have seen."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.day_spans import DaySpan, held_by_any, unseen_days
from ml_release.domain.provenance import KeptOut
from ml_release_tests.domain.test_provenance import CANDIDATE

DAYS = st.dates(date(2013, 1, 1), date(2013, 12, 31))


def kept(first: str, last: str) -> KeptOut:
    return KeptOut(first_day=date.fromisoformat(first), last_day=date.fromisoformat(last), rows=1)


def test_a_span_is_declared_by_from_and_to() -> None:
    """As in YAML; both ends are included."""
    span = DaySpan.model_validate_json('{"from": "2013-02-08", "to": "2013-02-08"}', strict=True)
    assert span == DaySpan(first_day=date(2013, 2, 8), last_day=date(2013, 2, 8))
    assert span.holds(np.array(["2013-02-08"], dtype="datetime64[D]")).tolist() == [True]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ('{"from": "2013-02-08", "to": "2013-02-07"}', "expected 2013-02-08 or later"),
        ('{"from": "2013-02-30", "to": "2013-03-07"}', "from"),
        ('{"from": "2013-02-08"}', "to"),
        ('{"from": "2013-02-08", "to": "2013-02-09", "until": 1}', "until"),
    ],
)
def test_a_span_that_is_none_cannot_be_declared(document: str, problem: str) -> None:
    """Turned round, no day, without an end, with a word nobody knows."""
    with pytest.raises(ValidationError, match=problem):
        DaySpan.model_validate_json(document, strict=True)


@given(DAYS, DAYS, st.integers(0, 30), st.integers(0, 30))
def test_days_belong_to_spans_as_they_belong_to_their_days(
    one: date, other: date, first: int, second: int
) -> None:
    """Held by any is the union, day by day."""
    spans = [
        DaySpan(first_day=one, last_day=one + timedelta(days=first)),
        DaySpan(first_day=other, last_day=other + timedelta(days=second)),
    ]
    days = np.arange("2012-12-15", "2014-02-15", dtype="datetime64[D]")
    expected = [
        any(span.first_day <= day <= span.last_day for span in spans) for day in days.astype(object)
    ]
    assert held_by_any(spans, days).tolist() == expected
    assert not held_by_any((), days).any()


@pytest.mark.parametrize(
    ("day", "unseen"),
    [
        pytest.param("2013-08-31", True, id="before the window"),
        pytest.param("2013-09-01", False, id="first day of the window"),
        pytest.param("2013-09-09", False, id="before the span"),
        pytest.param("2013-09-10", True, id="first day of the span"),
        pytest.param("2013-09-12", True, id="last day of the span"),
        pytest.param("2013-09-13", False, id="after the span"),
        pytest.param("2013-10-17", False, id="last day that is fitted on"),
        pytest.param("2013-10-18", True, id="first day of the holdout"),
        pytest.param("2013-12-01", True, id="after the window"),
    ],
)
def test_a_record_shows_which_days_were_not_fitted_on(day: str, unseen: bool) -> None:
    """Outside of the training part, or kept out of it."""
    record = CANDIDATE.model_copy(update={"kept_out": {"storm": kept("2013-09-10", "2013-09-12")}})
    assert unseen_days(record, np.array([day], dtype="datetime64[D]")).tolist() == [unseen]


def test_a_record_that_says_nothing_of_a_span_does_not_show_it() -> None:
    """As those of before it was declared."""
    days = np.array(["2013-09-10"], dtype="datetime64[D]")
    assert not unseen_days(CANDIDATE, days).any()
