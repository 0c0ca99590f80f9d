"""Keeps the deployments repository of a server up to date with its remote, in the background.

Only fetched and followed, never pushed to. The network is met in a thread of its own, so that a
remote that hangs delays neither an answer nor a declaration that is made here.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Protocol

from ml_release.errors import MlReleaseError

if TYPE_CHECKING:
    from ml_release.domain.remote_state import RemoteState

_LOG = logging.getLogger(__name__)


class Remote(Protocol):
    """What is asked of the remote."""

    def pull(self) -> RemoteState:
        """Fetch, and follow where nothing is only here."""


class RemoteFollower:
    """Pulls again and again until it is stopped; whatever fails is told, never raised.

    Parameters
    ----------
    seconds
        From the end of one look to the next.
    """

    def __init__(self, remote: Remote, *, seconds: float) -> None:
        self._remote = remote
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.notes: tuple[str, ...] = ()

    def start(self) -> None:
        """Follow in a thread of its own, until `stop`."""
        self._thread = threading.Thread(target=self._run, name="remote", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; one that waits for the network ends with the process."""
        self._stopping.set()

    def follow(self) -> None:
        """One look."""
        try:
            state = self._remote.pull()
            notes = () if state.is_harmless else (f"deployments: {state.sentence()}",)
        # The thread must outlive whatever a file system can raise.
        except Exception as error:  # noqa: BLE001
            if not isinstance(error, MlReleaseError):
                _LOG.debug("following the remote failed", exc_info=True)
            notes = (f"deployments: the remote is not followed: {type(error).__name__}: {error}",)
        if notes and not self.notes:
            _LOG.warning("%s", notes[0])
        self.notes = notes

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.follow()
            self._stopping.wait(self._seconds)
