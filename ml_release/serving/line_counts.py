"""What a server counts about itself, in memory, since it started.

These figures are for a person who looks at the status page. What is judged comes from the
inference log.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

WINDOW_REQUESTS = 4096


@dataclass(slots=True)
class LineCounts:
    """Requests of one line.

    Attributes
    ----------
    answered, rejected, failed, unlogged
        Answered with predictions; refused as they were not usable; failed in the model; not
        answered because they could not be logged.
    rows, labels
        Rows that were predicted, and labels that were taken.
    history_misses
        Look-ups of history features that met no key and got the default.
    by_version
        Answered requests per version number.
    latencies_ms
        Of the last `WINDOW_REQUESTS` answered requests, the write to the log included.
    """

    answered: int = 0
    rejected: int = 0
    failed: int = 0
    unlogged: int = 0
    rows: int = 0
    labels: int = 0
    history_misses: int = 0
    by_version: Counter[int] = field(default_factory=Counter)
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW_REQUESTS))

    def add_answered(self, *, version: int, rows: int, misses: int, latency_ms: float) -> None:
        """Count one answered request."""
        self.answered += 1
        self.rows += rows
        self.history_misses += misses
        self.by_version[version] += 1
        self.latencies_ms.append(latency_ms)

    def latency_quantile_ms(self, share: float) -> float | None:
        """Nearest-rank quantile of the kept latencies, None if there are none.

        Examples
        --------
        >>> counts = LineCounts()
        >>> for latency_ms in (3.0, 1.0, 2.0, 4.0):
        ...     counts.add_answered(version=1, rows=1, misses=0, latency_ms=latency_ms)
        >>> counts.latency_quantile_ms(0.5), counts.latency_quantile_ms(0.99)
        (2.0, 4.0)
        """
        ordered = sorted(self.latencies_ms)
        if not ordered:
            return None
        rank = -int(-share * len(ordered) // 1)
        return ordered[max(rank, 1) - 1]
