"""Telling people never fails what it tells of; what could not be sent is sent later."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.notices import rolled_back
from ml_release.errors import IntegrityError
from ml_release.workflows.notifying import NOTICES, Notified, notify
from ml_release_tests.small_line import House
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.notices import Notice

FIRST = rolled_back(steps.LINE, version=2, to=1, reason="r", key="c1")
SECOND = rolled_back(steps.LINE, version=3, to=1, reason="r", key="c2")


@pytest.fixture
def empty(tmp_path: Path) -> House:
    return House(tmp_path)


def told(house: House, *notices: Notice | None, **changes: Any) -> Notified:
    known = {"notifier": house.notifier, "evidence": house.evidence, "clock": house.clock}
    return notify(steps.LINE, notices, **{**known, **changes})


def test_the_same_news_is_told_once(empty: House) -> None:
    """Nothing to say is nothing said."""
    assert told(empty, FIRST, None).sent == (FIRST,)
    assert told(empty, FIRST) == Notified()
    empty.clock.move(timedelta(days=2))
    assert told(empty, FIRST).sent == (FIRST,)
    assert empty.notifier.sent == [FIRST, FIRST]


def test_what_failed_is_told_the_next_time_with_what_was_missed(empty: House) -> None:
    """Those who wait go first, and that nobody was told is told as well."""
    empty.notifier.problem = "down"
    found = told(empty, FIRST)
    assert (found.sent, found.problem) == ((), "down")
    assert [one.kind for one in found.failed] == ["rolled_back", "notifier_failed"]
    told(empty, SECOND)
    empty.notifier.problem = ""
    assert [one.key for one in told(empty).sent] == [
        FIRST.key,
        "notifier_failed:small_line:2026-11-21",
        SECOND.key,
    ]
    assert told(empty) == Notified()


class Breaks:
    """Everything about it breaks, with a secret in the text."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> None:
            message = f"{name} of s3cr3t"
            raise ZeroDivisionError(message)

        return fail


@pytest.mark.parametrize("part", ["notifier", "evidence", "clock"])
def test_whatever_breaks_raises_nothing(
    empty: House, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is returned and logged, without the text, which may hold an address."""
    found = told(empty, FIRST, **{part: Breaks()})
    assert FIRST in found.failed
    assert "ZeroDivisionError" in found.problem
    assert "ZeroDivisionError" in caplog.text
    assert "s3cr3t" not in caplog.text + found.problem


def test_an_edited_book_says_a_thing_twice_rather_than_never(
    empty: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said before is not known any more."""
    told(empty, FIRST)
    steps.edit(empty, NOTICES, "book", lambda book: book.update(sent=1))
    assert told(empty, FIRST).sent == (FIRST,)

    def find(*_: object) -> bytes:
        message = "was changed"
        raise IntegrityError(message)

    monkeypatch.setattr(empty.evidence, "find", find)
    assert told(empty, FIRST).sent == (FIRST,)
