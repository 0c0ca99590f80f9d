"""Reads a segment of JSON lines from a byte on, as far as nobody writes to it any more."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What was read.

    Attributes
    ----------
    found, ends
        What the readable lines hold, and the byte behind each of them, counted from the beginning
        of the segment.
    torn_ends
        The bytes behind the lines that cannot be read.
    end
        Up to where the segment was read.
    """

    found: list[Any]
    ends: list[int]
    torn_ends: list[int]
    end: int


def read_lines(segment: Path, type_: type[Any], *, start: int) -> Lines:
    """The lines after ``start``; an unfinished last one only if its writer is gone.

    Raises
    ------
    FileNotFoundError
        If the segment is not there any more.
    """
    with segment.open("rb") as file:
        # Held until the file is closed, so that no writer can begin in between. A writer waits for
        # it only on the segment it has just made, which is empty and read in no time.
        is_finished = _locks_out_writers(file.fileno())
        file.seek(start)
        content = file.read()
    return decode_lines(content, type_, start=start, is_finished=is_finished)


def decode_lines(content: bytes, type_: type[Any], *, start: int, is_finished: bool) -> Lines:
    """The lines of ``content``, which begins at the byte ``start`` of its segment."""
    end = content.rfind(b"\n") + 1
    lines = content[:end].split(b"\n")[:-1]
    behind = list(accumulate((len(line) + 1 for line in lines), initial=start))[1:]
    if is_finished and end < len(content):
        lines.append(content[end:])
        end = len(content)
        behind.append(start + end)
    decoder = msgspec.json.Decoder(type_)
    found: list[Any] = []
    ends: list[int] = []
    torn_ends: list[int] = []
    for line, position in zip(lines, behind, strict=True):
        try:
            found.append(decoder.decode(line))
            ends.append(position)
        except (msgspec.DecodeError, UnicodeDecodeError):
            torn_ends.append(position)
    return Lines(found=found, ends=ends, torn_ends=torn_ends, end=start + end)


def _locks_out_writers(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
