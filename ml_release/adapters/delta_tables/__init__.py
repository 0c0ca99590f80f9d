"""Immutable rows in Delta tables, one table per line and kind, partitioned by month.

The content digest is a partition column beside the month: what is current, with its digest and its
number of rows, is then read from the table's log without touching the data, and replacing a month
is one atomic commit.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from ml_release.adapters.delta_tables.digest import content_digest as content_digest
from ml_release.adapters.delta_tables.digest import digest_of_columns
from ml_release.adapters.delta_tables.streams import batches_of, commit, discard, written
from ml_release.adapters.delta_tables.types import (
    DIGEST,
    MONTH,
    as_known,
    known_types,
    plain_content,
    tagged,
)
from ml_release.domain.identity import SnapshotId, check_digest, check_line_name
from ml_release.errors import InputError, IntegrityError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

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
        content = plain_content(rows, subject=subject)
        _check_partition(partition, subject=subject)
        for _ in range(_ATTEMPTS):
            existing = self._open_or_create(line, table, content)
            if existing is None:
                continue
            typed = as_known(known_types(existing), content, subject=subject)
            digest = content_digest(typed)
            for snapshot in _current(existing, line):
                if snapshot.partition == partition and snapshot.digest == digest:
                    return snapshot
            try:
                write_deltalake(
                    existing,
                    tagged(typed, partition=partition, digest=digest),
                    mode="overwrite",
                    predicate=f"{MONTH} = '{partition}'",
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

    def write_batches(
        self, line: str, table: str, partition: str, batches: Iterable[pd.DataFrame]
    ) -> SnapshotId:
        """The same for rows that come in batches, of which one at a time is held.

        A column that has no value in the first batch, and no type in the table, holds words.

        Raises
        ------
        InputError
            If there are no rows, batches differ in their columns, or a column has no single type
            that the table can hold.
        UnavailableError
            If other writers kept coming first.
        """
        from deltalake.exceptions import CommitFailedError

        subject = f"{line} {table} {partition}"
        _check_partition(partition, subject=subject)
        contents = (plain_content(rows, subject=subject) for rows in batches if len(rows))
        first = next(contents, None)
        if first is None:
            message = f"{subject}: expected rows, found none; nothing was written"
            raise InputError(message)
        known = known_types(self._open_or_create(line, table, first))
        address = self._path(line, table)
        with written(address, chain([first], contents), known, subject=subject) as file:
            types = {field.name: field.type for field in file.schema}
            digest = _digest_of_dataset(file.dataset, types, rows=file.rows)
            for _ in range(_ATTEMPTS):
                existing = self._open(line, table)
                if existing is None or _differ(known_types(existing), types):
                    break
                for snapshot in _current(existing, line):
                    if snapshot.partition == partition and snapshot.digest == digest:
                        discard(file.path, file.filesystem)
                        return snapshot
                try:
                    commit(existing, file, partition=partition, digest=digest)
                except CommitFailedError:
                    # Another writer came first: look again.
                    continue
                return SnapshotId(
                    line=line,
                    partition=partition,
                    # Such a commit comes next after what was opened, or not at all.
                    table_version=existing.version() + 1,
                    digest=digest,
                    rows=file.rows,
                )
            message = f"{subject}: other writers came first; nothing was written. Try again."
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
        import pyarrow.dataset as ds

        delta = self._at(snapshot, table)
        with _readable(snapshot, table):
            content = (
                delta.to_pyarrow_dataset()
                .to_table(filter=ds.field(MONTH) == snapshot.partition)
                .drop_columns([MONTH, DIGEST])
            )
        subject = f"{snapshot.line} {table} {snapshot.partition}"
        check_digest(subject, expected=snapshot.digest, found=content_digest(content))
        frame: pd.DataFrame = content.to_pandas()
        return frame

    def scan(
        self, snapshot: SnapshotId, table: str, *, rows_per_batch: int
    ) -> Iterator[pd.DataFrame]:
        """The rows of a snapshot in order, in batches; compared with its digest before the first.

        Raises what `read` raises.
        """
        import pyarrow as pa

        dataset = self._at(snapshot, table).to_pyarrow_dataset()
        types = {f.name: f.type for f in dataset.schema if f.name not in (MONTH, DIGEST)}
        with _readable(snapshot, table):
            rows = dataset.count_rows(filter=pa.dataset.field(MONTH) == snapshot.partition)
            found = _digest_of_dataset(dataset, types, rows=rows, partition=snapshot.partition)
        subject = f"{snapshot.line} {table} {snapshot.partition}"
        check_digest(subject, expected=snapshot.digest, found=found)
        return _frames(dataset, snapshot, table, columns=list(types), rows=rows_per_batch)

    def current(self, line: str, table: str) -> tuple[SnapshotId, ...]:
        """The newest snapshot of every partition, in the order of the partitions."""
        delta = self._open(line, table)
        return () if delta is None else _current(delta, line)

    def _at(self, snapshot: SnapshotId, table: str) -> DeltaTable:
        """The table as it was at the snapshot; `NotFoundError` if there is none."""
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
        return delta

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
        empty = tagged(content.slice(0, 0), partition="", digest="")
        try:
            return DeltaTable.create(
                self._path(line, table), empty.schema, partition_by=[MONTH, DIGEST]
            )
        except DeltaError:
            # Another writer made it in this moment.
            return self._open(line, table)


def _check_partition(partition: str, *, subject: str) -> None:
    if not _PARTITION.fullmatch(partition):
        message = f"{subject}: expected a partition of letters, digits and _.-"
        raise InputError(message)


@contextmanager
def _readable(snapshot: SnapshotId, table: str) -> Iterator[None]:
    """Files that cannot be read are rows that were changed."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        message = (
            f"{snapshot.line} {table} {snapshot.partition}: expected the rows of digest"
            f" {snapshot.digest}, found files that cannot be read ({error}). Restore them or take"
            " the snapshot again."
        )
        raise IntegrityError(message) from error


def _frames(
    dataset: ds.Dataset, snapshot: SnapshotId, table: str, *, columns: list[str], rows: int
) -> Iterator[pd.DataFrame]:
    with _readable(snapshot, table):
        for batch in batches_of(dataset, columns=columns, partition=snapshot.partition, rows=rows):
            yield batch.to_pandas()


def _digest_of_dataset(
    dataset: ds.Dataset,
    types: Mapping[str, pa.DataType],
    *,
    rows: int,
    partition: str | None = None,
) -> str:
    def chunks_of(name: str) -> Iterator[pa.Array]:
        for batch in batches_of(dataset, columns=[name], partition=partition):
            yield batch.column(0)

    return digest_of_columns(types, rows, chunks_of)


def _differ(known: Mapping[str, pa.DataType], types: Mapping[str, pa.DataType]) -> bool:
    return any(known.get(name, kind) != kind for name, kind in types.items())


def _current(delta: DeltaTable, line: str) -> tuple[SnapshotId, ...]:
    import pyarrow as pa

    rows: dict[tuple[str, str], int] = {}
    for action in pa.table(delta.get_add_actions(flatten=True)).to_pylist():
        key = (action[f"partition.{MONTH}"], action[f"partition.{DIGEST}"])
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
