"""The form of an archive: one Parquet file that holds what a segment held, byte ends included.

Every field is a column, and so is every feature: ``features.<name>``. Which features a record had,
in which order, is a number into ``sets``. What is neither a number nor a word is JSON text, and
its column is named in ``json``. The column ``_end`` is the byte behind the record's line in its
segment, so that a cursor in bytes means the same in both.
"""

from __future__ import annotations

import json
import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import msgspec

from ml_release.adapters.inference_tables.frames import TIMES, dtype_of, frame_of
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from ml_release.adapters.inference_tables.segment_lines import Lines

_ABOUT = b"ml_release"
_END, _SET, _FEATURES = "_end", "_features", "features"
_RECEIVED = "received_time"
_ZSTD_LEVEL = 6


def table_of(lines: Lines, type_: type[Any]) -> pa.Table:
    """A segment that was read whole, as the table of its archive."""
    import pyarrow as pa

    frame = frame_of(lines.found, type_)
    about: dict[str, Any] = {"torn_ends": lines.torn_ends, "json": [], "sets": []}
    columns = {_END: pa.array(lines.ends, type=pa.int64())}
    for name in frame:
        if name == _FEATURES:
            columns.update(_feature_columns(frame[name].tolist(), about))
        elif dtype_of(str(name)) == "object":
            columns[str(name)] = _words(str(name), frame[name].tolist(), about)
        else:
            columns[str(name)] = pa.array(frame[name], from_pandas=True)
    table = pa.table(columns)
    return table.replace_schema_metadata({_ABOUT: json.dumps(about)})


def write_table(table: pa.Table, path: Path) -> None:
    """Write a new file, on the disk when this returns; ``path`` must not be what readers look for.

    zstd, Collet and Kucherawy (2021), RFC 8878.
    """
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd", compression_level=_ZSTD_LEVEL)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read_table(path: Path) -> pa.Table:
    """The whole file.

    Raises
    ------
    FileNotFoundError
        If it is not there any more.
    IntegrityError
        If it is no archive.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except pa.ArrowInvalid as error:
        message = f"{path}: expected an archive of the inference log, found {error}"
        raise IntegrityError(message) from error
    if _ABOUT not in (table.schema.metadata or {}) or _END not in table.column_names:
        message = f"{path}: expected an archive of the inference log, found another Parquet file"
        raise IntegrityError(message)
    return table


def came_in(path: Path) -> tuple[datetime, datetime] | None:
    """When the first and the last record of an archive came in; None if its head does not say.

    Raises
    ------
    FileNotFoundError
        If it is not there any more.
    IntegrityError
        If it is no archive.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        head = pq.ParquetFile(path).metadata
    except pa.ArrowInvalid as error:
        message = f"{path}: expected an archive of the inference log, found {error}"
        raise IntegrityError(message) from error
    groups = [head.row_group(number) for number in range(head.num_row_groups)]
    columns = [group.column(place) for group in groups for place in range(group.num_columns)]
    found = [one.statistics for one in columns if one.path_in_schema == _RECEIVED]
    if not found or any(one is None or not one.has_min_max for one in found):
        return None
    return min(one.min for one in found), max(one.max for one in found)


def frame_of_table(
    table: pa.Table, type_: type[Any], *, start: int = 0
) -> tuple[pd.DataFrame, int]:
    """Rows behind the byte ``start`` of the segment, as `frame_of` has them, and torn lines there.

    A field that was not kept yet when the archive was made is missing.
    """
    import pandas as pd
    import pyarrow.compute as pc

    about = json.loads(table.schema.metadata[_ABOUT])
    if start:
        table = table.filter(pc.greater(table[_END], start))
    columns: dict[str, pd.Series] = {}
    for field in fields(type_):
        name, dtype = field.name, dtype_of(field.name)
        values: list[Any]
        if name == _FEATURES:
            values = _feature_rows(table, about)
        elif name not in table.column_names:
            values = [None] * len(table)
        elif name in TIMES or dtype in {"float64", "bool"}:
            columns[name] = table[name].to_pandas().astype(dtype)
            continue
        else:
            values = _plain(table, name, about)
        columns[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(columns), sum(end > start for end in about["torn_ends"])


def _feature_columns(rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> dict[str, Any]:
    import pyarrow as pa

    sets: dict[tuple[str, ...], int] = {}
    numbers = [sets.setdefault(tuple(row), len(sets)) for row in rows]
    about["sets"] = [list(names) for names in sets]
    columns = {_SET: pa.array(numbers, type=pa.int32())}
    for name in dict.fromkeys(name for names in sets for name in names):
        column = f"{_FEATURES}.{name}"
        values = [row.get(name) for row in rows]
        if all(value is None or type(value) is float for value in values):
            columns[column] = pa.array(values, type=pa.float64())
        else:
            columns[column] = _words(column, values, about)
    return columns


def _words(column: str, values: list[Any], about: dict[str, Any]) -> pa.Array:
    import pyarrow as pa

    if not all(value is None or isinstance(value, str) for value in values):
        about["json"].append(column)
        values = [None if v is None else msgspec.json.encode(v).decode() for v in values]
    return pa.array(values, type=pa.string())


def _plain(table: pa.Table, column: str, about: dict[str, Any]) -> list[Any]:
    values: list[Any] = table[column].to_pylist()
    if column in about["json"]:
        decoded = [None if value is None else msgspec.json.decode(value) for value in values]
        # As a segment gives them.
        return [tuple(value) if isinstance(value, list) else value for value in decoded]
    return values


def _feature_rows(table: pa.Table, about: dict[str, Any]) -> list[dict[str, Any]]:
    names = [tuple(one) for one in about["sets"]]
    columns = {
        name: _plain(table, f"{_FEATURES}.{name}", about)
        for name in dict.fromkeys(name for one in names for name in one)
    }
    numbers = table[_SET].to_pylist()
    if len(names) == 1 and names[0]:
        (one,) = names
        rows = zip(*(columns[name] for name in one), strict=True)
        return [dict(zip(one, row, strict=True)) for row in rows]
    return [
        {name: columns[name][row] for name in names[number]} for row, number in enumerate(numbers)
    ]
