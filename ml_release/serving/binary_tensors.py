"""The binary tensor data extension of the Open Inference Protocol v2, both directions.

A body is then a JSON object followed by the values of its tensors, in their order, little endian
and without padding; a word is its length in 4 bytes and its UTF-8 form. Values come out as the JSON
form would have given them, so that both meet the same rules. Binary data has no null: NaN stands
for a missing value where a field may be missing and is refused elsewhere. There is no missing word;
send such a tensor as JSON.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.serving.request_columns import Values

EXTENSION = "binary_tensor_data"
LENGTH_HEADER = "inference-header-content-length"
_SIZE = "binary_data_size"
_PREFIX_BYTES = 4
_DTYPES = {
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryWish:
    """Which outputs a client wants as binary data.

    Attributes
    ----------
    others
        Those that ``named`` doesn't mention.
    """

    others: bool
    named: Mapping[str, bool] = field(default_factory=dict)

    def covers(self, output: str) -> bool:
        """Whether an output goes out as binary data."""
        return self.named.get(output, self.others)


def json_length(stated: str, body: bytes) -> int:
    """Bytes of the JSON object in a body, as ``Inference-Header-Content-Length`` states them.

    Raises
    ------
    InputError
        If it is no number, or larger than the body.
    """
    # Python refuses to read a number of thousands of digits.
    is_number = stated.isascii() and stated.isdecimal() and len(stated) <= 18  # noqa: PLR2004
    if not is_number or int(stated) > len(body):
        message = (
            f"header {LENGTH_HEADER}: expected the bytes of the JSON object, 0 to {len(body)},"
            f" found {stated[:40]!a}"
        )
        raise InputError(message)
    return int(stated)


class BinaryData:
    """The bytes behind the JSON object of a request, taken tensor by tensor."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def take(self, name: str, datatype: str, size: object, *, nullable: bool) -> Values:
        """The values of the next tensor.

        Parameters
        ----------
        size
            Its ``binary_data_size``.
        nullable
            Whether NaN stands for a missing value; it becomes None.

        Raises
        ------
        InputError
            If there are fewer bytes, they are no whole values, or NaN is among those that may not
            be missing.
        """
        rest = len(self._content) - self._position
        if type(size) is not int or not 0 <= size <= rest:
            message = (
                f"field {name!r}: expected a {_SIZE} of at most the {rest} bytes that are left of"
                f" the body, found {str(size)[:40]}"
            )
            raise InputError(message)
        part = self._content[self._position : self._position + size]
        self._position += size
        if datatype == "BYTES":
            return _words(name, part)
        dtype = _DTYPES.get(datatype)
        if dtype is None:
            message = f"field {name!r}: expected one of {[*_DTYPES, 'BYTES']}, found {datatype!a}"
            raise InputError(message)
        if size % dtype.itemsize:
            message = (
                f"field {name!r}: expected a multiple of {dtype.itemsize} bytes for {datatype},"
                f" found {size}"
            )
            raise InputError(message)
        return _numbers(name, np.frombuffer(part, dtype=dtype), nullable=nullable)

    def require_all_taken(self) -> None:
        """Raise `InputError` if bytes are left: nobody knows which field they were meant for."""
        rest = len(self._content) - self._position
        if rest:
            message = (
                f"request body: expected {self._position} bytes of binary data as the {_SIZE} of"
                f" the tensors says, found {rest} more"
            )
            raise InputError(message)


def _numbers(name: str, array: np.ndarray[Any, Any], *, nullable: bool) -> Values:
    values: Values = array.tolist()
    if array.dtype.kind == "f" and np.isnan(array).any():
        if not nullable:
            row = int(np.isnan(array).argmax())
            message = f"request: row {row}, field {name!r}: expected a number, found NaN"
            raise InputError(message)
        # Only NaN differs from itself.
        values = [None if value != value else value for value in values]  # noqa: PLR0124
    return values


def _words(name: str, part: bytes) -> Values:
    words: Values = []
    position = 0
    while position < len(part):
        start = position + _PREFIX_BYTES
        end = start + int.from_bytes(part[position:start], "little")
        if start > len(part) or end > len(part):
            message = (
                f"field {name!r}: expected a length in {_PREFIX_BYTES} bytes and as many bytes of"
                f" text, found that row {len(words)} ends early"
            )
            raise InputError(message)
        try:
            words.append(part[start:end].decode())
        except UnicodeDecodeError as error:
            message = (
                f"request: row {len(words)}, field {name!r}: expected text in UTF-8, found"
                f" {part[start:end][:20]!r}"
            )
            raise InputError(message) from error
        position = end
    return words


def with_binary_outputs(content: bytes, wish: BinaryWish) -> tuple[bytes, int | None]:
    """An answer in JSON with the numbers of its outputs moved behind it.

    Returns
    -------
    bytes
        The body.
    int or None
        Bytes of its JSON object; None if no output is covered, so that the body is JSON alone.
    """
    document: dict[str, Any] = msgspec.json.decode(content)
    parts = []
    for output in document["outputs"]:
        dtype = _DTYPES.get(output["datatype"])
        if dtype is None or not wish.covers(output["name"]):
            continue
        part = np.array(output.pop("data"), dtype=dtype).tobytes()
        output["parameters"] = {**output.get("parameters", {}), _SIZE: len(part)}
        parts.append(part)
    if not parts:
        return content, None
    head = msgspec.json.encode(document)
    return b"".join((head, *parts)), len(head)
