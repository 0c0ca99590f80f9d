"""Immutable rows in Delta tables, one table per line and kind, partitioned by month.

The content digest is a partition column beside the month: what is current, with its digest and its
number of rows, is then read from the table's log without touching the data, and replacing a month
is one atomic commit.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ml_release.domain.identity import SnapshotId, check_digest, check_line_name
from ml_release.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa
    from deltalake import DeltaTable

_MONTH, _DIGEST = "partition", "content_digest"


class DeltaTables:
    """`Tables` below one folder (or object-store URL)."""

    def __init__(self, root: Path | str) -> None:
        self._root = str(root)

    def write(self, line: str, table: str, partition: str, rows: pd.DataFrame) -> SnapshotId:
        """Replace one partition in one atomic commit; the same rows again write nothing."""
        import pyarrow as pa
        from deltalake import write_deltalake

        try:
            content = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata()
        except (pa.ArrowException, TypeError, ValueError) as error:
            message = (
                f"{line} {table} {partition}: expected columns of one type each, found {error}"
            )
            raise InputError(message) from error
        digest = content_digest(content)
        for snapshot in self.current(line, table):
            if snapshot.partition == partition and snapshot.digest == digest:
                return snapshot
        count = content.num_rows
        if not count:
            message = f"{line} {table} {partition}: expected rows, found none; nothing was written"
            raise InputError(message)
        tagged = content.append_column(_MONTH, pa.array([partition] * count, pa.string()))
        tagged = tagged.append_column(_DIGEST, pa.array([digest] * count, pa.string()))
        existing = self._open(line, table)
        write_deltalake(
            self._path(line, table) if existing is None else existing,
            tagged,
            partition_by=[_MONTH, _DIGEST],
            mode="overwrite",
            predicate=None if existing is None else f"{_MONTH} = '{partition}'",
            schema_mode="merge" if existing is not None else None,
        )
        written = self._open(line, table)
        if written is None:
            message = f"{line} {table}: the table was written and is not there"
            raise NotFoundError(message)
        return SnapshotId(
            line=line,
            partition=partition,
            table_version=written.version(),
            digest=digest,
            rows=count,
        )

    def read(self, snapshot: SnapshotId, table: str) -> pd.DataFrame:
        """The rows of a snapshot, compared with its digest."""
        import pyarrow.dataset as ds

        delta = self._open(snapshot.line, table, version=snapshot.table_version)
        if delta is None:
            message = f"{snapshot.line} {table}: no such table in {self._root}"
            raise NotFoundError(message)
        content = (
            delta.to_pyarrow_dataset()
            .to_table(filter=ds.field(_MONTH) == snapshot.partition)
            .drop_columns([_MONTH, _DIGEST])
        )
        subject = f"{snapshot.line} {table} {snapshot.partition}"
        check_digest(subject, expected=snapshot.digest, found=content_digest(content))
        return content.to_pandas()

    def current(self, line: str, table: str) -> tuple[SnapshotId, ...]:
        """The newest snapshot of every partition, in the order of the partitions."""
        import pyarrow as pa

        delta = self._open(line, table)
        if delta is None:
            return ()
        actions = pa.table(delta.get_add_actions(flatten=True)).to_pylist()
        rows: dict[tuple[str, str], int] = {}
        for action in actions:
            key = (action[f"partition.{_MONTH}"], action[f"partition.{_DIGEST}"])
            rows[key] = rows.get(key, 0) + action["num_records"]
        return tuple(
            SnapshotId(
                line=line,
                partition=partition,
                table_version=delta.version(),
                digest=digest,
                rows=count,
            )
            for (partition, digest), count in sorted(rows.items())
        )

    def _path(self, line: str, table: str) -> str:
        return f"{self._root}/{check_line_name(line)}/{check_line_name(table)}"

    def _open(self, line: str, table: str, *, version: int | None = None) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(self._path(line, table), version=version)
        except TableNotFoundError:
            return None


def content_digest(content: pa.Table) -> str:
    """SHA-256 over names, types and values, the same for any chunking, buffer or null layout.

    Row order counts: it is part of the content.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    hasher = hashlib.sha256()
    for name in content.column_names:
        column = content.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        hasher.update(f"{name}\0{column.type}\0{len(column)}\0".encode())
        hasher.update(pc.is_valid(column).to_numpy().tobytes())
        if pa.types.is_string(column.type):
            lengths = pc.fill_null(pc.binary_length(column), -1)
            hasher.update(lengths.to_numpy().astype("<i8").tobytes())
            hasher.update("".join(value or "" for value in column.to_pylist()).encode())
        else:
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.int64())
            zero = pa.scalar(0).cast(column.type)
            hasher.update(pc.fill_null(column, zero).to_numpy().tobytes())
    return "sha256:" + hasher.hexdigest()
