"""Immutable rows in Delta tables, one table per line and kind, partitioned by month.

The content digest is a partition column beside the month: what is current, with its digest and its
number of rows, is then read from the table's log without touching the data, and replacing a month
is one atomic commit.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from ml_release.domain.identity import SnapshotId, check_digest, check_line_name
from ml_release.errors import InputError, IntegrityError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa
    from deltalake import DeltaTable

_MONTH, _DIGEST = "partition", "content_digest"
_PARTITION = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ATTEMPTS = 20


class DeltaTables:
    """`Tables` below a folder, or an address of an object store as ``s3://bucket/prefix``."""

    def __init__(self, root: Path | str) -> None:
        self._root = str(root)

    def write(self, line: str, table: str, partition: str, rows: pd.DataFrame) -> SnapshotId:
        """Replace one partition in one atomic commit; the same rows again write nothing.

        Columns that earlier partitions have keep the type they have there.

        Raises
        ------
        InputError
            If there are no rows, or a column has no single type that the table can hold.
        UnavailableError
            If other writers kept coming first.
        """
        from deltalake import write_deltalake
        from deltalake.exceptions import CommitFailedError

        subject = f"{line} {table} {partition}"
        content = _content(rows, subject=subject)
        if not _PARTITION.fullmatch(partition):
            message = f"{subject}: expected a partition of letters, digits and _.-"
            raise InputError(message)
        for _ in range(_ATTEMPTS):
            existing = self._open_or_create(line, table, content)
            if existing is None:
                continue
            typed = _as_in(existing, content, subject=subject)
            digest = content_digest(typed)
            for snapshot in _current(existing, line):
                if snapshot.partition == partition and snapshot.digest == digest:
                    return snapshot
            try:
                write_deltalake(
                    existing,
                    _tagged(typed, partition=partition, digest=digest),
                    mode="overwrite",
                    predicate=f"{_MONTH} = '{partition}'",
                    schema_mode="merge",
                )
            except CommitFailedError:
                # Another writer came first: look again.
                continue
            return SnapshotId(
                line=line,
                partition=partition,
                table_version=existing.version(),
                digest=digest,
                rows=typed.num_rows,
            )
        message = f"{subject}: other writers kept coming first; nothing was written. Try again."
        raise UnavailableError(message)

    def read(self, snapshot: SnapshotId, table: str) -> pd.DataFrame:
        """The rows of a snapshot, compared with its digest.

        Raises
        ------
        NotFoundError
            If there is no such table or table version.
        IntegrityError
            If the rows are not those of the digest, or cannot be read at all.
        """
        import pyarrow as pa
        import pyarrow.dataset as ds
        from deltalake.exceptions import DeltaError

        subject = f"{snapshot.line} {table} {snapshot.partition}"
        try:
            delta = self._open(snapshot.line, table, version=snapshot.table_version)
        except DeltaError as error:
            message = f"{subject}: no table version {snapshot.table_version} ({error})"
            raise NotFoundError(message) from error
        if delta is None:
            message = f"{subject}: no such table in {self._root}"
            raise NotFoundError(message)
        try:
            content = (
                delta.to_pyarrow_dataset()
                .to_table(filter=ds.field(_MONTH) == snapshot.partition)
                .drop_columns([_MONTH, _DIGEST])
            )
        except (pa.ArrowException, OSError) as error:
            message = (
                f"{subject}: expected the rows of digest {snapshot.digest}, found files that cannot"
                f" be read ({error}). Restore them or take the snapshot again."
            )
            raise IntegrityError(message) from error
        check_digest(subject, expected=snapshot.digest, found=content_digest(content))
        frame: pd.DataFrame = content.to_pandas()
        return frame

    def current(self, line: str, table: str) -> tuple[SnapshotId, ...]:
        """The newest snapshot of every partition, in the order of the partitions."""
        delta = self._open(line, table)
        return () if delta is None else _current(delta, line)

    def _path(self, line: str, table: str) -> str:
        return f"{self._root}/{check_line_name(line)}/{check_line_name(table)}"

    def _open(self, line: str, table: str, *, version: int | None = None) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        path = self._path(line, table)
        try:
            return DeltaTable(path, version=version)
        except TableNotFoundError:
            return None
        except OSError as error:
            message = (
                f"{line} {table}: {path} does not answer ({error}). Check the address in"
                " ML_RELEASE_LAKE and its credentials."
            )
            raise UnavailableError(message) from error

    def _open_or_create(self, line: str, table: str, content: pa.Table) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        existing = self._open(line, table)
        if existing is not None:
            return existing
        # An empty table first: a write that makes the table would replace one made meanwhile.
        empty = _tagged(content.slice(0, 0), partition="", digest="")
        try:
            return DeltaTable.create(
                self._path(line, table), empty.schema, partition_by=[_MONTH, _DIGEST]
            )
        except DeltaError:
            # Another writer made it in this moment.
            return self._open(line, table)


