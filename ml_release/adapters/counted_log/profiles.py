"""`ProfileStore` in one SQLite file: buckets and the cursor behind them in one transaction.

Every document is kept beside its digest, and the file says of which version it is. What does not
agree is never believed: the caller clears it and counts the log again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from ml_release.adapters.counted_log.sqlite_file import SqliteFile
from ml_release.domain.bucket_profile import SHADOW, bucket_from_json
from ml_release.domain.identity import check_line_name, digest_of_bytes
from ml_release.errors import InputError, IntegrityError, StaleWriteError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ml_release.domain.bucket_profile import BucketProfile

_VERSION = 1
_TABLES = """
CREATE TABLE cursors (
    line TEXT, environment TEXT, document BLOB NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (line, environment)
) WITHOUT ROWID;
CREATE TABLE buckets (
    line TEXT, environment TEXT, bucket TEXT, model_digest TEXT, version INTEGER, variant TEXT,
    document BLOB NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (line, environment, bucket, model_digest, version, variant)
);
CREATE INDEX by_model ON buckets (line, environment, model_digest, bucket, variant);
"""
_OWN = "line = ? AND environment = ? AND bucket = ? AND model_digest = ? AND version = ?"


class ProfileFile:
    """`ProfileStore` in the file ``path``, made when it is first used."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, subject="profiles", tables=_TABLES, version=_VERSION)

    def cursor(self, line: str, environment: str) -> dict[str, int]:
        """Everything of the log before this is counted."""
        with self._file.open() as database:
            return self._cursor(database, check_line_name(line), environment)

    def add(
        self,
        line: str,
        environment: str,
        *,
        profiles: Sequence[BucketProfile],
        cursor: Mapping[str, int],
        expected: Mapping[str, int],
    ) -> None:
        """Add profiles and move the cursor, both or neither."""
        check_line_name(line)
        for profile in profiles:
            if profile.line != line:
                message = f"profiles of {line}: expected its own, found one of {profile.line}"
                raise InputError(message)
        with self._file.open() as database:
            database.execute("BEGIN IMMEDIATE")
            found = self._cursor(database, line, environment)
            if found != dict(expected):
                message = (
                    f"profiles of {line}: expected the log to be counted up to {dict(expected)},"
                    f" found {found}. Somebody else has counted it; count from there."
                )
                raise StaleWriteError(message)
            for profile in profiles:
                self._add(database, environment, profile)
            document = msgspec.json.encode(dict(cursor))
            database.execute(
                "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?)",
                (line, environment, document, digest_of_bytes(document)),
            )
            database.execute("COMMIT")

    def newest(self, line: str, environment: str, *, model_digest: str | None) -> datetime | None:
        """When the newest bucket begins that is no shadow's."""
        where, values = _of_model(model_digest)
        with self._file.open() as database:
            row = database.execute(
                f"SELECT bucket FROM buckets WHERE line = ? AND environment = ?{where}"  # noqa: S608
                " AND variant <> ? ORDER BY bucket DESC LIMIT 1",
                (line, environment, *values, SHADOW),
            ).fetchone()
        return None if row is None else datetime.fromisoformat(row[0])

    def between(
        self,
        line: str,
        environment: str,
        *,
        model_digest: str | None,
        since: datetime,
        until: datetime,
        shadows: bool = False,
    ) -> tuple[BucketProfile, ...]:
        """Buckets that begin in a time, in its order."""
        where, values = _of_model(model_digest)
        if not shadows:
            where, values = f"{where} AND variant <> ?", (*values, SHADOW)
        span = (since.astimezone(UTC).isoformat(), until.astimezone(UTC).isoformat())
        with self._file.open() as database:
            rows = database.execute(
                "SELECT document, digest FROM buckets WHERE line = ? AND environment = ?"  # noqa: S608
                f" AND bucket >= ? AND bucket < ?{where}"
                " ORDER BY bucket, model_digest, version, variant",
                (line, environment, *span, *values),
            ).fetchall()
        return tuple(bucket_from_json(self._checked(*row)) for row in rows)

    def clear(self, line: str, environment: str) -> None:
        """Forget everything of a line; a file that cannot be read is removed."""
        try:
            with self._file.open() as database:
                database.execute("BEGIN IMMEDIATE")
                for table in ("buckets", "cursors"):
                    database.execute(
                        f"DELETE FROM {table} WHERE line = ? AND environment = ?",  # noqa: S608
                        (line, environment),
                    )
                database.execute("COMMIT")
        except IntegrityError:
            for path in self._file.beside():
                path.unlink(missing_ok=True)

    def _add(self, database: sqlite3.Connection, environment: str, profile: BucketProfile) -> None:
        key = (
            profile.line,
            environment,
            profile.bucket,
            profile.model_digest,
            profile.version,
            profile.variant,
        )
        row = database.execute(
            f"SELECT document, digest FROM buckets WHERE {_OWN} AND variant = ?",  # noqa: S608
            key,
        ).fetchone()
        whole = profile if row is None else bucket_from_json(self._checked(*row)) + profile
        document = whole.to_json()
        database.execute(
            "INSERT OR REPLACE INTO buckets VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, document, digest_of_bytes(document)),
        )

    def _cursor(self, database: sqlite3.Connection, line: str, environment: str) -> dict[str, int]:
        row = database.execute(
            "SELECT document, digest FROM cursors WHERE line = ? AND environment = ?",
            (line, environment),
        ).fetchone()
        if row is None:
            return {}
        return msgspec.json.decode(self._checked(*row), type=dict[str, int])

    def _checked(self, document: object, digest: object) -> bytes:
        # What was edited by hand may even be of another type.
        if not isinstance(document, bytes) or digest_of_bytes(document) != digest:
            message = (
                f"{self._file.path}: expected what was counted of the inference log as it was kept,"
                " found that it was edited. Clear it and count the log again."
            )
            raise IntegrityError(message)
        return document


def _of_model(model_digest: str | None) -> tuple[str, tuple[str, ...]]:
    return ("", ()) if model_digest is None else (" AND model_digest = ?", (model_digest,))
