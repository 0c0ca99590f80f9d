"""One row of a request, read value by value: what most requests are.

Arrays of one value cost more to make than everything that is computed from them. So a request of
one row stays Python values until somebody asks for arrays. A reader takes only what it is certain
of; for everything else it gives None, and the caller goes on to `request_columns`, which decides
and finds the words. What the reader takes is what `request_columns` would have made of it, bit for
bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ml_release.serving.request_columns import MAX_STRING_CHARACTERS
from ml_release.serving.row_decoder import EXACT, RowDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from ml_release.domain.artefact import Signature
    from ml_release.domain.features import FieldType

Cell = float | str | datetime | None
"""A float, a str or a local datetime, by the field's type; None is missing."""

_NUMBER_TYPES = frozenset({"FP16", "FP32", "FP64"})
_WHOLE_TYPES = frozenset(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
_WORD_TYPES = frozenset({"BYTES"})
_SHAPES = ([1], [1, 1])
_KEPT = 64


class SingleRow(Mapping[str, "npt.NDArray[np.generic]"]):
    """Request columns of shape (1,), which become arrays for those who ask for one.

    Attributes
    ----------
    cells
        Per field of the signature its value.
    """

    __slots__ = ("_types", "cells")

    def __init__(self, cells: Mapping[str, Cell], types: Mapping[str, FieldType]) -> None:
        self.cells = cells
        self._types = types

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        """One column, as `ml_release.serving.request_columns.columns_of` makes it."""
        cell = self.cells[name]
        type_ = self._types[name]
        if type_ == "number":
            return np.array([math.nan if cell is None else cell], dtype=np.float64)
        if type_ == "timestamp":
            return np.array([cell], dtype="datetime64[us]")
        return np.array([cell], dtype=np.object_)

    def __iter__(self) -> Iterator[str]:
        """Names, in the order of the signature."""
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)


class Tensor(Protocol):
    """What a reader looks at of a tensor of protocol v2."""

    @property
    def name(self) -> str:
        """Of the field."""

    @property
    def shape(self) -> list[int]:
        """As the client states it."""

    @property
    def datatype(self) -> str:
        """As the client states it."""

    @property
    def data(self) -> Sequence[object] | None:
        """The values, None if they are elsewhere."""


class RowReader:
    """Reads single rows of one signature."""

    def __init__(self, signature: Signature) -> None:
        self._types = {field.name: field.type for field in signature.inputs}
        self._fields = {field.name: (field.type, field.nullable) for field in signature.inputs}
        self._decoder = RowDecoder(signature)

    def of_body(self, body: bytes) -> tuple[SingleRow, str | None] | None:
        """A row and the id of its request, None if it does not have the usual form of v2."""
        decoded = self._decoder.decode(body)
        return None if decoded is None else (SingleRow(decoded[0], self._types), decoded[1])

    def of_values(self, given: Mapping[str, Sequence[object]]) -> SingleRow | None:
        """A row of one value per field, None if it is not one without any doubt."""
        if len(given) != len(self._fields):
            return None
        cells: dict[str, Cell] = {}
        for name, values in given.items():
            known = self._fields.get(name)
            if known is None or len(values) != 1:
                return None
            cell = _cell(known[0], values[0], is_nullable=known[1])
            if cell is _UNSURE:
                return None
            cells[name] = cell  # type: ignore[assignment]  # narrowed by the line above
        return SingleRow(cells, self._types)

    def of_tensors(self, tensors: Sequence[Tensor]) -> SingleRow | None:
        """A row of one tensor of shape [1] or [1, 1] per field, None if it is not certainly one."""
        if len(tensors) != len(self._fields):
            return None
        cells: dict[str, Cell] = {}
        for tensor in tensors:
            name, data, datatype = tensor.name, tensor.data, tensor.datatype
            known = self._fields.get(name)
            if known is None or data is None or len(data) != 1 or tensor.shape not in _SHAPES:
                return None
            type_, value = known[0], data[0]
            if type_ == "number":
                if datatype in _NUMBER_TYPES:
                    # As `_cell` does, without the call: most values are these.
                    if type(value) is float and value - value == 0:
                        cells[name] = value
                        continue
                elif datatype not in _WHOLE_TYPES or type(value) is float:
                    return None
            elif datatype not in _WORD_TYPES:
                return None
            cell = _cell(type_, value, is_nullable=known[1])
            if cell is _UNSURE:
                return None
            cells[name] = cell  # type: ignore[assignment]  # as above
        # Fewer cells than tensors: one is given twice.
        return SingleRow(cells, self._types) if len(cells) == len(tensors) else None


_UNSURE = object()


def _cell(type_: FieldType, value: object, *, is_nullable: bool) -> object:  # noqa: PLR0911 (a table of cases)
    """What a value is in a row, `_UNSURE` if it has to be looked at more closely."""
    kind = type(value)
    if type_ == "number":
        if kind is float:
            # Neither infinity nor NaN.
            return value if value - value == 0 else _UNSURE  # type: ignore[operator]
        if kind is int:
            return float(value) if -EXACT <= value <= EXACT else _UNSURE  # type: ignore[arg-type,operator]
        return None if value is None and is_nullable else _UNSURE
    if value is None:
        return None if is_nullable else _UNSURE
    if not isinstance(value, str):
        return _UNSURE
    if type_ == "string":
        is_plain = len(value) <= MAX_STRING_CHARACTERS and value.isascii() and "\0" not in value
        return value if is_plain else _UNSURE
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return _UNSURE
    return moment if moment.tzinfo is None else _UNSURE


_readers: dict[int, tuple[Signature, RowReader]] = {}


def reader_of(signature: Signature) -> RowReader:
    """The reader of a signature, made once for each that is in use."""
    known = _readers.get(id(signature))
    # An identity may be used again, after its first owner is gone.
    if known is not None and known[0] is signature:
        return known[1]
    if len(_readers) >= _KEPT:
        _readers.clear()
    reader = RowReader(signature)
    _readers[id(signature)] = (signature, reader)
    return reader
