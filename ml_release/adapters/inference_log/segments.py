"""Appends JSON lines to segments: with the operating system, or the disk, before an answer.

Every batch is one write(2) of whole lines with ``O_APPEND``, so a process that is killed loses
nothing it has acknowledged. A power cut may, unless the durability is ``power``: then an answer
also waits for an fdatasync that began after its write (see `group_commit`). Each process begins
segments of its own and holds a lock on the one it writes to, which tells a reader whether an
unfinished last line is still being written or was torn, and an archivist what is finished.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ml_release.adapters.inference_log.disk_room import DiskRoom
from ml_release.adapters.inference_log.full_disk import short_write, unwritable
from ml_release.adapters.inference_log.group_commit import GroupCommit
from ml_release.domain.identity import check_line_name
from ml_release.domain.inference import segment_name
from ml_release.domain.log_health import LogBounds, LogHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from datetime import datetime
    from pathlib import Path

    from ml_release.domain.inference import InferenceRecord, Label, Reward, SegmentKind
    from ml_release.domain.log_health import Durability

SEGMENT_BYTES = 64 * 1024 * 1024
SEGMENT_SECONDS = 24 * 3600.0
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND


@dataclass(slots=True)
class _Segment:
    descriptor: int
    begun_at: float
    size_bytes: int


class InferenceLogFiles:
    """Appends to ``<root>/<line>/records-*.jsonl`` and ``labels-*.jsonl``.

    Parameters
    ----------
    now
        The clock; its time goes into the names of segments.
    segment_bytes, segment_seconds
        A segment that has reached this size or this age is closed and another one begun.
    sync
        Brings one descriptor's data to the disk, for the durability ``power``.
    """

    def __init__(
        self,
        root: Path,
        *,
        now: Callable[[], datetime],
        segment_bytes: int = SEGMENT_BYTES,
        segment_seconds: float = SEGMENT_SECONDS,
        durability: Durability = "process",
        bounds: LogBounds | None = None,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self.bounds = bounds or LogBounds()
        self._root = root
        self._now = now
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._durability = durability
        self._segments: dict[tuple[str, SegmentKind], _Segment] = {}
        self._begun = 0
        self._written = 0
        self._last_error: str | None = None
        self._encoder = msgspec.json.Encoder()
        self._lock = threading.Lock()
        self._room = DiskRoom(root, self.bounds)
        self._commits = (
            GroupCommit(self._lock, on_failure=self._lose_segments, sync=sync)
            if durability == "power"
            else None
        )

    def append_records(self, line: str, records: Sequence[InferenceRecord]) -> int:
        """Keep records of one line, all or none.

        Returns
        -------
        int
            Position of the write, to ask `commit` for.

        Raises
        ------
        LogFullError
            If there is no room for all of them, on the disk or within the bounds.
        UnavailableError
            If the operating system did not take all of them; none may be acknowledged.
        """
        return self._append(line, "records", self._encoder.encode_lines(records))

    def append_labels(self, line: str, labels: Sequence[Label]) -> int:
        """Keep labels of one line, all or none, as `append_records` does."""
        return self._append(line, "labels", self._encoder.encode_lines(labels))

    def append_rewards(self, line: str, rewards: Sequence[Reward]) -> int:
        """Keep rewards of one line, all or none, as `append_records` does."""
        return self._append(line, "rewards", self._encoder.encode_lines(rewards))

    def commit(self, position: int) -> Future[None] | None:
        """What has to be awaited before a write may be acknowledged; None if nothing has to be.

        Raises
        ------
        UnavailableError
            If the write did not reach the disk, as the future does. It may not be acknowledged.
        """
        return None if self._commits is None else self._commits.wait_for(position)

    def health(self) -> LogHealth:
        """How the log stands now."""
        with self._lock:
            room = self._room.measure()
            unsynced, oldest_s, waiting = (
                (None, None, 0) if self._commits is None else self._commits.unsynced()
            )
            return LogHealth(
                durability=self._durability,
                when_full=self.bounds.when_full,
                is_full=self._room.is_full,
                size_bytes=room.size_bytes,
                max_bytes=self.bounds.max_bytes,
                free_bytes=room.free_bytes,
                min_free_bytes=self.bounds.min_free_bytes,
                segments=room.segments,
                archives=room.archives,
                unsynced=unsynced,
                oldest_unsynced_s=oldest_s,
                waiting=waiting,
                last_error=self._last_error,
            )

    def close_aged(self) -> None:
        """Close segments that have reached their age, also of a line that nobody asks any more."""
        with self._lock:
            for key, segment in list(self._segments.items()):
                if self._is_finished(segment):
                    del self._segments[key]
                    self._close(segment.descriptor)

    def close(self) -> None:
        """Close the open segments. The next record begins another one."""
        with self._lock:
            for segment in self._segments.values():
                self._close(segment.descriptor)
            self._segments.clear()
        if self._commits is not None:
            self._commits.stop()

    def _append(self, line: str, kind: SegmentKind, content: bytes) -> int:
        with self._lock:
            try:
                return self._write(line, kind, content)
            except Exception as error:
                self._last_error = f"{self._now().isoformat()} {error}"
                raise

    def _write(self, line: str, kind: SegmentKind, content: bytes) -> int:
        subject = f"inference log of {line}"
        self._room.require(subject, len(content))
        try:
            segment = self._segment(line, kind)
            written = os.write(segment.descriptor, content)
        except OSError as error:
            self._abandon(line, kind)
            raise unwritable(subject, error) from error
        if written != len(content):
            self._abandon(line, kind)
            raise short_write(subject, expected=len(content), written=written)
        segment.size_bytes += written
        self._room.added(written)
        if self._commits is not None:
            return self._commits.wrote(segment.descriptor)
        self._written += 1
        return self._written

    def _segment(self, line: str, kind: SegmentKind) -> _Segment:
        segment = self._segments.get((line, kind))
        if segment is not None and not self._is_finished(segment):
            return segment
        if segment is not None:
            del self._segments[line, kind]
            self._close(segment.descriptor)
        folder = self._root / check_line_name(line)
        folder.mkdir(parents=True, exist_ok=True)
        self._begun += 1
        name = segment_name(kind, begun_at=self._now(), process_id=os.getpid(), ordinal=self._begun)
        descriptor = os.open(folder / name, _FLAGS, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if self._commits is not None:
            self._commits.begun(folder)
        segment = _Segment(descriptor=descriptor, begun_at=time.monotonic(), size_bytes=0)
        self._segments[line, kind] = segment
        return segment

    def _is_finished(self, segment: _Segment) -> bool:
        return (
            segment.size_bytes >= self._segment_bytes
            or time.monotonic() - segment.begun_at >= self._segment_seconds
        )

    def _abandon(self, line: str, kind: SegmentKind) -> None:
        """Take back what may have been written in part, and never append behind it."""
        segment = self._segments.pop((line, kind), None)
        if segment is None:
            return
        try:
            os.ftruncate(segment.descriptor, segment.size_bytes)
        except OSError:
            # The torn line stays; the reader skips and counts it.
            return
        finally:
            self._close(segment.descriptor)

    def _close(self, descriptor: int) -> None:
        if self._commits is None:
            os.close(descriptor)
        else:
            self._commits.retire(descriptor)

    def _lose_segments(self, error: OSError) -> None:
        """Nothing is appended to files whose sync has failed."""
        self._last_error = f"{self._now().isoformat()} {unwritable('inference log', error)}"
        for segment in self._segments.values():
            os.close(segment.descriptor)
        self._segments.clear()
