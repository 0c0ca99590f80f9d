"""A file that several processes begin at once, and one of another version."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.counted_log.sqlite_file import SqliteFile
from ml_release.errors import IntegrityError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

TABLES = "CREATE TABLE kept (number INTEGER); CREATE TABLE other (number INTEGER);"
AT_ONCE = 8


def a_file(folder: Path, *, version: int = 1, starts_over: bool = False) -> SqliteFile:
    path = folder / "counted" / "file.db"
    return SqliteFile(
        path, subject="numbers", tables=TABLES, version=version, starts_over=starts_over
    )


def kept(file: SqliteFile) -> list[int]:
    with file.open() as database:
        return [number for (number,) in database.execute("SELECT number FROM kept ORDER BY number")]


@pytest.mark.parametrize("attempt", range(5))
def test_many_begin_at_once(tmp_path: Path, attempt: int) -> None:
    """Each finds the tables; one has made them. A version that was read before says nothing."""
    together = threading.Barrier(AT_ONCE)

    def begin(number: int) -> None:
        together.wait(timeout=30)
        with a_file(tmp_path).open() as database:
            database.execute("INSERT INTO kept VALUES (?)", (number,))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(begin, range(AT_ONCE)))
    assert kept(a_file(tmp_path)) == list(range(AT_ONCE))


def test_one_that_made_the_tables_in_between_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is read again before anything is made or refused."""
    with closing(sqlite3.connect(_made(tmp_path).path)) as database, database:
        database.execute("INSERT INTO kept VALUES (7)")
    answers = iter([0, 1])
    monkeypatch.setattr(
        "ml_release.adapters.counted_log.sqlite_file._version_of", lambda _: next(answers)
    )
    assert kept(a_file(tmp_path)) == [7]


@pytest.mark.parametrize("version", [0, 2])
def test_another_version_is_refused(tmp_path: Path, version: int) -> None:
    """Also one that never said its version; nothing of it is changed."""
    with closing(sqlite3.connect(_made(tmp_path).path)) as database, database:
        database.execute("INSERT INTO kept VALUES (7)")
        database.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(IntegrityError, match=f"expected version 1, found {version}"):
        kept(a_file(tmp_path))
    with closing(sqlite3.connect(a_file(tmp_path).path)) as database:
        assert database.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_another_version_without_tables_is_refused_too(tmp_path: Path) -> None:
    """Somebody else has begun it."""
    path = a_file(tmp_path).path
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(IntegrityError, match="expected version 1, found 2"):
        kept(a_file(tmp_path))


def test_another_version_is_begun_anew_where_that_is_wanted(tmp_path: Path) -> None:
    """With its tables, whatever they were."""
    with closing(sqlite3.connect(_made(tmp_path).path)) as database, database:
        database.execute("INSERT INTO kept VALUES (7)")
        database.execute("CREATE TABLE older (number INTEGER)")
    newer = a_file(tmp_path, version=2, starts_over=True)
    assert kept(newer) == []
    with newer.open() as database:
        found = database.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall()
    assert found == [("kept",), ("other",)]


def test_what_was_not_committed_is_undone(tmp_path: Path) -> None:
    """A process that ends in the middle has kept nothing."""
    with a_file(tmp_path).open() as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO kept VALUES (7)")
    assert kept(a_file(tmp_path)) == []


def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A folder where the file belongs."""
    a_file(tmp_path).path.mkdir(parents=True)
    with pytest.raises(UnavailableError, match=r"numbers in .*file\.db"):
        kept(a_file(tmp_path))


def _made(folder: Path) -> SqliteFile:
    file = a_file(folder)
    assert kept(file) == []
    return file
