"""`Notifier` in a list, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.errors import UnavailableError

if TYPE_CHECKING:
    from ml_release.domain.notices import Notice


class InMemoryNotifier:
    """Keeps what it was to send; ``problem`` makes it one that cannot."""

    def __init__(self) -> None:
        self.sent: list[Notice] = []
        self.problem = ""

    def send(self, notice: Notice) -> None:
        """Keep a notice."""
        if self.problem:
            raise UnavailableError(self.problem)
        self.sent.append(notice)
