"""Intervals of fairness measures that allow for the two groups having been picked as extremes.

The largest gap among many groups is large by chance alone, and a bootstrap of that gap is larger
still. So an interval is made for the gap of every pair of groups, all of them to hold together:
Tukey's studentized range, its critical value taken from the draws. Where all hold, the true
largest gap lies between the largest low end and the largest high end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.fairness import (
    enough_for,
    fairness_measure,
    measure_parts,
    parts_of_rate,
)
from ml_release.domain.intervals import NO_SPREAD, NOTHING, Interval, require_confidence
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ml_release.domain.fairness import Rate
    from ml_release.domain.group_counts import GroupCounts
    from ml_release.domain.scores import Floats

PSEUDOCOUNT = 0.5
"""Added above the fraction line, twice below, in draws: a rate of 0 of 50 is not surely 0."""


def drawn_counts(groups: Sequence[GroupCounts], *, seed: int, resamples: int = 2000) -> Floats:
    """Counts that might as well have been seen, for rows that are independent of one another.

    Each group's four cells are drawn from a multinomial of its size; half a row is added to each
    cell's probability, so that an empty cell is not taken for impossible.

    Parameters
    ----------
    seed
        Of numpy's PCG64; the same seed gives the same draws.

    Returns
    -------
    Floats
        Shape (resamples, groups, 4), in the order of `GroupCounts.cells`.
    """
    rng = np.random.default_rng(seed)
    cells = np.array([group.cells for group in groups], dtype=np.float64).reshape(-1, 4)
    smooth = cells + PSEUDOCOUNT
    shares = smooth / smooth.sum(axis=1, keepdims=True)
    return rng.multinomial(
        cells.sum(axis=1).astype(np.int64), shares, size=(resamples, len(groups))
    ).astype(np.float64)


def drawn_counts_by_unit(
    cells: npt.NDArray[np.intp], *, seed: int, resamples: int = 2000
) -> Floats:
    """Counts that might as well have been seen, where whole days (or other units) are drawn.

    Parameters
    ----------
    cells
        Shape (units, groups, 4): the cells of each group on each day. Their sum over days has to be
        what the measure is taken of.
    seed
        Of numpy's PCG64; the same seed gives the same draws.

    Returns
    -------
    Floats
        Shape (resamples, groups, 4).

    Raises
    ------
    InputError
        With fewer than two units: one day cannot say how days differ.
    """
    units = len(cells)
    if units < 2:  # noqa: PLR2004
        message = f"draws of days: expected at least 2 days (or other units), found {units}"
        raise InputError(message)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(units, np.full(units, 1 / units), size=resamples)
    flat: Floats = weights.astype(np.float64) @ cells.reshape(units, -1).astype(np.float64)
    return flat.reshape(resamples, *cells.shape[1:])


def fairness_interval(
    name: str,
    groups: Sequence[GroupCounts],
    draws: Floats,
    *,
    confidence: float,
    minimum_n: int,
    units: int | None = None,
) -> Interval:
    """A fairness measure with its interval.

    Parameters
    ----------
    name
        One of `fairness.MEASURES`. Ratios are compared on the scale of their logarithm.
    draws
        Shape (resamples, groups, 4), the groups in the order of ``groups``: `drawn_counts`, or
        `drawn_counts_by_unit` where rows of a day are not independent.
    minimum_n
        As `fairness.fairness_measure`: the same groups are compared.
    units
        Days that were drawn, to be told with the interval; without it rows were. With fewer than
        about 20 days it is too narrow.

    Returns
    -------
    Interval
        ``estimate`` is the measure. The low end of a difference is 0 where no two groups can be
        told apart. The ends are NaN where the measure is, or where a pair of groups shows no
        spread. ``n`` counts the rows of the groups compared.

    Raises
    ------
    InputError
        If the measure is not known, or the draws are of other groups.
    """
    require_confidence(confidence)
    form, rates = measure_parts(name)
    if draws.ndim != 3 or draws.shape[1:] != (len(groups), 4):  # noqa: PLR2004
        message = (
            f"fairness interval: expected draws of {len(groups)} groups with 4 cells each, found "
            f"shape {draws.shape}; draw them for these groups"
        )
        raise InputError(message)
    measure = fairness_measure(name, groups, minimum_n=minimum_n)
    low = high = NOTHING
    if not np.isnan(measure.value):
        kept = enough_for(groups, rates, minimum_n)
        cells = np.array([group.cells for group in groups], dtype=np.float64)[kept]
        log = form == "ratio"
        seen = [smooth_rates(rate, cells, log=log) for rate in rates]
        drawn = [smooth_rates(rate, draws[:, kept], log=log) for rate in rates]
        low, high = _widest_gap(seen, drawn, confidence)
        if log:
            low, high = float(np.exp(-high)), float(np.exp(-low))
        # Pseudocounts pull the middle a little; the measure itself is never outside.
        low, high = min(low, measure.value), max(high, measure.value)
        high = min(high, 1.0)
    return Interval(
        estimate=measure.value,
        low=low,
        high=high,
        confidence=confidence,
        n=measure.n,
        units=measure.n if units is None else units,
    )


def smooth_rates(rate: Rate, cells: Floats, *, log: bool) -> Floats:
    """Rates with half a row added above and below, or their logarithms; ``cells`` (..., 4)."""
    above, below = parts_of_rate(rate, cells)
    share = (above + PSEUDOCOUNT) / (below + 2 * PSEUDOCOUNT)
    return np.log(share) if log else share


def _widest_gap(
    seen: Sequence[Floats], drawn: Sequence[Floats], confidence: float
) -> tuple[float, float]:
    """The largest low and high end over all pairs of groups and all rates, jointly."""
    first, second = np.triu_indices(len(seen[0]), k=1)
    gaps = np.concatenate([values[first] - values[second] for values in seen])
    by_draw = np.concatenate([values[:, first] - values[:, second] for values in drawn], axis=1)
    spread = by_draw.std(axis=0, ddof=1)
    if not (spread > NO_SPREAD).all():
        return NOTHING, NOTHING
    studentized = np.abs(by_draw - by_draw.mean(axis=0)) / spread
    critical = float(np.quantile(studentized.max(axis=1), confidence))
    low = np.abs(gaps) - critical * spread
    high = np.abs(gaps) + critical * spread
    return max(0.0, float(low.max())), float(high.max())
