"""What a server counts about itself, in memory, since it started.

These figures are for a person who looks at the status page. What is judged comes from the
inference log.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from ml_release.serving.variant_counts import VariantCounts, nearest_rank

WINDOW_REQUESTS = 4096


@dataclass(slots=True)
class LineCounts:
    """Requests of one line.

    Attributes
    ----------
    answered, rejected, failed, unlogged
        Answered with predictions; refused as they were not usable; failed in the model; could not
        be logged, and were refused or, where that is declared, answered nevertheless.
    static
        Answered by the kill switch.
    fallbacks
        Requests that the champion answered in the place of a version, per version number.
    shadows_asked, shadows_failed, shadows_dropped
        Questions to shadows: answered; failed; not asked, because the shadows were too slow.
    rows, labels
        Rows that were predicted, and labels that were taken.
    history_look_ups, history_misses
        Look-ups of history features, and those of them that met no key and got the default.
    history_age_days, history_age_largest_days
        Age of the history table at the event of the last answered request, and the largest of all;
        None without a table.
    by_version
        Answered requests per version number.
    latencies_ms
        Of the last `WINDOW_REQUESTS` answered requests, the write to the log included.
    by_variant
        The same in more detail, by role and version number: one entry per version that was ever
        chosen in that role.
    """

    answered: int = 0
    rejected: int = 0
    failed: int = 0
    unlogged: int = 0
    static: int = 0
    rows: int = 0
    labels: int = 0
    history_look_ups: int = 0
    history_misses: int = 0
    history_age_days: int | None = None
    history_age_largest_days: int | None = None
    by_version: Counter[int] = field(default_factory=Counter)
    fallbacks: Counter[int] = field(default_factory=Counter)
    shadows_asked: int = 0
    shadows_failed: int = 0
    shadows_dropped: int = 0
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW_REQUESTS))
    by_variant: dict[tuple[str, int], VariantCounts] = field(default_factory=dict)

    def variant(self, role: str, version: int) -> VariantCounts:
        """The counts of a version in a role."""
        counts = self.by_variant.get((role, version))
        if counts is None:
            counts = self.by_variant[role, version] = VariantCounts()
        return counts

    def add_answered(
        self,
        *,
        version: int,
        rows: int,
        look_ups: int,
        misses: int,
        age_days: int | None,
        latency_ms: float,
    ) -> None:
        """Count one answered request."""
        self.answered += 1
        self.rows += rows
        self.history_look_ups += look_ups
        self.history_misses += misses
        self.history_age_days = age_days
        if age_days is not None:
            largest = self.history_age_largest_days
            self.history_age_largest_days = age_days if largest is None else max(age_days, largest)
        self.by_version[version] += 1
        self.latencies_ms.append(latency_ms)

    def latency_quantile_ms(self, share: float) -> float | None:
        """Nearest-rank quantile of the kept latencies, None if there are none.

        Examples
        --------
        >>> counts = LineCounts()
        >>> for latency_ms in (3.0, 1.0, 2.0, 4.0):
        ...     counts.add_answered(
        ...         version=1, rows=1, look_ups=0, misses=0, age_days=None, latency_ms=latency_ms
        ...     )
        >>> counts.latency_quantile_ms(0.5), counts.latency_quantile_ms(0.99)
        (2.0, 4.0)
        """
        return nearest_rank(self.latencies_ms, share)
