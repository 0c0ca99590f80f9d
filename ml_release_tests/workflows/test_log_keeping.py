"""Archive, then delete what the line does not keep any longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ml_release.domain.retention import RetentionPolicy
from ml_release.errors import DeclarationError
from ml_release.workflows.log_keeping import keep_log
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    from ml_release_tests.small_line import House


def keeping(house: House, days: int) -> None:
    """Let the line keep its records for so many days."""
    policies = house.line.policies.model_copy(
        update={"retention": RetentionPolicy(records_days=days)}
    )
    house.line = house.line.model_copy(update={"policies": policies})


def test_a_line_keeps_everything_unless_it_says_otherwise(house: House) -> None:
    """The segments are archived, and nothing is deleted; again does nothing."""
    write(house, [a_record(house, "a", "2013-04-02T12:00:00+00:00")])
    now = house.clock.now() + timedelta(days=5000)
    kept = keep_log(house.line, archive=house.inference_archive, now=now)
    assert (kept.archived.rows, kept.deleted.records, kept.kept_from) == (1, 0, None)
    assert keep_log(house.line, archive=house.inference_archive, now=now).archived.segments == 0
    assert len(house.inference_log.records(steps.LINE, after={})[0]) == 1


def test_what_came_in_too_long_ago_is_deleted(house: House) -> None:
    """By the time it came in: events of an old year that are replayed today stay."""
    times = {"old": "2026-07-01T09:00:00+00:00", "new": "2026-11-20T09:00:00+00:00"}
    write(
        house,
        [
            a_record(house, name, "2013-04-02T12:00:00+00:00", received_time=moment)
            for name, moment in times.items()
        ],
    )
    keeping(house, 100)
    moment = datetime(2026, 11, 21, 9, tzinfo=UTC)
    kept = keep_log(house.line, archive=house.inference_archive, now=moment)
    assert kept.kept_from == moment - timedelta(days=100)
    assert (kept.deleted.records, kept.deleted.rewritten) == (1, 1)
    frame, _ = house.inference_log.records(steps.LINE, after={})
    assert frame["request_id"].tolist() == ["new"]


def test_records_that_are_still_needed_are_not_deleted(house: House) -> None:
    """A line whose retention is shorter than its label delay and window is refused."""
    write(house, [a_record(house, "a", "2013-04-02T12:00:00+00:00")])
    keeping(house, 2)
    with pytest.raises(DeclarationError, match=r"retention\.records_days: expected at least"):
        keep_log(house.line, archive=house.inference_archive, now=house.clock.now())
    assert house.inference_archive.finished(steps.LINE) == 1
