"""What became of the files of the inference log: what was archived, and what was deleted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """Finished segments that were turned into archives.

    Attributes
    ----------
    segments, rows
        How many, and the records and labels in them.
    torn_lines
        Lines in them that nobody can read, which no archive keeps.
    bytes_before, bytes_after
        Of the segments, and of their archives.
    left_open
        Segments that somebody writes to or reads just now.
    """

    segments: int = 0
    rows: int = 0
    torn_lines: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    left_open: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What was older than the line keeps it.

    Attributes
    ----------
    records, labels
        Rows that are gone.
    files, rewritten
        Archives that are gone whole, and those that lost a part of their rows.
    bytes_freed
        On the disk.
    """

    records: int = 0
    labels: int = 0
    files: int = 0
    rewritten: int = 0
    bytes_freed: int = 0
