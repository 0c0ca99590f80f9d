"""What every adapter of `AnswerStore` has to do."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.adapters.counted_log.answers import SqliteAnswers
from ml_release.adapters.in_memory import InMemoryAnswers
from ml_release.domain.answers import (
    Answer,
    AnswerProgress,
    AnswerTable,
    DayCount,
    NewLabels,
)
from ml_release.errors import (
    DeclarationError,
    IntegrityError,
    StaleWriteError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ml_release.ports import AnswerStore

DAY = date(2013, 10, 1)
DIGEST = "sha256:" + "1" * 64
FIRST = AnswerProgress(log={"a": 10}, labels={"2013-10": DIGEST})
ONE = Answer(
    request_id="one",
    model_digest=DIGEST,
    day=DAY,
    event_us=5,
    received_us=100,
    prediction=0.25,
    decision=1,
    slices={"carrier": "UA", "ä": None, "n": 2.5},
)
TWO = replace(ONE, request_id="two", event_us=4, decision=None, slices={})


@pytest.fixture(params=["in_memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> AnswerStore:
    if request.param == "in_memory":
        return InMemoryAnswers()
    return SqliteAnswers(tmp_path / "monitoring" / "answers.db")


def labels_of(**labels: tuple[int, int]) -> NewLabels:
    return NewLabels(
        request_id=np.array(list(labels), dtype=np.object_),
        label=np.array([one for one, _ in labels.values()], dtype=np.int64),
        received_us=np.array([at for _, at in labels.values()], dtype=np.int64),
    )


def add(
    store: AnswerStore,
    *answers: Answer,
    labels: NewLabels | None = None,
    progress: AnswerProgress = FIRST,
    keep_from: date = date.min,
    received_from_us: int = 0,
    environment: str = "production",
) -> None:
    store.add(
        "line",
        environment,
        answers=AnswerTable.of(answers),
        labels=NewLabels.none() if labels is None else labels,
        progress=progress,
        expected=store.progress("line", environment),
        keep_from=keep_from,
        received_from_us=received_from_us,
    )


def kept(
    store: AnswerStore, *, since: date = date.min, until: date = date.max, digest: str = DIGEST
) -> Sequence[Answer]:
    return store.between(
        "line", "production", model_digest=digest, since=since, until=until
    ).answers()


def test_nothing_is_kept_at_first(store: AnswerStore) -> None:
    """And it was read nowhere."""
    assert store.progress("line", "production") == AnswerProgress()
    assert kept(store) == ()
    assert store.days("line", "production", model_digest=DIGEST) == ()
    assert store.waiting("line", "production") == frozenset()


def test_answers_are_read_back_in_the_order_of_their_events(store: AnswerStore) -> None:
    """Every field as it was, and how far they were read."""
    labelled = replace(ONE, request_id="three", event_us=6, label=0, label_received_us=9)
    add(store, ONE, labelled, TWO)
    assert kept(store) == (TWO, ONE, labelled)
    assert store.progress("line", "production") == FIRST
    assert store.waiting("line", "production") == {"one", "two"}


def test_an_answer_of_several_classes_has_no_prediction(store: AnswerStore) -> None:
    """It is NaN, not 0."""
    add(store, replace(ONE, prediction=float("nan")))
    assert np.isnan(kept(store)[0].prediction)


def test_the_first_answer_and_the_first_label_stand(store: AnswerStore) -> None:
    """The same again changes nothing, whichever comes twice."""
    add(store, ONE, labels=labels_of(one=(1, 7)))
    add(store, replace(ONE, prediction=0.5), TWO, labels=labels_of(one=(0, 8), other=(1, 8)))
    assert kept(store) == (TWO, replace(ONE, label=1, label_received_us=7))
    assert store.days("line", "production", model_digest=DIGEST) == (
        DayCount(day=DAY, answers=2, labelled=1),
    )


def test_lines_environments_models_and_days_are_apart(store: AnswerStore) -> None:
    """A window is from its first day on and before its last."""
    other = replace(ONE, request_id="other", model_digest="sha256:" + "2" * 64)
    later = replace(ONE, request_id="later", day=DAY + timedelta(days=1), event_us=9)
    add(store, ONE, other, later)
    add(store, TWO, environment="staging")
    assert kept(store) == (ONE, later)
    assert kept(store, digest=other.model_digest) == (other,)
    assert kept(store, until=later.day) == (ONE,)
    assert kept(store, since=later.day) == (later,)
    assert store.waiting("line", "staging") == {"two"}
    assert [one.day for one in store.days("line", "production", model_digest=DIGEST)] == [
        DAY,
        later.day,
    ]


def test_who_comes_second_keeps_nothing(store: AnswerStore) -> None:
    """Two ticks at once count nothing twice."""
    add(store, ONE)
    with pytest.raises(StaleWriteError, match="somebody else"):
        store.add(
            "line",
            "production",
            answers=AnswerTable.of([TWO]),
            labels=NewLabels.none(),
            progress=AnswerProgress(log={"a": 20}),
            expected=AnswerProgress(),
            keep_from=date.min,
        )
    assert kept(store) == (ONE,)
    assert store.progress("line", "production") == FIRST


def test_what_is_older_than_is_kept_is_forgotten(store: AnswerStore) -> None:
    """Also where it comes in late."""
    later = replace(ONE, request_id="later", day=DAY + timedelta(days=1), event_us=9)
    add(store, ONE)
    add(store, later, TWO, keep_from=later.day)
    assert kept(store) == (later,)
    assert [one.day for one in store.days("line", "production", model_digest=DIGEST)] == [later.day]
    assert store.waiting("line", "production") == {"later"}


def test_what_came_in_too_long_ago_is_forgotten(store: AnswerStore) -> None:
    """Whatever the day of its event; its day counts no longer what is gone."""
    add(store, ONE, replace(TWO, received_us=200))
    add(store, received_from_us=200)
    assert [one.request_id for one in kept(store)] == ["two"]
    assert store.days("line", "production", model_digest=DIGEST) == (
        DayCount(day=DAY, answers=1, labelled=0),
    )
    add(store, received_from_us=201)
    assert store.days("line", "production", model_digest=DIGEST) == ()


def test_a_cleared_line_is_counted_anew(store: AnswerStore) -> None:
    """Others stay."""
    add(store, ONE)
    add(store, ONE, environment="staging")
    store.clear("line", "production")
    assert kept(store) == ()
    assert store.progress("line", "production") == AnswerProgress()
    assert store.progress("line", "staging") == FIRST


def test_a_line_is_a_plain_name(store: AnswerStore) -> None:
    """As everywhere."""
    with pytest.raises(DeclarationError):
        store.progress("../line", "production")


def test_a_process_that_ends_in_the_middle_has_kept_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers, labels and progress change together."""
    store = SqliteAnswers(tmp_path / "answers.db")
    add(store, ONE)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ml_release.adapters.counted_log.answers._label", killed)
        with pytest.raises(KeyboardInterrupt):
            add(store, TWO, progress=AnswerProgress(log={"a": 20}))
    again = SqliteAnswers(tmp_path / "answers.db")
    assert kept(again) == (ONE,)
    assert again.progress("line", "production") == FIRST


