"""`AnswerStore` in one SQLite file, by the standard library.

Answers, labels and how far they were read change in one transaction, so a process that is killed
loses nothing and counts nothing twice. The counts per day are kept beside the answers: asking which
days have changed does not read them.
"""

from __future__ import annotations

import contextlib
from datetime import date
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.adapters.counted_log.sqlite_file import SqliteFile
from ml_release.domain.answers import (
    NOT_KNOWN_US,
    AnswerProgress,
    AnswerTable,
    DayCount,
    progress_from_json,
)
from ml_release.domain.identity import check_line_name
from ml_release.errors import IntegrityError, StaleWriteError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from ml_release.domain.answers import NewLabels

FORM = 1
"""Number of the form below; a file of another one is counted anew."""

_TABLES = """
CREATE TABLE answers (
  line TEXT NOT NULL, environment TEXT NOT NULL, request_id TEXT NOT NULL,
  model_digest TEXT NOT NULL, day INTEGER NOT NULL, event_us INTEGER NOT NULL,
  received_us INTEGER NOT NULL, prediction REAL, decision INTEGER, slices TEXT NOT NULL,
  label INTEGER, label_received_us INTEGER,
  PRIMARY KEY (line, environment, request_id)
) WITHOUT ROWID;
CREATE INDEX by_day ON answers (line, environment, model_digest, day, label);
CREATE INDEX by_age ON answers (line, environment, day);
CREATE INDEX by_arrival ON answers (line, environment, received_us);
CREATE INDEX waiting ON answers (line, environment, request_id) WHERE label IS NULL;
CREATE TABLE day_counts (
  line TEXT NOT NULL, environment TEXT NOT NULL, model_digest TEXT NOT NULL, day INTEGER NOT NULL,
  answers INTEGER NOT NULL, labelled INTEGER NOT NULL,
  PRIMARY KEY (line, environment, model_digest, day)
) WITHOUT ROWID;
CREATE TABLE progress (
  line TEXT NOT NULL, environment TEXT NOT NULL, document TEXT NOT NULL,
  PRIMARY KEY (line, environment)
) WITHOUT ROWID;
"""


class SqliteAnswers:
    """`AnswerStore` in the file ``path``; nothing is made until something is kept."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(
            path, subject="answers", tables=_TABLES, version=FORM, starts_over=True
        )

    def progress(self, line: str, environment: str) -> AnswerProgress:
        """How far the log and the labels table were read; at first nowhere."""
        check_line_name(line)
        with self._reading() as database:
            return AnswerProgress() if database is None else _progress(database, line, environment)

    def add(
        self,
        line: str,
        environment: str,
        *,
        answers: AnswerTable,
        labels: NewLabels,
        progress: AnswerProgress,
        expected: AnswerProgress,
        keep_from: date,
        received_from_us: int = 0,
    ) -> None:
        """Keep answers, then labels, and forget what is too old; all or nothing.

        Raises
        ------
        StaleWriteError
            If ``expected`` is not how far it was read.
        """
        scope = (check_line_name(line), environment)
        with self._file.open() as database:
            # Whoever writes waits here, so that no second one reads the same progress.
            database.execute("BEGIN IMMEDIATE")
            if _progress(database, *scope) != expected:
                message = (
                    f"answers of {line} in {environment}: somebody else has counted them since they"
                    " were read; nothing was kept. Look again."
                )
                raise StaleWriteError(message)
            _insert(database, scope, answers)
            _label(database, scope, labels)
            _forget(database, scope, keep_from.toordinal(), received_from_us)
            database.execute(
                "INSERT OR REPLACE INTO progress VALUES (?, ?, ?)",
                (*scope, progress.to_json().decode()),
            )
            database.execute("COMMIT")

    def waiting(self, line: str, environment: str) -> frozenset[str]:
        """Request ids of the answers that have no label."""
        with self._reading() as database:
            if database is None:
                return frozenset()
            found = database.execute(
                "SELECT request_id FROM answers"
                " WHERE line = ? AND environment = ? AND label IS NULL",
                (line, environment),
            )
            return frozenset(name for (name,) in found)

    def days(self, line: str, environment: str, *, model_digest: str) -> tuple[DayCount, ...]:
        """Days with answers of one model, in order."""
        with self._reading() as database:
            if database is None:
                return ()
            found = database.execute(
                "SELECT day, answers, labelled FROM day_counts"
                " WHERE line = ? AND environment = ? AND model_digest = ? ORDER BY day",
                (line, environment, model_digest),
            )
            return tuple(
                DayCount(day=date.fromordinal(day), answers=answers, labelled=labelled)
                for day, answers, labelled in found
            )

    def between(
        self, line: str, environment: str, *, model_digest: str, since: date, until: date
    ) -> AnswerTable:
        """Answers of one model with an event day from ``since`` on and before ``until``."""
        with self._reading() as database:
            rows = (
                []
                if database is None
                else database.execute(
                    "SELECT request_id, day, event_us, prediction, decision, slices, label,"
                    " label_received_us, received_us FROM answers WHERE line = ?"
                    " AND environment = ? AND model_digest = ? AND day >= ? AND day < ?"
                    " ORDER BY event_us, request_id",
                    (line, environment, model_digest, since.toordinal(), until.toordinal()),
                ).fetchall()
            )
        columns: list[Any] = list(zip(*rows, strict=True)) or [()] * 9
        return AnswerTable(
            request_id=np.array(columns[0], dtype=np.object_),
            model_digest=np.full(len(rows), model_digest, dtype=np.object_),
            day=np.array(columns[1], dtype=np.int64),
            event_us=np.array(columns[2], dtype=np.int64),
            received_us=np.array(columns[8], dtype=np.int64),
            prediction=np.array(columns[3], dtype=np.float64),
            decision=np.array(columns[4], dtype=np.float64),
            slices=np.array(columns[5], dtype=np.object_),
            label=np.array(columns[6], dtype=np.float64),
            label_received_us=np.array(
                [NOT_KNOWN_US if one is None else one for one in columns[7]], dtype=np.int64
            ),
        )

    def clear(self, line: str, environment: str) -> None:
        """Forget a line; a file that cannot be read is put aside with all its lines."""
        scope = (check_line_name(line), environment)
        try:
            with self._file.open() as database:
                database.execute("BEGIN IMMEDIATE")
                for table in ("answers", "day_counts", "progress"):
                    database.execute(
                        f"DELETE FROM {table} WHERE line = ? AND environment = ?",  # noqa: S608 (a name of three)
                        scope,
                    )
                database.execute("COMMIT")
        except IntegrityError:
            for path in self._file.beside():
                with contextlib.suppress(FileNotFoundError):
                    path.replace(path.with_name(f"unreadable-{path.name}"))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The file, None if there is none yet: looking makes nothing."""
        if not self._file.path.exists():
            yield None
            return
        with self._file.open() as database:
            yield database


