"""Counts of latencies in steps of five percent, which add up: quantiles without keeping values.

Masson, Rim and Lee (2019), PVLDB 12(12): a value is counted in the bucket of its logarithm.
Sketches of parts give the sketch of the whole, in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotation)
from dataclasses import dataclass, field
from math import ceil, isfinite
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ml_release.domain.scores import Floats

STEP = 1.05
"""Upper end of a bucket over its lower end: a quantile is at most five percent too great."""

_LEAST_MS = 1e-3


@dataclass(frozen=True, slots=True)
class LatencySketch:
    """How many values fell into each bucket.

    Attributes
    ----------
    counts
        Bucket to count, both whole numbers. Bucket i holds values above ``STEP ** (i - 1)`` up to
        ``STEP ** i`` milliseconds; what is below a microsecond counts as one.
    """

    counts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, latencies_ms: Floats) -> LatencySketch:
        """The finite ones of some latencies, shape (n,)."""
        known = np.maximum(latencies_ms[np.isfinite(latencies_ms)], _LEAST_MS)
        # A value on an edge stays below it although its logarithm is rounded.
        buckets = np.ceil(np.log(known) / np.log(STEP) - 1e-9).astype(np.int64)
        names, counts = np.unique(buckets, return_counts=True)
        return cls(dict(zip(names.tolist(), counts.tolist(), strict=True)))

    def __add__(self, other: LatencySketch) -> LatencySketch:
        return LatencySketch(dict(sorted((Counter(self.counts) + Counter(other.counts)).items())))

    @property
    def n(self) -> int:
        """How many values."""
        return sum(self.counts.values())

    def quantile(self, share: float) -> float | None:
        """The smallest edge that so much of the values do not exceed, in milliseconds.

        None without values.

        >>> found = LatencySketch.of(np.array([1.0, 1.0, 1.0, 20.0]))
        >>> found.quantile(0.5), 20.0 <= (found.quantile(0.99) or 0) <= 20.0 * STEP
        (1.0, True)
        """
        wanted, seen = ceil(share * self.n - 1e-9), 0
        for bucket, count in sorted(self.counts.items()):
            seen += count
            if seen >= max(1, wanted):
                return float(STEP**bucket)
        return None

    def above(self, limit_ms: float) -> int:
        """How many values are above a limit for certain: those of the bucket it cuts are not.

        >>> LatencySketch.of(np.array([1.0, 99.0, 110.0])).above(100.0)
        1
        """
        if not isfinite(limit_ms):
            return 0
        return sum(
            count for bucket, count in self.counts.items() if STEP ** (bucket - 1) >= limit_ms
        )
