"""Requests and errors of the last five minutes, by the second."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST = 300
_SECONDS = LONGEST + 1
_NEVER = -_SECONDS


@dataclass(frozen=True, slots=True)
class Rate:
    """What a while looked like.

    Attributes
    ----------
    per_second
        Requests per second, those that failed included.
    error_share
        Of these requests, the share the server failed on, 0 to 1; None without requests.
    """

    per_second: float
    error_share: float | None


class Rates:
    """A ring with one slot per second; adding costs the same however long it runs.

    Parameters
    ----------
    begun
        When counting began, in seconds of the clock that `add` and `over` are told.

    Examples
    --------
    >>> rates = Rates(begun=0.0)
    >>> for second in range(60):
    ...     rates.add(second, is_error=second < 15)
    >>> rates.over(60, now=60.5)
    Rate(per_second=1.0, error_share=0.25)
    """

    __slots__ = ("_begun", "_current", "_errors", "_requests", "_second", "_slot")

    def __init__(self, *, begun: float) -> None:
        self._begun = begun
        self._second = [_NEVER] * _SECONDS
        self._requests = [0] * _SECONDS
        self._errors = [0] * _SECONDS
        self._current = _NEVER
        self._slot = 0

    def add(self, at: float, *, is_error: bool) -> None:
        """Count one request."""
        # Most requests come in the second of the one before.
        if not self._current <= at < self._current + 1:
            self._turn(int(at))
        self._requests[self._slot] += 1
        if is_error:
            self._errors[self._slot] += 1

    def _turn(self, second: int) -> None:
        self._current = second
        self._slot = second % _SECONDS
        if self._second[self._slot] != second:
            self._second[self._slot] = second
            self._requests[self._slot] = self._errors[self._slot] = 0

    def over(self, seconds: int, *, now: float) -> Rate:
        """The last ``seconds`` whole seconds, up to `LONGEST`; fewer if counting began later."""
        last = int(now)
        slots = [i for i, second in enumerate(self._second) if last - seconds <= second < last]
        requests = sum(self._requests[i] for i in slots)
        errors = sum(self._errors[i] for i in slots)
        counted = min(float(seconds), max(now - self._begun, 1.0))
        return Rate(
            per_second=requests / counted, error_share=errors / requests if requests else None
        )
