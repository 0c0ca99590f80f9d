"""Moments in their order, and how long lies between them."""

from __future__ import annotations

import pytest

from ml_release.domain.incident_timeline import Times, in_words, spans, timeline
from ml_release_tests.incidents import incident

TIMES = incident().times


def test_moments_stand_in_the_order_of_time() -> None:
    """Those of one second in the order in which they follow from one another."""
    found = timeline(TIMES, judge="watch/1")
    assert [one.what.split(" by ")[0] for one in found] == [
        "declared for the first time",
        "first request of the bad version",
        "first failed, missing or replaced answer",
        "decided to take it back",
        "taken back",
        "last request served",
        "first request on the restored state",
        "verified",
    ]
    assert found[3].source == "watch/1"


def test_what_is_not_known_stands_last_without_a_time() -> None:
    """Nothing is left out."""
    found = timeline(Times(declared=TIMES.declared, committed=TIMES.committed), judge="")
    assert len(found) == 8
    assert [one.at is None for one in found] == [False] * 2 + [True] * 6


def test_spans_are_counted_in_seconds() -> None:
    """The commit keeps whole seconds, so that it may seem to be before its decision."""
    found = {one.what.split(":")[0]: one.seconds for one in spans(TIMES)}
    assert found == {
        "exposure": pytest.approx(4549.4),
        "first sign to decision": pytest.approx(900.7),
        "decision to commit": 0.0,
        "commit to first request on the restored state": 2.0,
        "first sign to first request on the restored state": 902.0,
    }


def test_a_span_without_an_end_is_not_known() -> None:
    """Not 0."""
    found = spans(Times(declared=TIMES.declared, committed=TIMES.committed))
    assert {one.seconds for one in found} == {None}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0 s"), (59.5, "59.5 s"), (60, "1 min"), (86_400, "1 d")]
)
def test_durations_are_told_as_people_do(seconds: float, words: str) -> None:
    """Two units at most."""
    assert in_words(seconds) == words
