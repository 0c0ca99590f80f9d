"""A SQLite file: opened, prepared by one of many that begin at once, its errors told apart.

What is in such a file can be counted again, so a file that is of another version, or is none, stops
nobody for long: it is refused in so many words, cleared by whoever counts, and made anew.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ml_release.errors import IntegrityError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE_S = 30.0


class SqliteFile:
    """The file ``path``, made with its ``tables`` when it is first opened.

    Parameters
    ----------
    subject
        What is kept in it, in the words of an error: "answers".
    tables
        ``CREATE`` statements, separated by semicolons.
    version
        Number of the form of the tables, kept in the file.
    starts_over
        Whether tables of another version are dropped when the file is opened. A file of another
        version is refused otherwise.
    """

    def __init__(
        self, path: Path, *, subject: str, tables: str, version: int, starts_over: bool = False
    ) -> None:
        self.path = path
        self._subject = subject
        self._tables = tables
        self._version = version
        self._starts_over = starts_over

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """A connection without implicit transactions; what was begun and not committed is undone.

        Raises
        ------
        IntegrityError
            If the file is no database, or one of another version.
        UnavailableError
            If it cannot be opened, or others write for longer than half a minute.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(
                sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None)
            ) as database:
                self._prepare(database)
                yield database
        except (sqlite3.OperationalError, OSError) as error:
            message = (
                f"{self._subject} in {self.path}: they cannot be reached ({error}). Try again."
            )
            raise UnavailableError(message) from error
        except sqlite3.DatabaseError as error:
            message = (
                f"{self._subject} in {self.path}: expected a file that was written here, found"
                f" something else ({error}). They are counted anew from the inference log once it"
                " is cleared."
            )
            raise IntegrityError(message) from error

    def beside(self) -> tuple[Path, ...]:
        """The file and those that SQLite keeps beside it, whether they are there or not."""
        endings = ("", "-wal", "-shm", "-journal")
        return tuple(self.path.with_name(self.path.name + ending) for ending in endings)

    def _prepare(self, database: sqlite3.Connection) -> None:
        if _version_of(database) == self._version:
            return
        # Several processes may begin at once: the first makes the tables, the others look again.
        database.execute("BEGIN IMMEDIATE")
        found = _version_of(database)
        if found != self._version:
            tables = [
                name
                for (name,) in database.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table'"
                )
            ]
            if (found or tables) and not self._starts_over:
                message = (
                    f"{self._subject} in {self.path}: expected version {self._version}, found"
                    f" {found}. Clear them and count the log again."
                )
                raise IntegrityError(message)
            for name in tables:
                database.execute(f'DROP TABLE "{name}"')
            for statement in self._tables.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {self._version}")
        database.execute("COMMIT")


def _version_of(database: sqlite3.Connection) -> int:
    (found,) = database.execute("PRAGMA user_version").fetchone()
    return int(found)
