"""Group commit: nothing is acknowledged that is not on the disk, and waits are shared."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.inference_log import InferenceLogFiles
from ml_release.adapters.inference_tables import InferenceTables
from ml_release.errors import LogFullError, UnavailableError
from ml_release_tests.adapters.test_inference_log import LINE, a_clock, a_record, segments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Disk:
    """Syncs when it is let, and fails when it is told."""

    def __init__(self) -> None:
        self.synced = 0
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.error: OSError | None = None

    def sync(self, _descriptor: int) -> None:
        self.begun.release()
        assert self.go.acquire(timeout=10)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.synced += 1


def a_log(
    root: Path, sync: Callable[[int], None], *, segment_bytes: int = 10**6
) -> InferenceLogFiles:
    return InferenceLogFiles(
        root, now=a_clock(), durability="power", sync=sync, segment_bytes=segment_bytes
    )


def test_requests_that_wait_together_share_one_sync(tmp_path: Path) -> None:
    """Those that come while it runs wait for the next one, and one more sync serves them all."""
    disk = Disk()
    log = a_log(tmp_path, disk.sync)
    first = log.commit(log.append_records(LINE, [a_record("first")]))
    assert disk.begun.acquire(timeout=10)
    later = [log.commit(log.append_records(LINE, [a_record(str(i))])) for i in range(10)]
    assert first is not None
    assert not first.done()
    health = log.health()
    assert (health.unsynced, health.waiting) == (11, 11)
    assert health.oldest_unsynced_s is not None
    disk.go.release()
    first.result(10)
    assert len({id(one) for one in later}) == 1
    disk.go.release()
    for one in later:
        assert one is not None
        one.result(10)
    assert disk.synced == 2
    assert (log.health().unsynced, log.health().waiting) == (0, 0)
    disk.go.release()
    log.close()


def test_a_position_that_is_on_the_disk_waits_for_nothing(tmp_path: Path) -> None:
    """And in the durability ``process`` nothing ever does."""
    log = a_log(tmp_path, os.fdatasync)
    position = log.append_records(LINE, [a_record("a")])
    pending = log.commit(position)
    assert pending is not None
    pending.result(10)
    assert log.commit(position) is None
    log.close()
    plain = InferenceLogFiles(tmp_path / "plain", now=a_clock())
    assert plain.commit(plain.append_records(LINE, [a_record("a")])) is None


def test_a_sync_that_fails_fails_everything_written_until_then(tmp_path: Path) -> None:
    """Its group, the one that gathers meanwhile, and who asks later; then a file of its own."""
    disk = Disk()
    log = a_log(tmp_path, disk.sync)
    disk.error = OSError(errno.EIO, "input/output error")
    first = log.commit(log.append_records(LINE, [a_record("a")]))
    assert disk.begun.acquire(timeout=10)
    second = log.commit(log.append_records(LINE, [a_record("b")]))
    late = log.append_records(LINE, [a_record("c")])
    disk.go.release()
    for one in (first, second):
        assert one is not None
        with pytest.raises(UnavailableError, match="input/output error"):
            one.result(10)
    with pytest.raises(UnavailableError, match="input/output error"):
        log.commit(late)
    assert "input/output error" in (log.health().last_error or "")
    again = log.commit(log.append_records(LINE, [a_record("d")]))
    disk.go.release()
    assert again is not None
    again.result(10)
    assert len(segments(tmp_path)) == 2
    log.close()


def test_a_disk_that_is_full_at_the_sync_is_said_to_be_full(tmp_path: Path) -> None:
    """As some file systems tell it only then."""
    disk = Disk()
    log = a_log(tmp_path, disk.sync)
    disk.error = OSError(errno.ENOSPC, "no space left")
    pending = log.commit(log.append_records(LINE, [a_record("a")]))
    disk.go.release()
    assert pending is not None
    with pytest.raises(LogFullError):
        pending.result(10)
    log.close()


def test_segments_that_are_full_are_synced_before_they_are_closed(tmp_path: Path) -> None:
    """Every sync finds an open descriptor, and everything can be read after."""
    log = a_log(tmp_path, os.fdatasync, segment_bytes=1000)
    for i in range(60):
        pending = log.commit(log.append_records(LINE, [a_record(str(i))]))
        if i % 3 == 0 and pending is not None:
            pending.result(10)
    log.close()
    assert log.health().last_error is None
    assert len(InferenceTables(tmp_path).records(LINE, after={})[0]) == 60
    assert InferenceTables(tmp_path).records(LINE, after={})[0].attrs["torn_lines"] == 0
