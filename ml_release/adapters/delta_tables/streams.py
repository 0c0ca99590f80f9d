"""Rows that are more than fits into memory: written to one file, read column by column.

Written here and not by deltalake, which gives the batches of a stream to several writers: their
order would be lost, and it is part of the content. The file is nothing to anybody until a commit
names it.
"""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from ml_release.adapters.delta_tables.types import DIGEST, MONTH, as_known
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

_ROWS_PER_READING = 131_072


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file in the folder of a table that no commit names yet.

    Attributes
    ----------
    path
        Below the folder.
    schema
        Of its columns, without the partition columns.
    """

    path: str
    filesystem: pa.fs.FileSystem
    schema: pa.Schema
    rows: int

    @property
    def dataset(self) -> ds.Dataset:
        """To read it."""
        import pyarrow.dataset as ds

        return ds.dataset(self.path, format="parquet", filesystem=self.filesystem)


@contextmanager
def written(
    address: str, contents: Iterable[pa.Table], known: Mapping[str, pa.DataType], *, subject: str
) -> Iterator[Written]:
    """Write tables of the same columns one after the other; the file is gone if the block raises.

    Parameters
    ----------
    address
        Folder of the table.
    contents
        At least one, of which one at a time is held.
    known
        Types that columns have in the table already; the first of ``contents`` gives the others.

    Raises
    ------
    InputError
        If a later table has other columns than the first one, or a value that the type of its
        column cannot hold.
    """
    from deltalake.fs import DeltaStorageHandler
    from pyarrow import fs

    files = fs.PyFileSystem(DeltaStorageHandler(address))
    path = f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"
    try:
        schema, rows = _write_all(path, files, contents, known, subject=subject)
        yield Written(path=path, filesystem=files, schema=schema, rows=rows)
    except BaseException:
        discard(path, files)
        raise


def _write_all(
    path: str,
    files: pa.fs.FileSystem,
    contents: Iterable[pa.Table],
    known: Mapping[str, pa.DataType],
    *,
    subject: str,
) -> tuple[pa.Schema, int]:
    """Schema and rows of what was written."""
    from pyarrow import parquet

    rest = iter(contents)
    first = as_known(known, next(rest), subject=subject)
    schema, rows = first.schema, 0
    types = {field.name: field.type for field in schema}
    with parquet.ParquetWriter(path, schema, filesystem=files, compression="zstd") as writer:
        for content in chain([first], rest):
            if set(content.column_names) != set(schema.names):
                message = (
                    f"{subject}: expected batches of the columns {schema.names}, found one of"
                    f" {content.column_names}"
                )
                raise InputError(message)
            typed = as_known(types, content, subject=subject).select(schema.names)
            writer.write_table(typed)
            rows += typed.num_rows
    return schema, rows


def discard(path: str, files: pa.fs.FileSystem) -> None:
    """Remove a file that no commit names; one that stays is invisible, and vacuum removes it."""
    with suppress(OSError):
        files.delete_file(path)


def commit(delta: DeltaTable, file: Written, *, partition: str, digest: str) -> None:
    """Replace a partition by the file in one commit.

    Raises `CommitFailedError` of deltalake if anybody else has committed since ``delta`` was
    opened.
    """
    import pyarrow as pa
    from deltalake import CommitProperties
    from deltalake.transaction import AddAction

    standing = pa.schema(delta.schema().to_arrow())
    new = [field for field in file.schema if field.name not in standing.names]
    info = file.filesystem.get_file_info(file.path)
    delta.create_write_transaction(
        [
            AddAction(
                path=file.path,
                size=info.size,
                partition_values={MONTH: partition, DIGEST: digest},
                modification_time=info.mtime_ns // 1_000_000,
                data_change=True,
                stats=json.dumps({"numRecords": file.rows}),
            )
        ],
        mode="overwrite",
        schema=pa.schema([*standing, *new]),
        partition_by=[MONTH, DIGEST],
        partition_filters=[(MONTH, "=", partition)],
        # Deltalake cannot see that two writers fill one partition that was empty before.
        commit_properties=CommitProperties(max_commit_retries=0),
    )


def batches_of(
    dataset: ds.Dataset,
    *,
    columns: list[str],
    partition: str | None = None,
    rows: int = _ROWS_PER_READING,
) -> Iterator[pa.RecordBatch]:
    """Columns in batches of at most ``rows``, in order, holding little more than one of them."""
    import pyarrow.dataset as ds

    scanner = dataset.scanner(
        columns=columns,
        filter=None if partition is None else ds.field(MONTH) == partition,
        batch_size=rows,
        batch_readahead=1,
        fragment_readahead=0,
        use_threads=False,
        # Pre-buffered, a whole file is kept until its last batch.
        fragment_scan_options=ds.ParquetFragmentScanOptions(
            use_buffered_stream=True, pre_buffer=False
        ),
    )
    return (batch for batch in scanner.to_batches() if batch.num_rows)
