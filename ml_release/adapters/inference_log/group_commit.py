"""Brings writes to the disk in groups: requests that wait at the same time share one fdatasync.

One thread syncs, and nothing else. While it does, the next group gathers; a request waits for the
first sync that begins after its write. A sync that fails fails everything written until then, for
good: after a failed fdatasync the kernel may report the same pages as clean (Rebello et al. 2020,
USENIX ATC, "Can Applications Recover from fsync Failures?"), so no later success says anything of
them, and the files in question are written to no more.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_release.adapters.inference_log.full_disk import unwritable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SUBJECT = "inference log"


@dataclass(slots=True)
class _Group:
    done: Future[None] = field(default_factory=Future)
    members: int = 0


class GroupCommit:
    """Knows which writes are on the disk; positions are counted from 1.

    Parameters
    ----------
    lock
        Of the writer. `wrote`, `begun` and `retire` are called while it is held.
    on_failure
        Called with the lock held after a sync has failed: closes every open descriptor.
    sync
        Brings one descriptor's data to the disk.
    """

    def __init__(
        self,
        lock: threading.Lock,
        *,
        on_failure: Callable[[OSError], None],
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self._lock = lock
        self._work = threading.Condition(lock)
        self._on_failure = on_failure
        self._sync = sync
        self._written = self._durable = self._failed = 0
        self._error: OSError | None = None
        self._oldest: float | None = None
        self._oldest_syncing: float | None = None
        self._dirty: set[int] = set()
        self._folders: set[Path] = set()
        self._retired: list[int] = []
        self._gathering: _Group | None = None
        self._syncing: _Group | None = None
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def begun(self, folder: Path) -> None:
        """A file was made in a folder: its name has to reach the disk too."""
        self._folders.update((folder, folder.parent))

    def wrote(self, descriptor: int) -> int:
        """Something was written; return its position."""
        self._written += 1
        self._dirty.add(descriptor)
        if self._oldest is None:
            self._oldest = time.monotonic()
        return self._written

    def retire(self, descriptor: int) -> None:
        """Close a descriptor once its data are on the disk."""
        self._retired.append(descriptor)
        self._start()
        self._work.notify()

    def wait_for(self, position: int) -> Future[None] | None:
        """What is done when a position is on the disk; None if it is there already.

        Every member of a group gets the same future: nobody may cancel it.

        Raises
        ------
        UnavailableError
            If it was lost. The future raises the same.
        """
        with self._lock:
            if position <= self._failed:
                assert self._error is not None  # noqa: S101 (for the type checker)
                raise unwritable(_SUBJECT, self._error)
            if position <= self._durable:
                return None
            if self._gathering is None:
                self._gathering = _Group()
                self._start()
                self._work.notify()
            self._gathering.members += 1
            return self._gathering.done

    def unsynced(self) -> tuple[int, float | None, int]:
        """Writes not on the disk, age in seconds of the oldest, requests waiting; lock held."""
        groups = (self._gathering, self._syncing)
        oldest = self._oldest if self._oldest_syncing is None else self._oldest_syncing
        return (
            self._written - max(self._durable, self._failed),
            None if oldest is None else time.monotonic() - oldest,
            sum(group.members for group in groups if group is not None),
        )

    def stop(self) -> None:
        """Sync what is left, close what was retired, and end the thread; lock not held."""
        with self._lock:
            self._is_stopping = True
            self._start()
            self._work.notify()
            thread = self._thread
        if thread is not None:
            thread.join()
        with self._lock:
            self._is_stopping, self._thread = False, None

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._work:
                while not (self._gathering or self._retired or self._is_stopping):
                    self._work.wait()
                is_last = self._is_stopping
                group, self._gathering = self._gathering, None
                self._syncing = group
                position = self._written
                self._oldest_syncing, self._oldest = self._oldest, None
                dirty, self._dirty = self._dirty, set()
                folders, self._folders = self._folders, set()
                retired, self._retired = self._retired, []
            error = self._bring_to_disk(dirty, folders)
            with self._lock:
                self._syncing = self._oldest_syncing = None
                failed = [group]
                if error is None:
                    self._durable = position
                else:
                    failed.append(self._gathering)
                    self._gathering = None
                    self._lose(error)
                    retired += self._retired
                    self._retired = []
                for descriptor in retired:
                    with suppress(OSError):
                        os.close(descriptor)
            _tell(failed, error)
            if is_last:
                return

    def _lose(self, error: OSError) -> None:
        self._failed, self._error = self._written, error
        self._oldest = None
        self._dirty.clear()
        self._on_failure(error)

    def _bring_to_disk(self, dirty: set[int], folders: set[Path]) -> OSError | None:
        try:
            for descriptor in dirty:
                self._sync(descriptor)
            for folder in folders:
                descriptor = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            return error
        return None


def _tell(groups: list[_Group | None], error: OSError | None) -> None:
    for group in groups:
        if group is None:
            continue
        if error is None:
            group.done.set_result(None)
        else:
            group.done.set_exception(unwritable(_SUBJECT, error))
