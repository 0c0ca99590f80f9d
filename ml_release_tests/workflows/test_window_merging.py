"""The window and those before it, as sums of hours."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.reference_profile import SCORE
from ml_release.errors import IntegrityError
from ml_release.workflows.monitoring import observe_window
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_record, serve_month, write

if TYPE_CHECKING:
    from ml_release.domain.performance import WindowRecord
    from ml_release_tests.small_line import House

PRODUCTION = "production"


def observe(house: House, **changes: Any) -> WindowRecord:
    known: dict[str, Any] = {
        "environment": PRODUCTION,
        "inference_log": house.inference_log,
        "deployments": house.deployments,
        "models": house.models,
        "evidence": house.evidence,
        "profiles": house.profiles,
    }
    return observe_window(house.line, **{**known, **changes})


def test_the_windows_before_are_disjoint_and_hold_the_rest(serving: House) -> None:
    """Four weeks of April in four windows, each answer in one of them."""
    rows = serve_month(serving, "2013-04")
    window = observe(serving)
    assert [one.as_of for one in window.earlier] == [
        date(2013, 4, 23),
        date(2013, 4, 16),
        date(2013, 4, 9),
    ]
    days = rows["departure"].dt.date
    for one in window.earlier:
        inside = (days > date.fromordinal(one.as_of.toordinal() - 7)) & (days <= one.as_of)
        assert (one.rows, one.days) == (inside.sum(), 7)
        assert sum(one.counts["distance"]) == one.rows
        assert sum(one.score_counts) == one.rows
        assert one.numbers["distance"].n == rows.loc[inside, "features.distance"].notna().sum()
    in_windows = window.rows + sum(one.rows for one in window.earlier)
    assert in_windows == (days > date(2013, 4, 2)).sum()


def test_as_many_windows_are_told_as_asked_also_where_nothing_was_answered(
    serving: House,
) -> None:
    """An empty one has no counts that could be taken for evidence."""
    write(serving, [a_record(serving, "a", "2013-04-20T12:00:00+00:00")])
    window = observe(serving, days=1, earlier=2)
    assert [(one.as_of.day, one.rows, one.days) for one in window.earlier] == [
        (19, 0, 0),
        (18, 0, 0),
    ]
    assert window.earlier[0].counts == {}
    assert observe(serving, earlier=0).earlier == ()


def test_scores_and_numbers_are_those_of_the_answers(serving: House) -> None:
    """Beside the reference's own score bins; a value beyond the reference's range is outside."""
    rows = serve_month(serving, "2013-04", shift=5000.0)
    window = observe(serving)
    inside = rows[rows["departure"] >= "2013-04-24"]
    assert sum(window.score_counts) == window.rows == len(inside)
    assert window.numbers[SCORE].mean == pytest.approx(inside["prediction"].mean())
    distance = window.numbers["distance"]
    assert distance.mean == pytest.approx(inside["features.distance"].mean() + 5000)
    assert distance.outside == distance.n > 0
    assert window.numbers["minute"].outside < distance.n / 10
    assert "carrier" not in window.numbers


def test_when_the_window_came_in_and_what_came_late_is_told(serving: House) -> None:
    """By when the records came in, whatever their events."""
    write(
        serving,
        [
            a_record(
                serving, "a", "2013-04-20T12:00:00+00:00", received_time="2013-04-20T12:00:01Z"
            ),
            a_record(
                serving, "b", "2013-04-20T12:00:00+00:00", received_time="2013-04-22T12:00:00Z"
            ),
        ],
    )
    window = observe(serving)
    assert window.late == 1
    assert window.first_received == datetime(2013, 4, 20, 12, 0, 1, tzinfo=UTC)
    assert window.last_received == datetime(2013, 4, 22, 12, tzinfo=UTC)


def test_a_late_record_counts_in_its_own_old_window(serving: House) -> None:
    """The window of today does not move because of it."""
    write(serving, [a_record(serving, "a", "2013-04-20T12:00:00+00:00")])
    before = observe(serving)
    write(serving, [a_record(serving, "b", "2013-04-10T12:00:00+00:00")])
    after = observe(serving)
    assert (after.rows, after.counts, after.as_of) == (before.rows, before.counts, before.as_of)
    assert [one.rows for one in after.earlier] == [1, 0, 0]


class ReadsOnce:
    """An inference log that counts the bytes behind every read."""

    def __init__(self, house: House) -> None:
        self.log, self.rows = house.inference_log, 0

    def records(self, line: str, **what: Any) -> Any:
        frame, cursor = self.log.records(line, **what)
        self.rows += len(frame)
        return frame, cursor

    def labels(self, _line: str) -> Any:
        pytest.fail("the labels were read")


def test_a_tick_reads_what_is_new_and_nothing_else(serving: House) -> None:
    """However long the log is, and no labels."""
    serve_month(serving, "2013-04")
    observe(serving)
    log: Any = ReadsOnce(serving)
    assert observe(serving, inference_log=log).rows > 0
    assert log.rows == 0
    write(serving, [a_record(serving, "a", "2013-04-30T12:00:00+00:00")])
    observe(serving, inference_log=log)
    assert log.rows == 1


def test_hours_that_cannot_be_trusted_are_counted_again(serving: House) -> None:
    """The log is what is true."""
    serve_month(serving, "2013-04")
    before = observe(serving)

    class Edited:
        is_edited = True

        def __getattr__(self, name: str) -> Any:
            return getattr(serving.profiles, name)

        def between(self, *where: str, **what: Any) -> Any:
            if self.is_edited:
                message = "edited"
                raise IntegrityError(message)
            return serving.profiles.between(*where, **what)

        def clear(self, line: str, environment: str) -> None:
            self.is_edited = False
            serving.profiles.clear(line, environment)

    assert observe(serving, profiles=Edited()) == before
    assert serving.profiles.cursor(steps.LINE, PRODUCTION) != {}
