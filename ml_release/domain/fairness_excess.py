"""Whether two groups are treated more differently than a limit allows, beyond what chance explains.

The widest gap among many groups is wide by chance alone. So every pair of groups is tested against
the limit on its own, and the p-values are adjusted for being many where they are judged together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.fairness import enough_for, measure_parts, parts_of_rate
from ml_release.domain.fairness_intervals import smooth_rates
from ml_release.domain.intervals import NO_SPREAD
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.group_counts import GroupCounts
    from ml_release.domain.scores import Floats

FEWEST_UNITS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PairExcess:
    """One pair of groups held against the limit of a measure, in one of its rates.

    Attributes
    ----------
    least, greatest
        The group with the smaller rate, and the other.
    gap
        Difference of the two rates, or their ratio, as the measure has it.
    p_value
        Of the pair being within the limit; NaN where the draws show no spread.
    """

    rate: str
    least: str | None
    greatest: str | None
    gap: float
    p_value: float


def pair_excesses(
    name: str,
    groups: Sequence[GroupCounts],
    draws: Floats,
    *,
    limit: float,
    minimum_n: int,
    units: int | None = None,
) -> tuple[PairExcess, ...]:
    """Test every pair of groups that have rows enough against a limit.

    The p-value is the chance of a gap as wide in either direction where the true one is at the
    limit: P(T > (|gap| - limit) / spread) + P(T > (|gap| + limit) / spread), the spread that of the
    gap over the draws. Over G days it is widened by sqrt(G / (G - 1)), as days drawn with
    replacement vary that much less than days do, and T is Student's with G - 1 degrees of freedom;
    over rows it is normal. Ratios are compared on the scale of their logarithm.

    Parameters
    ----------
    name
        One of `fairness.MEASURES`.
    draws
        Shape (resamples, groups, 4), as for `fairness_intervals.fairness_interval`.
    limit
        The most a difference, the least a ratio may be; a ratio's is above 0.
    minimum_n
        As `fairness.fairness_measure`: the same groups are compared.
    units
        Days that were drawn; None if rows were.

    Returns
    -------
    tuple of PairExcess
        One per rate of the measure and pair of groups; empty with fewer than two groups.

    Raises
    ------
    InputError
        If the measure is not known, the draws are of other groups, or a ratio's limit is not
        above 0.
    """
    form, rates = measure_parts(name)
    is_ratio = form == "ratio"
    if draws.ndim != 3 or draws.shape[1:] != (len(groups), 4):  # noqa: PLR2004
        message = (
            f"pairs of groups: expected draws of {len(groups)} groups with 4 cells each, found"
            f" shape {draws.shape}; draw them for these groups"
        )
        raise InputError(message)
    if is_ratio and limit <= 0:
        message = f"{name}: expected a limit above 0 for a ratio, found {limit:g}"
        raise InputError(message)
    kept = enough_for(groups, rates, minimum_n)
    if kept.sum() < 2 or (units is not None and units < FEWEST_UNITS):  # noqa: PLR2004
        return ()
    chosen = [group for group, enough in zip(groups, kept, strict=True) if enough]
    cells = np.array([group.cells for group in chosen], dtype=np.float64)
    first, second = np.triu_indices(len(chosen), k=1)
    reach = -np.log(limit) if is_ratio else limit
    found = []
    for rate in rates:
        above, below = parts_of_rate(rate, cells)
        values = above / below
        drawn = smooth_rates(rate, draws[:, kept], log=is_ratio)
        smooth = smooth_rates(rate, cells, log=is_ratio)
        gaps = np.abs(smooth[first] - smooth[second])
        spread = (drawn[:, first] - drawn[:, second]).std(axis=0, ddof=1)
        p_values = _p_values(gaps, reach, spread, units)
        for a, b, p_value in zip(first, second, p_values, strict=True):
            low, high = (a, b) if values[a] <= values[b] else (b, a)
            found.append(
                PairExcess(
                    rate=rate,
                    least=chosen[low].name,
                    greatest=chosen[high].name,
                    gap=_gap(float(values[low]), float(values[high]), is_ratio=is_ratio),
                    p_value=float(p_value),
                )
            )
    return tuple(found)


def _gap(low: float, high: float, *, is_ratio: bool) -> float:
    if not is_ratio:
        return high - low
    return low / high if high > 0 else float("nan")


def _p_values(gaps: Floats, reach: float, spread: Floats, units: int | None) -> Floats:
    from scipy.special import ndtr, stdtr

    widened = spread if units is None else spread * np.sqrt(units / (units - 1))

    def tail(excess: Floats) -> Floats:
        statistic = np.divide(
            excess, widened, out=np.full(len(excess), np.nan), where=spread > NO_SPREAD
        )
        found: Floats = np.asarray(
            ndtr(-statistic) if units is None else stdtr(units - 1, -statistic), dtype=np.float64
        )
        return found

    return np.minimum(1.0, tail(gaps - reach) + tail(gaps + reach))
