"""How much of the inference log is on the disk, and when it was last written to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LogSize:
    """Of one line.

    Attributes
    ----------
    written_at
        Seconds since 1970; None if there is nothing.
    """

    size_bytes: int
    written_at: float | None


def log_size(folder: Path) -> LogSize:
    """Look at the files in a line's folder and in those below; one that is not there is empty."""
    size, newest = 0, None
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                stat = Path(root, name).stat()
            # Compacted or expired since it was listed.
            except FileNotFoundError:
                continue
            size += stat.st_size
            newest = stat.st_mtime if newest is None else max(newest, stat.st_mtime)
    return LogSize(size_bytes=size, written_at=newest)
