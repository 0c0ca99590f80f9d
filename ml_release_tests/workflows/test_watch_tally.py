"""Counting a watched release: what counts for it, and that parts add up to the whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.adapters.inference_tables.frames import frame_of
from ml_release.domain.inference import InferenceRecord
from ml_release.domain.rollout_moves import promoted, settled, shadowed, shared
from ml_release.domain.watch_tally import (
    Control,
    WatchSubject,
    WatchTally,
    tally_from_json,
    watch_subject,
)
from ml_release.errors import InputError, IntegrityError
from ml_release.workflows.watch_tally import (
    WATCH_TALLY,
    advance_tally,
    recorded_tally,
    tally_of,
)
from ml_release_tests.domain.test_deployment import EVIDENCE, state, variant
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.watch_tally import WindowCounts
    from ml_release_tests.small_line import House

SINCE = datetime(2026, 11, 21, 9, tzinfo=UTC)
SUBJECT = WatchSubject(
    line=steps.LINE,
    release="r2",
    version=2,
    model_digest="sha256:2",
    since=SINCE,
    window_minutes=5,
    sampled_answers=8,
    control=Control(version=1, model_digest="sha256:1", since=SINCE - timedelta(hours=1)),
)


def record(name: str, minutes: float = 0.0, **changes: Any) -> InferenceRecord:
    """An answer of the watched version, so many minutes after the watch began."""
    at = (SINCE + timedelta(minutes=minutes)).isoformat()
    known: dict[str, Any] = {
        "request_id": name,
        "row": 0,
        "event_time": at,
        "received_time": at,
        "line": steps.LINE,
        "variant": "champion",
        "version": 2,
        "model_digest": "sha256:2",
        "route_commit": "c2",
        "bucket": None,
        "features": {},
        "history_digest": None,
        "prediction": 0.25,
        "latency_ms": 2.0,
        "outcome": "ok",
        "error": None,
        "shadow": False,
    }
    return InferenceRecord(**{**known, **changes})


CONTROL: dict[str, Any] = {"version": 1, "model_digest": "sha256:1"}
FAILED: dict[str, Any] = {"outcome": "error", "error": "no", "prediction": None}


def tally(
    records: Sequence[InferenceRecord], subject: WatchSubject = SUBJECT, *, read: int = 0
) -> WatchTally:
    return tally_of(frame_of(records, InferenceRecord), subject, cursor={"segment": read})


def only_window(found: WatchTally) -> WindowCounts:
    (window,) = found.windows
    return window


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        pytest.param({}, (1, 0, 1, 0, 1), id="answered"),
        pytest.param({"row": 1}, (0, 0, 1, 0, 0), id="second row of a batch"),
        pytest.param(FAILED, (1, 1, 0, 0, 0), id="failed"),
        pytest.param({"prediction": None}, (1, 0, 1, 1, 0), id="answered with nothing"),
        pytest.param(
            {"prediction": None, "probabilities": (0.2, 0.8)}, (1, 0, 1, 0, 0), id="several classes"
        ),
        pytest.param(
            {**CONTROL, "outcome": "fallback", "assigned_version": 2},
            (1, 1, 0, 0, 0),
            id="replaced",
        ),
        pytest.param(
            {"outcome": "fallback", "assigned_version": 3},
            (1, 0, 1, 0, 1),
            id="answered for another",
        ),
        pytest.param({"variant": "pinned"}, (1, 0, 1, 0, 1), id="asked for by its version"),
    ],
)
def test_what_a_record_counts_for(one: dict[str, Any], counts: tuple[int, ...]) -> None:
    """Requests by their first row, errors whoever answered instead, rows, missing, waiting."""
    found = tally([record("a", 3.0, **one)])
    window = only_window(found)
    assert window.index == 0
    counted = (window.requests, window.errors, window.rows, window.missing, len(found.answers))
    assert counted == counts


@pytest.mark.parametrize(
    "one",
    [
        pytest.param({"shadow": True}, id="asked in secret"),
        pytest.param(CONTROL, id="of another version"),
        pytest.param(
            {"variant": "kill_switch", "version": 0, "model_digest": "none"}, id="no model"
        ),
        pytest.param({"minutes": -0.01}, id="before the watch"),
    ],
)
def test_what_counts_for_nothing(one: dict[str, Any]) -> None:
    """Neither answers of others nor its own of before."""
    found = tally([record("a", **one)])
    assert (found.windows, found.answers) == ((), ())


def test_a_request_counts_in_the_window_it_came_in() -> None:
    """The end of a window is the beginning of the next; failed ones have no latency."""
    found = tally(
        [record("a", 4.99), record("b", 5.0, latency_ms=80.0), record("c", 6.0, **FAILED)]
    )
    first, second = found.watch_windows()
    assert (first.start, first.requests) == (SINCE, 1)
    assert (second.start, second.requests, second.errors) == (SINCE + timedelta(minutes=5), 2, 1)
    assert second.latency.n == 1
    assert 80.0 <= (second.p99_ms or 0) <= 84.0


def test_the_control_counts_while_there_was_a_canary() -> None:
    """Not pinned requests, not those it answered for the canary, and not what came later."""
    found = tally(
        [
            record("a", -59, **CONTROL),
            record("b", -30, **CONTROL, **FAILED),
            record("c", -61, **CONTROL),
            record("d", 1, **CONTROL),
            record("e", -5, **CONTROL, variant="pinned"),
            record("f", -5, **CONTROL, outcome="fallback", assigned_version=2),
            record("g", -5),
        ]
    )
    assert (found.control_requests, found.control_errors) == (2, 1)
    no_canary = SUBJECT.model_copy(update={"control": None})
    assert tally([record("a", -59, **CONTROL)], no_canary).control_requests == 0


ONE = st.fixed_dictionaries(
    {
        "minutes": st.floats(-70, 40),
        "row": st.integers(0, 1),
        "latency_ms": st.floats(0.1, 900),
        "prediction": st.none() | st.floats(0, 1),
        "outcome": st.sampled_from(["ok", "error", "fallback"]),
        "shadow": st.booleans(),
        "assigned_version": st.sampled_from([None, 1, 2]),
        "is_control": st.booleans(),
    }
)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(ONE, st.integers(0, 2)), max_size=25))
def test_parts_in_any_order_are_counted_as_the_whole(
    told: list[tuple[dict[str, Any], int]],
) -> None:
    """Counts, latencies, and which answers are in the sample."""
    parts: dict[int, list[InferenceRecord]] = {part: [] for part in range(3)}
    for number, (one, part) in enumerate(told):
        known = dict(one)
        who = CONTROL if known.pop("is_control") else {}
        parts[part].append(record(f"r{number}", known.pop("minutes"), **known, **who))
    at_once = tally([found for part in parts.values() for found in part], read=9)
    counted = [tally(part, read=9) for part in parts.values()]
    for order in (counted, counted[::-1]):
        assert sum(order, start=WatchTally(subject=SUBJECT)) == at_once
    assert tally_from_json(at_once.to_json()) == at_once


def test_the_sample_is_drawn_by_chance_and_keeps_the_first_answer_of_a_request() -> None:
    """Of a hundred answers eight, neither the first nor the last ones, and each request once."""
    found = tally([record(f"r{n}", n / 100) for n in range(100)])
    ids = [answer.request_id for answer in found.answers]
    assert len(set(ids)) == len(ids) == 8
    assert set(ids) not in ({f"r{n}" for n in range(8)}, {f"r{n}" for n in range(92, 100)})
    again = found + tally([record(ids[0], 30.0, prediction=0.9)])
    assert again.answers == found.answers


def test_tallies_of_different_watches_do_not_add() -> None:
    """Another length of the windows is another watch."""
    other = SUBJECT.model_copy(update={"window_minutes": 10})
    with pytest.raises(InputError, match="begin anew"):
        WatchTally(subject=SUBJECT) + WatchTally(subject=other)


def test_what_is_no_tally_is_not_read() -> None:
    """It is named as such."""
    with pytest.raises(IntegrityError, match="watch tally"):
        tally_from_json(b"{}")


def test_only_new_records_are_read_and_the_end_is_that_of_reading_all(house: House) -> None:
    """Tick by tick, also where the first tick found nothing."""
    subject = SUBJECT
    log, evidence = house.inference_log, house.evidence
    seen = []
    for part in range(4):
        before = recorded_tally(subject, evidence=evidence)
        tick = advance_tally(before, inference_log=log, evidence=evidence)
        seen.append(sum(window.requests for window in tick.windows))
        write(house, [record(f"{part}-{n}", 2.0 * part, latency_ms=n + 1.0) for n in range(5)])
    assert seen == [0, 5, 10, 15]
    last = recorded_tally(subject, evidence=evidence)
    last = advance_tally(last, inference_log=log, evidence=evidence)
    assert recorded_tally(subject, evidence=evidence) == last
    steps.forget(house, WATCH_TALLY, subject.release)
    empty = recorded_tally(subject, evidence=evidence)
    assert empty == WatchTally(subject=subject)
    assert advance_tally(empty, inference_log=log, evidence=evidence) == last


@pytest.mark.parametrize("change", ["edited", "counted otherwise"])
def test_a_tally_that_does_not_fit_is_counted_anew(house: House, change: str) -> None:
    """The log is what is true."""
    write(house, [record(f"r{n}", 1.0) for n in range(3)])
    log, evidence = house.inference_log, house.evidence
    first = advance_tally(WatchTally(subject=SUBJECT), inference_log=log, evidence=evidence)
    subject = SUBJECT
    if change == "edited":
        evidence.record(steps.LINE, WATCH_TALLY, "r2", b"not a tally")
    else:
        subject = SUBJECT.model_copy(update={"sampled_answers": 2})
    again = recorded_tally(subject, evidence=evidence)
    assert again == WatchTally(subject=subject)
    found = advance_tally(again, inference_log=log, evidence=evidence)
    assert found.windows == first.windows


def test_the_subject_is_what_is_under_watch_with_the_control_of_its_canary() -> None:
    """Over every step of it; none for a version that was no canary, or is not under watch."""
    moves: dict[str, Any] = {"evidence": EVIDENCE, "release": "r"}
    first = state(variant(1))
    in_secret = shadowed(first, version=variant(2), sample_percent=5.0, now=SINCE, **moves)
    at = [SINCE + timedelta(hours=hour) for hour in range(4)]
    small = shared(in_secret, version=variant(2), step=0, weight_percent=5.0, now=at[1], **moves)
    large = shared(small, version=variant(2), step=1, weight_percent=50.0, now=at[2], **moves)
    where: dict[str, Any] = {"line": "flight_delay", "environment": "production", **moves}
    watched = promoted(large, version=variant(2), watched_from=at[3], **where)
    history = [first, in_secret, small, large, watched]
    counted = {"window_minutes": 5, "sampled_answers": 8}
    found = watch_subject(history, **counted)
    assert found is not None
    assert (found.version, found.model_digest) == (2, variant(2).model_digest)
    assert (found.since, found.release) == (at[3], "r")
    assert found.control == Control(version=1, model_digest=variant(1).model_digest, since=at[1])
    at_once = promoted(first, version=variant(2), watched_from=at[3], **where)
    alone = watch_subject([small, first, at_once], **counted)
    assert alone is not None
    assert alone.control is None
    for others in ([], [first], history[:-1], [*history, settled(watched)]):
        assert watch_subject(others, **counted) is None
