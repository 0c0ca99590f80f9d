"""How much room the inference log takes and has left, held against its declared bounds.

Looking at every file costs a millisecond for a thousand of them, so it is done each few seconds;
in between the writer counts what it adds itself. Several writers therefore meet a bound late by
what the others add in those seconds.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.errors import LogFullError

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.log_health import LogBounds

_SECONDS = 5.0
_SECONDS_WHILE_FULL = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What was found: sizes in bytes; ``free_bytes`` is None where the disk does not say."""

    size_bytes: int
    free_bytes: int | None
    segments: int
    archives: int

    def addable(self, bounds: LogBounds) -> float:
        """Bytes that may be added until a bound is met; infinite without one."""
        within = math.inf if bounds.max_bytes is None else bounds.max_bytes - self.size_bytes
        if self.free_bytes is None:
            return within
        return min(within, self.free_bytes - bounds.min_free_bytes)


class DiskRoom:
    """The folder of the log and its bounds."""

    def __init__(self, root: Path, bounds: LogBounds) -> None:
        self._root = root
        self._bounds = bounds
        self._room: Room | None = None
        self._measured_at = -math.inf
        self._addable: float = 0
        self._added = 0
        self._asked = 1

    def require(self, subject: str, size_bytes: int) -> None:
        """Make sure that so many bytes may be added.

        Raises
        ------
        LogFullError
            Naming the bound, what stands against it, and what to do.
        """
        self._asked = size_bytes
        age = time.monotonic() - self._measured_at
        is_full = self._added + size_bytes > self._addable
        if not is_full and age <= _SECONDS:
            return
        if not is_full or age > _SECONDS_WHILE_FULL:
            self.measure()
        problem = self._problem(size_bytes)
        if problem is not None:
            message = f"{subject}: {problem}"
            raise LogFullError(message)

    def added(self, size_bytes: int) -> None:
        """Count what was written since the last look."""
        self._added += size_bytes

    def measure(self) -> Room:
        """Look at the folder and the disk now."""
        size_bytes = segments = archives = 0
        for folder in _entries(self._root):
            if not folder.is_dir(follow_symlinks=False):
                continue
            for entry in _entries(folder.path):
                try:
                    size_bytes += entry.stat(follow_symlinks=False).st_size
                # Archived or deleted meanwhile.
                except FileNotFoundError:
                    continue
                segments += entry.name.endswith(".jsonl")
                archives += entry.name.endswith(".parquet")
        self._room = Room(
            size_bytes=size_bytes,
            free_bytes=_free_bytes(self._root),
            segments=segments,
            archives=archives,
        )
        self._measured_at = time.monotonic()
        self._addable = self._room.addable(self._bounds)
        self._added = 0
        return self._room

    @property
    def is_full(self) -> bool:
        """Whether a write like the last one would be refused, as of the last look."""
        return self._problem(self._asked) is not None

    def _problem(self, size_bytes: int) -> str | None:
        room, bounds = self._room, self._bounds
        if room is None:
            return None
        more = self._added + size_bytes
        if bounds.max_bytes is not None and room.size_bytes + more > bounds.max_bytes:
            return (
                f"the log is full; expected at most {bounds.max_bytes} bytes"
                f" (ML_RELEASE_LOG_MAX_BYTES), found {room.size_bytes + self._added} and"
                f" {size_bytes} to add. Archive it, shorten the line's retention, or raise the"
                " bound"
            )
        if room.free_bytes is not None and room.free_bytes - more < bounds.min_free_bytes:
            return (
                f"the disk is full; expected {bounds.min_free_bytes} bytes to stay free"
                f" (ML_RELEASE_LOG_MIN_FREE_BYTES), found {max(0, room.free_bytes - self._added)}"
                f" and {size_bytes} to add. Make room on the disk of {self._root}"
            )
        return None


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _free_bytes(root: Path) -> int | None:
    """Bytes a user may still write where the folder is, or will be."""
    for folder in (root, *root.parents):
        try:
            found = os.statvfs(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return found.f_bavail * found.f_frsize
    return None
