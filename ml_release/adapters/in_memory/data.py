"""Rows that arrive, and rows that are kept."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ml_release.domain.identity import SnapshotId, check_digest, check_line_name, digest_of_bytes
from ml_release.errors import InputError, IntegrityError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from ml_release.domain.history_table import HistoryTable
    from ml_release.spec.landing_source import LandingSource


class InMemoryLanding:
    """`Landing` of tables that a test delivers."""

    def __init__(self) -> None:
        self._tables: dict[str, pd.DataFrame] = {}

    def deliver(self, path: str, table: pd.DataFrame) -> str:
        """Let a table arrive under its path in the landing zone; its digest."""
        self._tables[path] = table.copy()
        return _digest_of(table)

    def partitions(self, source: LandingSource) -> tuple[str, ...]:
        """Partitions that have arrived and that the line declares, in order."""
        before, after = source.rows.split("{partition}")
        arrived = (
            path.removeprefix(before).removesuffix(after)
            for path in self._tables
            if path.startswith(before) and path.endswith(after)
        )
        last = source.last_partition
        return tuple(
            sorted(
                name
                for name in arrived
                if len(name) == len(source.first_partition)
                and name >= source.first_partition
                and (last is None or name <= last)
            )
        )

    def read(self, source: LandingSource, partition: str) -> dict[str, pd.DataFrame]:
        """The rows of one partition and every companion table."""
        tables = {"rows": self._table(source.rows.replace("{partition}", partition))}
        for name, path in source.companions.items():
            tables[name] = self._table(path)
        return tables

    def read_file(self, path: str, *, digest: str) -> pd.DataFrame:
        """The rows of one file that has a digest."""
        table = self._table(path)
        check_digest(f"landing table {path}", expected=digest, found=_digest_of(table))
        return table

    def _table(self, path: str) -> pd.DataFrame:
        if path not in self._tables:
            message = f"landing table {path}: expected it to have arrived, found it missing"
            raise NotFoundError(message)
        return self._tables[path].copy()


class InMemoryTables:
    """`Tables` that keep every version of every partition."""

    def __init__(self) -> None:
        self._writes: dict[tuple[str, str], list[tuple[SnapshotId, bytes]]] = {}
        self._lock = threading.Lock()

    def write(self, line: str, table: str, partition: str, rows: pd.DataFrame) -> SnapshotId:
        """Replace one partition; the same rows again write nothing."""
        import pyarrow as pa
        from pyarrow import parquet

        subject = f"{check_line_name(line)} {check_line_name(table)} {partition}"
        if rows.empty:
            message = f"{subject}: expected rows, found none; nothing was written"
            raise InputError(message)
        buffer = io.BytesIO()
        try:
            parquet.write_table(pa.Table.from_pandas(rows, preserve_index=False), buffer)
        except (pa.ArrowException, TypeError, ValueError) as error:
            message = f"{subject}: expected columns of one type each, found {error}"
            raise InputError(message) from error
        content = buffer.getvalue()
        digest = digest_of_bytes(content)
        with self._lock:
            writes = self._writes.setdefault((line, table), [])
            standing = self._newest(line, table).get(partition)
            if standing is not None and standing.digest == digest:
                return standing
            snapshot = SnapshotId(
                line=line,
                partition=partition,
                table_version=len(writes) + 1,
                digest=digest,
                rows=len(rows),
            )
            writes.append((snapshot, content))
        return snapshot

    def write_batches(
        self, line: str, table: str, partition: str, batches: Iterable[pd.DataFrame]
    ) -> SnapshotId:
        """The same for rows that come in batches."""
        import pandas as pd

        frames = list(batches)
        subject = f"{line} {table} {partition}"
        if any(set(frame) != set(frames[0]) for frame in frames):
            message = f"{subject}: expected batches of the columns {list(frames[0])}, found others"
            raise InputError(message)
        rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
        return self.write(line, table, partition, rows)

    def read(self, snapshot: SnapshotId, table: str) -> pd.DataFrame:
        """The rows of a snapshot, compared with its digest."""
        import pandas as pd

        subject = f"{snapshot.line} {table} {snapshot.partition}"
        writes = self._writes.get((snapshot.line, table), [])
        if not 1 <= snapshot.table_version <= len(writes):
            message = f"{subject}: no table version {snapshot.table_version}"
            raise NotFoundError(message)
        for kept, content in reversed(writes[: snapshot.table_version]):
            if kept.partition == snapshot.partition:
                check_digest(subject, expected=snapshot.digest, found=kept.digest)
                return pd.read_parquet(io.BytesIO(content))
        message = f"{subject}: no such partition in version {snapshot.table_version}"
        raise IntegrityError(message)

    def scan(
        self, snapshot: SnapshotId, table: str, *, rows_per_batch: int
    ) -> Iterator[pd.DataFrame]:
        """The rows of a snapshot in batches, compared with its digest before the first."""
        rows = self.read(snapshot, table)
        starts = range(0, len(rows), rows_per_batch)
        return (rows[s : s + rows_per_batch].reset_index(drop=True) for s in starts)

    def current(self, line: str, table: str) -> tuple[SnapshotId, ...]:
        """The newest snapshot of every partition, in the order of the partitions."""
        with self._lock:
            newest = self._newest(line, table)
        return tuple(newest[partition] for partition in sorted(newest))

    def _newest(self, line: str, table: str) -> dict[str, SnapshotId]:
        writes = self._writes.get((line, table), [])
        return {
            snapshot.partition: replace(snapshot, table_version=len(writes))
            for snapshot, _ in writes
        }


class InMemoryOnlineHistory:
    """`OnlineHistory` in a dictionary."""

    def __init__(self) -> None:
        self._tables: dict[str, HistoryTable] = {}

    def publish(self, line: str, table: HistoryTable) -> None:
        """Replace the table."""
        self._tables[check_line_name(line)] = table

    def read(self, line: str) -> HistoryTable | None:
        """The table, None if none was published."""
        return self._tables.get(line)


def _digest_of(table: pd.DataFrame) -> str:
    """Of its columns and rows as words: no file has given a table its bytes."""
    return digest_of_bytes(table.to_csv(index=False).encode())
