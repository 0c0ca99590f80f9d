"""ADWIN: has the mean of a stream changed, by a window that is as long as nothing changes.

Bifet and Gavalda (2007), SIAM International Conference on Data Mining: the window is cut wherever
its older and newer part differ by more than chance allows. It is kept as buckets of 1, 2, 4, ...
values, at most so many of a size, so that the state grows with the logarithm of the stream. As in
river's ``ADWIN``, the value after a change begins a new window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, sqrt
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterator


class AdwinPolicy(BaseModel):
    """When a mean is said to have changed.

    Attributes
    ----------
    delta
        Bound on the probability of a cut where nothing changed, if values are independent and
        within a range of 1.
    clock
        A cut is looked for with every so many values.
    maximum_buckets
        Of one size, before the two oldest are made one.
    minimum_part
        Fewer values on one side of a cut show nothing.
    grace_values
        No cut is looked for up to so many values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    delta: Annotated[float, Field(gt=0, lt=1)] = 0.002
    clock: Annotated[int, Field(ge=1)] = 32
    maximum_buckets: Annotated[int, Field(ge=2)] = 5
    minimum_part: Annotated[int, Field(ge=1)] = 5
    grace_values: Annotated[int, Field(ge=1)] = 10


class Bucket(NamedTuple):
    """Some neighbouring values: their sum, and the sum of squares around their mean."""

    total: float
    squares: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Adwin:
    """What a stream has shown so far.

    Attributes
    ----------
    rows
        Buckets of ``2 ** i`` values in row ``i``, the oldest of a row first; values get older with
        the rows.
    ticks
        Values since the beginning or the last change.
    width, total, squares
        Of all the values in the buckets.
    older_mean, newer_mean
        Of the two sides of the cut that was found first, where the last value showed a change.
    """

    rows: tuple[tuple[Bucket, ...], ...] = ((),)
    ticks: int = 0
    width: int = 0
    total: float = 0.0
    squares: float = 0.0
    older_mean: float | None = None
    newer_mean: float | None = None

    @property
    def changed(self) -> bool:
        """Whether the last value showed a change; the next one begins anew."""
        return self.older_mean is not None

    @property
    def mean(self) -> float | None:
        """Mean of the window, None without a value."""
        return self.total / self.width if self.width else None

    def after(self, value: float, policy: AdwinPolicy) -> Adwin:
        """The state after one more value, which has to be finite."""
        state = _with(Adwin() if self.changed else self, value, policy)
        if state.ticks % policy.clock or state.width <= policy.grace_values:
            return state
        first = None
        while (cut := _cut(state, policy)) is not None:
            first = first or cut
            state = _without_oldest(state)
        return state if first is None else replace(state, older_mean=first[0], newer_mean=first[1])


def _merged(older: Bucket, newer: Bucket, n: int) -> Bucket:
    """Two buckets of ``n`` values each as one."""
    gap = older.total / n - newer.total / n
    return Bucket(older.total + newer.total, older.squares + newer.squares + n * gap**2 / 2)


def _with(state: Adwin, value: float, policy: AdwinPolicy) -> Adwin:
    width = state.width + 1
    grown = 0.0
    if state.width:
        grown = state.width * (value - state.total / state.width) ** 2 / width
    rows = [list(row) for row in state.rows]
    rows[0].append(Bucket(value, 0.0))
    for size, row in enumerate(rows):
        if len(row) <= policy.maximum_buckets:
            break
        if size + 1 == len(rows):
            rows.append([])
        rows[size + 1].append(_merged(row[0], row[1], 2**size))
        del row[:2]
    return Adwin(
        rows=tuple(tuple(row) for row in rows),
        ticks=state.ticks + 1,
        width=width,
        total=state.total + value,
        squares=state.squares + grown,
    )


def _without_oldest(state: Adwin) -> Adwin:
    n = 2 ** (len(state.rows) - 1)
    oldest, *others = state.rows[-1]
    width, total = state.width - n, state.total - oldest.total
    gap = oldest.total / n - total / width
    squares = state.squares - oldest.squares - n * width * gap**2 / (n + width)
    kept = state.rows[:-1]
    return replace(
        state,
        rows=(*kept, tuple(others)) if others else kept,
        width=width,
        total=total,
        squares=squares,
    )


def _cut(state: Adwin, policy: AdwinPolicy) -> tuple[float, float] | None:
    """Means of the two sides of the first cut that is no chance; None without one."""
    n, total = 0, 0.0
    for size, bucket in _oldest_first(state):
        n, total = n + size, total + bucket.total
        rest = state.width - n
        if min(n, rest) < policy.minimum_part:
            continue
        means = total / n, (state.total - total) / rest
        if abs(means[0] - means[1]) > _allowed(state, n, rest, policy):
            return means
    return None


def _oldest_first(state: Adwin) -> Iterator[tuple[int, Bucket]]:
    for row in reversed(range(len(state.rows))):
        for bucket in state.rows[row]:
            yield 2**row, bucket


def _allowed(state: Adwin, n: int, rest: int, policy: AdwinPolicy) -> float:
    """How far the means of two parts may be apart by chance."""
    doubt = log(2 * log(state.width) / policy.delta)
    inverse = 1 / (n - policy.minimum_part + 1) + 1 / (rest - policy.minimum_part + 1)
    return (
        sqrt(2 * inverse * max(0.0, state.squares) / state.width * doubt) + 2 / 3 * doubt * inverse
    )