def _content(rows: pd.DataFrame, *, subject: str) -> pa.Table:
    """The rows in types that a Delta table gives back as it got them."""
    import pyarrow as pa

    if rows.empty:
        message = f"{subject}: expected rows, found none; nothing was written"
        raise InputError(message)
    reserved = sorted({_MONTH, _DIGEST} & set(rows.columns))
    if reserved:
        message = f"{subject}: expected other column names than {reserved}; the table needs them"
        raise InputError(message)
    try:
        content = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata()
        schema = pa.schema([(field.name, _kept_type(field.type)) for field in content.schema])
        return content.cast(schema)
    except (pa.ArrowException, TypeError, ValueError) as error:
        message = f"{subject}: expected columns of one plain type each, found {error}"
        raise InputError(message) from error


def _kept_type(found: pa.DataType) -> pa.DataType:
    import pyarrow as pa
    from pyarrow import types

    if types.is_dictionary(found):
        return _kept_type(found.value_type)
    if types.is_timestamp(found):
        return pa.timestamp("us", tz=None if found.tz is None else "UTC")
    # A column without any value has no type of its own: words are what pandas has no type for.
    if types.is_null(found) or types.is_large_string(found) or types.is_string_view(found):
        return pa.string()
    if types.is_unsigned_integer(found):
        wider = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32()}
        return wider.get(found, pa.int64())
    if (
        types.is_boolean(found)
        or types.is_signed_integer(found)
        or found in (pa.float32(), pa.float64(), pa.string(), pa.date32())
    ):
        return found
    message = f"a column of type {found}"
    raise TypeError(message)


def _as_in(delta: DeltaTable, content: pa.Table, *, subject: str) -> pa.Table:
    """The rows with the types that the columns have in the table already, nothing lost."""
    import pyarrow as pa

    known = {field.name: field.type for field in pa.schema(delta.schema().to_arrow())}
    columns = []
    for field in content.schema:
        column, wanted = content[field.name], known.get(field.name, field.type)
        try:
            # Without any value there is nothing to lose, whatever the types.
            empty = column.null_count == len(column)
            columns.append(pa.nulls(len(column), wanted) if empty else column.cast(wanted))
        except pa.ArrowException as error:
            message = (
                f"{subject}: expected column {field.name!r} as {wanted}, as in earlier partitions,"
                f" found {field.type} ({error})"
            )
            raise InputError(message) from error
        if pa.types.is_string(wanted) != pa.types.is_string(field.type) and not empty:
            message = (
                f"{subject}: expected column {field.name!r} as {wanted}, as in earlier partitions,"
                f" found {field.type}"
            )
            raise InputError(message)
    return pa.table(columns, names=content.column_names)


def _tagged(content: pa.Table, *, partition: str, digest: str) -> pa.Table:
    import pyarrow as pa

    count = content.num_rows
    content = content.append_column(_MONTH, pa.array([partition] * count, pa.string()))
    return content.append_column(_DIGEST, pa.array([digest] * count, pa.string()))


def _current(delta: DeltaTable, line: str) -> tuple[SnapshotId, ...]:
    import pyarrow as pa

    rows: dict[tuple[str, str], int] = {}
    for action in pa.table(delta.get_add_actions(flatten=True)).to_pylist():
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


def content_digest(content: pa.Table) -> str:
    """SHA-256 over names, types and values, the same for any chunking, buffer or null layout.

    Row order counts: it is part of the content. Column order does not, and a column without any
    value counts as absent: a table gives back the columns of all its partitions in one order.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    hasher = hashlib.sha256(f"{content.num_rows}\0".encode())
    for name in sorted(content.column_names):
        column = content.column(name)
        if column.null_count == len(column):
            continue
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        hasher.update(f"{name}\0{column.type}\0{len(column)}\0".encode())
        hasher.update(pc.is_valid(column).to_numpy().tobytes())
        if pa.types.is_string(column.type):
            lengths = pc.fill_null(pc.binary_length(column), -1)
            hasher.update(lengths.to_numpy().astype("<i8").tobytes())
            hasher.update(_joined_bytes(column))
        else:
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.int64())
            elif pa.types.is_date32(column.type):
                column = column.cast(pa.int32())
            zero = pa.scalar(0).cast(column.type)
            hasher.update(pc.fill_null(column, zero).to_numpy().tobytes())
    return "sha256:" + hasher.hexdigest()


def _joined_bytes(column: pa.ChunkedArray) -> memoryview:
    """All words of a column one after the other, without a Python object for each."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    words = pa.concat_arrays(pc.fill_null(column, "").chunks)
    _, offsets, content = words.buffers()
    if content is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, dtype="<i4")
    return memoryview(content)[ends[words.offset] : ends[words.offset + len(words)]]
