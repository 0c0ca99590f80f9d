"""The digest of rows, whether they are in memory or read column by column."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pyarrow as pa

    Chunks = Iterable[pa.Array]


def content_digest(content: pa.Table) -> str:
    """SHA-256 over names, types and values, the same for any chunking, buffer or null layout.

    Row order counts: it is part of the content. Column order does not, and a column without any
    value counts as absent: a table gives back the columns of all its partitions in one order.
    """
    types = {field.name: field.type for field in content.schema}
    return digest_of_columns(types, content.num_rows, lambda name: content.column(name).chunks)


def digest_of_columns(
    types: Mapping[str, pa.DataType], rows: int, chunks_of: Callable[[str], Chunks]
) -> str:
    """The same for rows that are read in pieces: a column at a time, up to three times over.

    Parameters
    ----------
    types
        By column.
    rows
        How many there are.
    chunks_of
        Begins to read a column from its first row.
    """
    import pyarrow as pa

    hasher = hashlib.sha256(f"{rows}\0".encode())
    for name in sorted(types):
        kind = _plain(types[name])
        # Whether there is any value is known only after the first reading.
        trial = hasher.copy()
        trial.update(f"{name}\0{kind}\0{rows}\0".encode())
        missing = 0
        for chunk in chunks_of(name):
            missing += chunk.null_count
            trial.update(chunk.is_valid().to_numpy(zero_copy_only=False).tobytes())
        if missing == rows:
            continue
        hasher = trial
        if pa.types.is_string(kind):
            for chunk in _as_plain(chunks_of(name), kind):
                hasher.update(_lengths(chunk))
            for chunk in _as_plain(chunks_of(name), kind):
                hasher.update(_joined_bytes(chunk))
        else:
            for chunk in _as_plain(chunks_of(name), kind):
                hasher.update(_numbers(chunk))
    return "sha256:" + hasher.hexdigest()


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type that stands in the digest, however the column is laid out."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind


def _as_plain(chunks: Chunks, kind: pa.DataType) -> Iterator[pa.Array]:
    return (chunk if chunk.type == kind else chunk.cast(kind) for chunk in chunks)


def _lengths(words: pa.Array) -> bytes:
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.binary_length(words), -1)
    return bytes(lengths.to_numpy(zero_copy_only=False).astype("<i8").tobytes())


def _numbers(values: pa.Array) -> bytes:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    elif pa.types.is_date32(values.type):
        values = values.cast(pa.int32())
    zero = pa.scalar(0).cast(values.type)
    return bytes(pc.fill_null(values, zero).to_numpy(zero_copy_only=False).tobytes())


def _joined_bytes(column: pa.Array) -> memoryview:
    """All words one after the other, without a Python object for each."""
    import numpy as np
    import pyarrow.compute as pc

    words = pc.fill_null(column, "")
    _, offsets, content = words.buffers()
    if content is None or not len(words):
        return memoryview(b"")
    ends = np.frombuffer(offsets, dtype="<i4")
    return memoryview(content)[ends[words.offset] : ends[words.offset + len(words)]]
