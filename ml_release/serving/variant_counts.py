"""What a server counts about one version in one role, for metrics and the status page.

Plain integers and lists that the event loop alone writes: counting costs about a microsecond, and
nothing is formatted before somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from ml_release.serving.rates import Rates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LATENCY_BOUNDS_MS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0)
"""Upper ends of the buckets, each included; one more takes what is slower."""
PREDICTION_BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Upper ends of the ten buckets of probabilities, each included."""
_RECENT = 1024

ErrorKind = Literal["failed", "unlogged"]


@dataclass(slots=True)
class VariantCounts:
    """Requests that one version was chosen for in one role.

    Attributes
    ----------
    answered, failed, unlogged
        Requests answered with predictions; failed in the model; not answered because they could
        not be logged.
    fallbacks
        Of these, requests that were assigned to another variant that could not answer.
    rows
        Rows that were predicted.
    latency_buckets, latency_sum_ms
        Answered requests by `LATENCY_BOUNDS_MS`, not cumulated, and the sum of their latencies.
    prediction_buckets, prediction_sum
        Predicted probabilities by `PREDICTION_BOUNDS`, not cumulated, and their sum; nothing for
        other kinds of answers.
    missing
        Rows without a value, by feature.
    recent_ms
        Latencies of the last answered requests.
    """

    answered: int = 0
    failed: int = 0
    unlogged: int = 0
    fallbacks: int = 0
    rows: int = 0
    latency_buckets: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MS) + 1))
    latency_sum_ms: float = 0.0
    prediction_buckets: list[int] = field(default_factory=lambda: [0] * len(PREDICTION_BOUNDS))
    prediction_sum: float = 0.0
    missing: Counter[str] = field(default_factory=Counter)
    recent_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    rates: Rates = field(default_factory=lambda: Rates(begun=perf_counter()))

    def add_answered(
        self,
        *,
        at: float,
        features: Sequence[Mapping[str, object]],
        probabilities: Sequence[float],
        latency_ms: float,
    ) -> None:
        """Count one answered request.

        Parameters
        ----------
        at
            When it came in, in seconds of `time.perf_counter`.
        features
            Per row the values the model saw; missing is None.
        probabilities
            Per row, from 0 to 1; empty if the answers are of another kind.
        """
        self.answered += 1
        self.rows += len(features)
        self.latency_buckets[bisect_left(LATENCY_BOUNDS_MS, latency_ms)] += 1
        self.latency_sum_ms += latency_ms
        self.recent_ms.append(latency_ms)
        for probability in probabilities:
            self.prediction_buckets[bisect_left(PREDICTION_BOUNDS, probability)] += 1
            self.prediction_sum += probability
        for row in features:
            if None in row.values():
                for name in [name for name, value in row.items() if value is None]:
                    self.missing[name] += 1
        self.rates.add(at, is_error=False)

    def add_error(self, kind: ErrorKind, *, at: float) -> None:
        """Count one request that the server failed on."""
        if kind == "failed":
            self.failed += 1
        else:
            self.unlogged += 1
        self.rates.add(at, is_error=True)

    def recent_quantile_ms(self, share: float) -> float | None:
        """Nearest-rank quantile of `recent_ms`, None if there are none."""
        return nearest_rank(self.recent_ms, share)


def nearest_rank(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least ``share`` (0 to 1) of all are not above; None of none.

    Examples
    --------
    >>> nearest_rank([3.0, 1.0, 2.0, 4.0], 0.5), nearest_rank([3.0, 1.0, 2.0, 4.0], 0.99)
    (2.0, 4.0)
    """
    ordered = sorted(values)
    if not ordered:
        return None
    rank = -int(-share * len(ordered) // 1)
    return ordered[max(rank, 1) - 1]