def _progress(database: sqlite3.Connection, line: str, environment: str) -> AnswerProgress:
    found = database.execute(
        "SELECT document FROM progress WHERE line = ? AND environment = ?", (line, environment)
    ).fetchone()
    return AnswerProgress() if found is None else progress_from_json(found[0])


def _insert(database: sqlite3.Connection, scope: tuple[str, str], answers: AnswerTable) -> None:
    if not len(answers):
        return
    columns: tuple[list[Any], ...] = (
        answers.request_id.tolist(),
        answers.model_digest.tolist(),
        answers.day.tolist(),
        answers.event_us.tolist(),
        answers.received_us.tolist(),
        # SQLite keeps NaN as NULL.
        answers.prediction.tolist(),
        [None if isnan(one) else int(one) for one in answers.decision.tolist()],
        answers.slices.tolist(),
        [None if isnan(one) else int(one) for one in answers.label.tolist()],
        [None if one == NOT_KNOWN_US else one for one in answers.label_received_us.tolist()],
    )
    database.executemany(
        "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((*scope, *row) for row in zip(*columns, strict=True)),
    )
    touched = set(zip(answers.model_digest.tolist(), answers.day.tolist(), strict=True))
    _count(database, scope, touched)


def _label(database: sqlite3.Connection, scope: tuple[str, str], labels: NewLabels) -> None:
    touched: set[tuple[str, int]] = set()
    for request_id, label, received_us in zip(
        labels.request_id.tolist(), labels.label.tolist(), labels.received_us.tolist(), strict=True
    ):
        found = database.execute(
            "UPDATE answers SET label = ?, label_received_us = ? WHERE line = ? AND environment = ?"
            " AND request_id = ? AND label IS NULL RETURNING model_digest, day",
            (label, received_us, *scope, request_id),
        ).fetchall()
        touched.update(found)
    _count(database, scope, touched)


def _forget(
    database: sqlite3.Connection, scope: tuple[str, str], first_day: int, received_from_us: int
) -> None:
    touched = set(
        database.execute(
            "SELECT DISTINCT model_digest, day FROM answers"
            " WHERE line = ? AND environment = ? AND received_us < ?",
            (*scope, received_from_us),
        )
    )
    database.execute(
        "DELETE FROM answers WHERE line = ? AND environment = ? AND received_us < ?",
        (*scope, received_from_us),
    )
    _count(database, scope, touched)
    for table in ("answers", "day_counts"):
        database.execute(
            f"DELETE FROM {table} WHERE line = ? AND environment = ? AND day < ?",  # noqa: S608 (a name of two)
            (*scope, first_day),
        )


def _count(
    database: sqlite3.Connection, scope: tuple[str, str], touched: set[tuple[str, int]]
) -> None:
    for digest, day in sorted(touched):
        one = (*scope, digest, day)
        database.execute(
            "DELETE FROM day_counts"
            " WHERE line = ? AND environment = ? AND model_digest = ? AND day = ?",
            one,
        )
        database.execute(
            "INSERT INTO day_counts SELECT line, environment, model_digest, day,"
            " COUNT(*), COUNT(label) FROM answers WHERE line = ? AND environment = ?"
            " AND model_digest = ? AND day = ? GROUP BY line, environment, model_digest, day",
            one,
        )
