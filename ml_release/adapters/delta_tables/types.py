"""Rows in types that a Delta table gives back as it got them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import pyarrow as pa
    from deltalake import DeltaTable

MONTH, DIGEST = "partition", "content_digest"
"""The partition columns of every table."""


def plain_content(rows: pd.DataFrame, *, subject: str) -> pa.Table:
    """The rows in types that a Delta table gives back as it got them."""
    import pyarrow as pa

    if rows.empty:
        message = f"{subject}: expected rows, found none; nothing was written"
        raise InputError(message)
    reserved = sorted({MONTH, DIGEST} & set(rows.columns))
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


def known_types(delta: DeltaTable | None) -> dict[str, pa.DataType]:
    """The types that columns have in a table already; none without a table."""
    import pyarrow as pa

    if delta is None:
        return {}
    return {field.name: field.type for field in pa.schema(delta.schema().to_arrow())}


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


def as_known(known: Mapping[str, pa.DataType], content: pa.Table, *, subject: str) -> pa.Table:
    """The rows with the types that the columns have in the table already, nothing lost."""
    import pyarrow as pa

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


def tagged(content: pa.Table, *, partition: str, digest: str) -> pa.Table:
    """The rows with the partition columns."""
    import pyarrow as pa

    count = content.num_rows
    content = content.append_column(MONTH, pa.array([partition] * count, pa.string()))
    return content.append_column(DIGEST, pa.array([digest] * count, pa.string()))
