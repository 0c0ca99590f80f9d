"""Which labels this server was told, to say at once that one contradicts another.

It remembers a bounded number and nothing of before it started, so an empty list of conflicts shows
nothing. Whether labels agree is judged where they are gathered (`domain.label_maturity`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.inference import Label

REMEMBERED = 100_000


class ToldLabels:
    """The first label of each of the newest requests that a label was told of."""

    def __init__(self, *, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._first: dict[tuple[str, str], int] = {}

    def conflicts(self, line: str, labels: Sequence[Label]) -> list[str]:
        """Remember labels; return the requests that another label stands for, each once.

        The first label of a request stands, so the same again is no conflict and changes nothing.
        """
        found = {
            label.request_id: None
            for label in labels
            if self._first.setdefault((line, label.request_id), label.label) != label.label
        }
        while len(self._first) > self._limit:
            del self._first[next(iter(self._first))]
        return list(found)
