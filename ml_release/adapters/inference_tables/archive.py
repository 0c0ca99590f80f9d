"""Turns finished segments into archives, and deletes what is too old. Never in a server.

Writing Parquet takes the processor for a second per hundred thousand records, which a server that
answers in microseconds does not have; a Dagster run does it (see `orchestration.log_assets`). The
order of steps makes every moment a good one to be killed in: the archive is written beside, read
back and compared, renamed to its name, and only then the segment is removed. Where both are there,
readers take the archive, and the next run makes it again and goes on.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ml_release.adapters.inference_tables.frames import content_digest, frame_of
from ml_release.adapters.inference_tables.listing import parts_of
from ml_release.adapters.inference_tables.parquet_form import (
    frame_of_table,
    read_table,
    table_of,
    write_table,
)
from ml_release.adapters.inference_tables.segment_lines import decode_lines
from ml_release.domain.identity import check_line_name
from ml_release.domain.inference import InferenceRecord, Label, archive_name
from ml_release.domain.log_archive import Archived, Deleted
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from ml_release.domain.inference import SegmentKind

_KINDS: dict[SegmentKind, type[Any]] = {"records": InferenceRecord, "labels": Label}


class InferenceArchiveFiles:
    """`InferenceArchive` beside the segments of `InferenceLogFiles`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def finished(self, line: str) -> int:
        """How many segments could be archived now."""
        folder = self._root / check_line_name(line)
        return sum(_is_finished(path) for path in folder.glob("*.jsonl"))

    def archive(self, line: str) -> Archived:
        """Replace every finished segment of a line by its archive.

        Raises
        ------
        IntegrityError
            If an archive does not read back as its segment; the segment stays.
        """
        folder = self._root / check_line_name(line)
        done = Archived()
        for kind, type_ in _KINDS.items():
            for part in parts_of(folder, kind):
                done = _archive(folder / part.name, type_, done)
        return done

    def delete_before(self, line: str, moment: datetime) -> Deleted:
        """Delete archived records and labels that came in before a moment.

        Rows of segments that are not archived stay until they are.
        """
        folder = self._root / check_line_name(line)
        done = Deleted()
        for kind, type_ in _KINDS.items():
            for part in parts_of(folder, kind):
                if part.archive is not None:
                    done = _delete(part.archive, kind, type_, moment, done)
        return done


def _is_finished(segment: Path) -> bool:
    try:
        with segment.open("rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True


def _archive(segment: Path, type_: type[Any], done: Archived) -> Archived:
    try:
        file = segment.open("rb")
    except FileNotFoundError:
        return done
    with file:
        try:
            # Its writer is gone, no other run archives it, and nobody who reads it is surprised.
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return replace(done, left_open=done.left_open + 1)
        if not segment.exists():
            return done
        content = file.read()
        lines = decode_lines(content, type_, start=0, is_finished=True)
        archive = segment.with_name(archive_name(segment.name, size_bytes=len(content)))
        _put(
            table_of(lines, type_),
            archive,
            type_,
            digest=content_digest(frame_of(lines.found, type_)),
        )
        segment.unlink()
        _sync_folder(segment.parent)
    return replace(
        done,
        segments=done.segments + 1,
        rows=done.rows + len(lines.found),
        torn_lines=done.torn_lines + len(lines.torn_ends),
        bytes_before=done.bytes_before + len(content),
        bytes_after=done.bytes_after + archive.stat().st_size,
    )


def _delete(
    archive: Path, kind: SegmentKind, type_: type[Any], moment: datetime, done: Deleted
) -> Deleted:
    import pyarrow.compute as pc

    table, size = read_table(archive), archive.stat().st_size
    kept = table.filter(pc.greater_equal(table["received_time"], moment))
    rows = len(table) - len(kept)
    if not rows:
        return done
    if len(kept):
        before, _ = frame_of_table(table, type_)
        expected: pd.DataFrame = before[before["received_time"] >= moment]
        _put(kept, archive, type_, digest=content_digest(expected))
        freed = size - archive.stat().st_size
    else:
        archive.unlink()
        freed = size
    _sync_folder(archive.parent)
    return replace(
        done,
        records=done.records + (rows if kind == "records" else 0),
        labels=done.labels + (rows if kind == "labels" else 0),
        files=done.files + (not len(kept)),
        rewritten=done.rewritten + bool(len(kept)),
        bytes_freed=done.bytes_freed + freed,
    )


def _put(table: pa.Table, archive: Path, type_: type[Any], *, digest: str) -> None:
    """Write an archive, read it back, and give it its name if it holds what it should."""
    draft = archive.with_name(f".{archive.name}.draft")
    write_table(table, draft)
    frame, _ = frame_of_table(read_table(draft), type_)
    found = content_digest(frame)
    if len(frame) != len(table) or found != digest:
        draft.unlink()
        message = (
            f"{archive}: expected {len(table)} rows with digest {digest[:19]} to read back, found"
            f" {len(frame)} with {found[:19]}. Nothing was replaced."
        )
        raise IntegrityError(message)
    draft.replace(archive)
    _sync_folder(archive.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
