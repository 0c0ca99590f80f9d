"""Writes the inference log: JSON lines, with the operating system before a request is answered.

Every batch is one write(2) of whole lines with ``O_APPEND``, so a process that is killed loses
nothing it has acknowledged. A power cut may: nothing is forced to the disk here. Each process
begins segments of its own and holds a lock on the one it writes to, which tells a reader whether
an unfinished last line is still being written or was torn. Reading is `inference_tables`, because
the endpoint server that writes has no pandas.
"""

from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ml_release.domain.identity import check_line_name
from ml_release.domain.inference import segment_name
from ml_release.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from ml_release.domain.inference import InferenceRecord, Label, Reward, SegmentKind

SEGMENT_BYTES = 64 * 1024 * 1024
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND


@dataclass(slots=True)
class _Segment:
    descriptor: int
    size_bytes: int


class InferenceLogFiles:
    """Appends to ``<root>/<line>/records-*.jsonl`` and ``labels-*.jsonl``.

    Parameters
    ----------
    now
        The clock; its time goes into the names of segments.
    segment_bytes
        A segment that has reached this size is closed and another one begun.
    """

    def __init__(
        self, root: Path, *, now: Callable[[], datetime], segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._root = root
        self._now = now
        self._segment_bytes = segment_bytes
        self._segments: dict[tuple[str, SegmentKind], _Segment] = {}
        self._begun = 0
        self._encoder = msgspec.json.Encoder()
        self._lock = threading.Lock()

    def append_records(self, line: str, records: Sequence[InferenceRecord]) -> None:
        """Keep records of one line, all or none.

        Raises
        ------
        UnavailableError
            If the operating system did not take all of them; none may be acknowledged.
        """
        self._append(line, "records", self._encoder.encode_lines(records))

    def append_labels(self, line: str, labels: Sequence[Label]) -> None:
        """Keep labels of one line, all or none, as `append_records` does."""
        self._append(line, "labels", self._encoder.encode_lines(labels))

    def append_rewards(self, line: str, rewards: Sequence[Reward]) -> None:
        """Keep rewards of one line, all or none, as `append_records` does."""
        self._append(line, "rewards", self._encoder.encode_lines(rewards))

    def close(self) -> None:
        """Close the open segments. The next record begins another one."""
        with self._lock:
            for segment in self._segments.values():
                os.close(segment.descriptor)
            self._segments.clear()

    def _append(self, line: str, kind: SegmentKind, content: bytes) -> None:
        with self._lock:
            try:
                segment = self._segment(line, kind)
                written = os.write(segment.descriptor, content)
            except OSError as error:
                self._abandon(line, kind)
                message = f"inference log of {line}: cannot write to {self._root / line} ({error})"
                raise UnavailableError(message) from error
            if written != len(content):
                self._abandon(line, kind)
                message = (
                    f"inference log of {line}: expected to write {len(content)} bytes, the"
                    f" operating system took {written}. Is the disk full?"
                )
                raise UnavailableError(message)
            segment.size_bytes += written

    def _segment(self, line: str, kind: SegmentKind) -> _Segment:
        segment = self._segments.get((line, kind))
        if segment is not None and segment.size_bytes < self._segment_bytes:
            return segment
        if segment is not None:
            del self._segments[line, kind]
            os.close(segment.descriptor)
        folder = self._root / check_line_name(line)
        folder.mkdir(parents=True, exist_ok=True)
        self._begun += 1
        name = segment_name(kind, begun_at=self._now(), process_id=os.getpid(), ordinal=self._begun)
        descriptor = os.open(folder / name, _FLAGS, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._segments[line, kind] = _Segment(descriptor=descriptor, size_bytes=0)
        return self._segments[line, kind]

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
            os.close(segment.descriptor)
