"""How much of the inference log is on the disk, and when it was last written to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """Look at the files in a line's folder and in those below it; one that is not there is empty."""
    size, newest = 0, None
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                stat = os.stat(os.path.join(root, name))  # noqa: PTH116, PTH118 (a scrape: no Path per file)
            # Compacted or expired since it was listed.
            except FileNotFoundError:
                continue
            size += stat.st_size
            newest = stat.st_mtime if newest is None else max(newest, stat.st_mtime)
    return LogSize(size_bytes=size, written_at=newest)
