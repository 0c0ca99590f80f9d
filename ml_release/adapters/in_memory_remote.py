"""`DeploymentsRemote` that says what it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_release.domain.remote_state import RemoteState


class InMemoryRemote:
    """A remote in one state; counts how often it was looked at."""

    def __init__(self, state: RemoteState) -> None:
        self.now = state
        self.looks = 0
        self._seen = state

    def sync(self) -> RemoteState:
        """What it is in now."""
        self.looks += 1
        self._seen = self.now
        return self._seen

    def state(self) -> RemoteState:
        """What it was in at the last look."""
        return self._seen
