"""Decoders made for one signature: the usual request becomes values while it is parsed.

Clients repeat themselves: one tensor of shape [1] per field, in the order in which the metadata of
a model names its fields. For that form a decoder checks names, datatypes, shapes and values in C,
in one pass. It takes nothing else; `ml_release.serving.protocols` then reads the request in
general, decides, and finds the words.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from ml_release.serving.request_columns import MAX_STRING_CHARACTERS

if TYPE_CHECKING:
    from ml_release.domain.artefact import InputField, Signature
    from ml_release.serving.single_row import Cell

EXACT = 2**53
"""Whole numbers up to here are floats of the same value."""

# A number that is rounded to a bound was beyond it.
_Number = Annotated[float, msgspec.Meta(gt=-EXACT, lt=EXACT)]
_Word = Annotated[str, msgspec.Meta(max_length=MAX_STRING_CHARACTERS)]


class RowDecoder:
    """Decodes single rows of one signature, in protocol v2."""

    def __init__(self, signature: Signature) -> None:
        fields = signature.inputs
        self._names = tuple(field.name for field in fields)
        self._timestamps = tuple(field.name for field in fields if field.type == "timestamp")
        request = msgspec.defstruct(
            "SingleRowRequest",
            [
                ("inputs", tuple[tuple(map(_tensor, fields))]),  # type: ignore[misc]  # made here
                ("id", str | None, None),
                ("outputs", None, None),
                ("parameters", None, None),
            ],
            gc=False,
        )
        self._decode = msgspec.json.Decoder(request).decode

    def decode(self, body: bytes) -> tuple[dict[str, Cell], str | None] | None:
        """Per field its value, and the id that the body names; None for every other form."""
        # Such words need no second look: no NUL is among them, and no half of a surrogate pair.
        if not body.isascii() or b"\\" in body:
            return None
        try:
            request: Any = self._decode(body)
            values = [tensor.data[0] for tensor in request.inputs]
            cells: dict[str, Cell] = dict(zip(self._names, values, strict=True))
            for name in self._timestamps:
                moment = cells[name]
                if isinstance(moment, str):
                    cells[name] = local = datetime.fromisoformat(moment)
                    if local.tzinfo is not None:
                        return None
        # A decoder's own errors are ValueErrors, as is that of a text that is no time.
        except (ValueError, RecursionError):
            return None
        return cells, request.id


def _tensor(field: InputField) -> type[msgspec.Struct]:
    """A tensor of one value; all of it is checked while it is parsed."""
    is_number = field.type == "number"
    value: Any = _Number if is_number else _Word
    if field.nullable:
        value |= None
    datatype = Literal["FP64", "FP32", "FP16"] if is_number else Literal["BYTES"]
    return msgspec.defstruct(
        "Tensor",
        [
            ("name", Literal[field.name]),
            ("shape", tuple[Literal[1]]),
            ("datatype", datatype),
            ("data", tuple[value]),
            ("parameters", None, None),
        ],
        gc=False,
    )