@pytest.mark.parametrize("content", [b"no database, whatever its length is. " * 40, b"short"])
def test_a_file_that_is_none_is_refused_and_put_aside(tmp_path: Path, content: bytes) -> None:
    """It is told, and kept for whoever asks; then the log is read from its beginning."""
    path = tmp_path / "answers.db"
    path.write_bytes(content)
    store = SqliteAnswers(path)
    with pytest.raises(IntegrityError, match="counted anew"):
        store.progress("line", "production")
    store.clear("line", "production")
    assert store.progress("line", "production") == AnswerProgress()
    assert (tmp_path / "unreadable-answers.db").read_bytes() == content


def test_an_edited_progress_is_refused(tmp_path: Path) -> None:
    """It is not taken for a beginning."""
    store = SqliteAnswers(tmp_path / "answers.db")
    add(store, ONE)
    with sqlite3.connect(tmp_path / "answers.db") as database:
        database.execute("UPDATE progress SET document = '[]'")
    with pytest.raises(IntegrityError, match="how far"):
        store.progress("line", "production")
    store.clear("line", "production")
    assert store.progress("line", "production") == AnswerProgress()


def test_a_file_of_another_form_is_counted_anew(tmp_path: Path) -> None:
    """What an older version has kept is not believed."""
    store = SqliteAnswers(tmp_path / "answers.db")
    add(store, ONE)
    with sqlite3.connect(tmp_path / "answers.db") as database:
        database.execute("PRAGMA user_version = 999")
    assert store.progress("line", "production") == AnswerProgress()
    assert kept(store) == ()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """One clear error."""
    (tmp_path / "monitoring").write_text("a file", encoding="utf-8")
    with pytest.raises(UnavailableError, match="monitoring"):
        add(SqliteAnswers(tmp_path / "monitoring" / "answers.db"), ONE)
