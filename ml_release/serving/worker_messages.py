"""What the server and the process of a variant say to each other: MessagePack behind a length.

Numbers travel as the bytes of float64, words as they are, so that an answer is the same bits as
from a model in the server itself. Nothing that is received is ever executed or unpickled.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    import socket

    from ml_release.domain.features import Columns

_LENGTH = struct.Struct(">Q")


class Load(msgspec.Struct, tag=True):
    """Become this model, in this much more memory than now."""

    files: dict[str, bytes]
    memory_bytes: int


class Ask(msgspec.Struct, tag=True):
    """Answer these readable feature values."""

    number: int
    numbers: dict[str, bytes]
    words: dict[str, list[str | None]]


class Loaded(msgspec.Struct, tag=True):
    """The model is there."""

    platform: str


class Answered(msgspec.Struct, tag=True):
    """Its predictions, float64."""

    number: int
    predictions: bytes
    shape: list[int]


class Failed(msgspec.Struct, tag=True):
    """It could not; ``number`` is None where it could not be loaded."""

    number: int | None
    error: str


ToWorker = Load | Ask
FromWorker = Loaded | Answered | Failed

_ENCODER = msgspec.msgpack.Encoder()


def send(connection: socket.socket, message: ToWorker | FromWorker) -> None:
    """Send one message whole; `OSError` if the other side is gone."""
    content = _ENCODER.encode(message)
    connection.sendall(_LENGTH.pack(len(content)) + content)


def receive(connection: socket.socket) -> bytes | None:
    """One message as it came, None when the other side has closed."""
    head = _exactly(connection, _LENGTH.size)
    return None if head is None else _exactly(connection, _LENGTH.unpack(head)[0])


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    pieces = bytearray()
    while len(pieces) < size:
        piece = connection.recv(min(size - len(pieces), 1 << 20))
        if not piece:
            return None
        pieces += piece
    return bytes(pieces)


def ask_of(number: int, values: Columns) -> Ask:
    """The question for some rows.

    >>> ask_of(1, {"carrier": np.array(["UA"], dtype=object)}).words
    {'carrier': ['UA']}
    """
    return Ask(
        number=number,
        numbers={
            name: np.ascontiguousarray(column, dtype=np.float64).tobytes()
            for name, column in values.items()
            if column.dtype != np.object_
        },
        words={
            name: column.tolist() for name, column in values.items() if column.dtype == np.object_
        },
    )


def values_of(question: Ask) -> Columns:
    """The rows of a question, as `ml_release.domain.features.encode` takes them."""
    numbers = {name: np.frombuffer(content) for name, content in question.numbers.items()}
    words = {name: np.array(words, dtype=np.object_) for name, words in question.words.items()}
    return {**numbers, **words}
