"""What there is of a line: segments, and the archives that stand for segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.inference import archived_segment, is_segment

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.inference import SegmentKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One segment, in either form or, for a moment, in both.

    Attributes
    ----------
    name
        Of the segment: what a cursor names it by.
    archive
        Its archive, None if there is none.
    size_bytes
        Of the segment that the archive stands for; 0 without an archive.
    """

    name: str
    archive: Path | None = None
    size_bytes: int = 0


def parts_of(folder: Path, kind: SegmentKind) -> list[Part]:
    """Every segment of a kind, in the order in which they were begun."""
    # In this order: a segment is removed after its archive is there, so one that the first look
    # misses is found by the second.
    segments = [path.name for path in folder.glob("*.jsonl") if is_segment(kind, path.name)]
    found = {name: Part(name=name) for name in segments}
    for path in folder.glob("*.parquet"):
        known = archived_segment(path.name)
        if known is not None and is_segment(kind, known[0]):
            found[known[0]] = Part(name=known[0], archive=path, size_bytes=known[1])
    return [found[name] for name in sorted(found)]
