"""Distances and tests of two tables of counts over the same bins, beside the PSI of `psi`.

A profile keeps counts, not rows, so all of these are of binned data. Where every bin holds one
value they are those of the rows; where a bin holds a range they see nothing of what moves inside of
it. Whatever the definition, no bin is skipped because one side has nothing in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

LEAST_EXPECTED = 5.0
"""Bins in which either side expects fewer rows are taken together (Cochran 1954, Biometrics 10)."""

UNDEFINED = float("nan")


def chi_squared_p(reference: Counts, current: Counts) -> float:
    """P-value of Pearson's test that both sides were drawn from one distribution, 0 to 1.

    Of the 2 x B table, so the reference is a sample too: that of
    `scipy.stats.chi2_contingency(correction=False)`. Evidently's ``chisquare`` takes the reference
    for the truth, which is the same only in the limit of a large one, and is undefined where it
    holds nothing. Bins that expect fewer than 5 rows on a side are taken together into one, since
    the limit distribution does not hold there.

    The test takes rows for independent. Neighbouring days are not: a small value says that chance
    alone does not explain a difference, not that the world has changed.

    Parameters
    ----------
    reference, current
        Rows per bin, shape (bins,).

    Returns
    -------
    float
        1 if all rows are in one bin on both sides; NaN if a side holds no rows.

    >>> round(chi_squared_p(np.array([50, 50]), np.array([40, 60])), 4)
    0.1552
    """
    _require_same_bins(reference, current)
    if not reference.sum() or not current.sum():
        return UNDEFINED
    from scipy.special import chdtrc

    table = np.stack([reference, current]).astype(np.float64)
    share = table.sum(axis=1, keepdims=True) / table.sum()
    rare = (share * table.sum(axis=0)).min(axis=0) < LEAST_EXPECTED
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:  # noqa: PLR2004 (nothing to compare)
        return 1.0
    expected = share * table.sum(axis=0)
    statistic = float(((table - expected) ** 2 / expected).sum())
    return float(chdtrc(table.shape[1] - 1, statistic))


def ks_distance(reference: Counts, current: Counts) -> float:
    """Largest difference of the two distribution functions at the edges of the bins, 0 to 1.

    Bins in order; leave *missing* out, which has no place in it. At most the Kolmogorov-Smirnov
    distance of the rows (`scipy.stats.ks_2samp`), and equal to it if each bin holds one value:
    between two edges nothing is seen. With deciles at most a tenth of the reference's rows, and
    what the window has between the same two edges, are hidden.

    NaN if a side holds no rows.

    >>> ks_distance(np.array([10, 0, 10]), np.array([10, 10, 0]))
    0.5
    """
    _require_same_bins(reference, current)
    if not reference.sum() or not current.sum():
        return UNDEFINED
    p, q = np.cumsum(current) / current.sum(), np.cumsum(reference) / reference.sum()
    return float(np.abs(p - q).max())


def ks_p_value(reference: Counts, current: Counts) -> float:
    """P-value of `ks_distance` by the limit distribution, 0 to 1; NaN if a side holds no rows.

    That of `scipy.stats.ks_2samp(method="asymp")` for the same distance. The distance of bins is no
    larger than that of rows, and rows of few values are tied, so the value is too large rather than
    too small: what it finds is there, and some of what is there it does not find.
    """
    distance = ks_distance(reference, current)
    if np.isnan(distance):
        return UNDEFINED
    from scipy.stats import kstwo

    n, m = float(current.sum()), float(reference.sum())
    return float(np.clip(kstwo.sf(distance, np.round(n * m / (n + m))), 0, 1))


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon distance, the root of the divergence in nats; 0 to 0.833.

    `scipy.spatial.distance.jensenshannon` of the shares, and so Evidently's ``jensenshannon`` of
    categories. Of numbers with more than 20 values Evidently's is another: it bins both sides
    together by Sturges' rule, so its bins move with the window.

    It stays finite where bins are empty, so it ranks shifts that the PSI only calls huge. NaN if a
    side holds no rows.

    >>> round(jensen_shannon(np.array([1, 0]), np.array([0, 1])), 4)
    0.8326
    """
    _require_same_bins(reference, current)
    if not reference.sum() or not current.sum():
        return UNDEFINED
    from scipy.spatial.distance import jensenshannon

    # Equal sides may come out as the root of a negative rounding error.
    found = float(jensenshannon(reference / reference.sum(), current / current.sum()))
    return 0.0 if np.isnan(found) else found


def wasserstein_in_sd(reference: Counts, current: Counts, *, positions: Floats, sd: float) -> float:
    """How far the rows of one side have to be carried to give the other, in standard deviations.

    The first Wasserstein distance of rows that stand at the position of their bin
    (`scipy.stats.wasserstein_distance` with the counts as weights) over ``sd``. If every bin holds
    one value and ``sd`` is the reference's own, it is Evidently's ``wasserstein``; with ranges, a
    row is up to half of its bin from its position, and beyond the outer edges nobody knows where.

    Parameters
    ----------
    reference, current
        Rows per bin, *missing* left out, shape (bins,).
    positions
        Where the rows of each bin stand, in order, shape (bins,).
    sd
        Of the reference's rows, in the unit of ``positions``.

    Returns
    -------
    float
        NaN if a side holds no rows, or ``sd`` is not above 0: Evidently puts 0.001 there, which
        makes a distance out of a choice of unit.

    >>> ends = np.array([0.0, 10.0])
    >>> wasserstein_in_sd(np.array([5, 5]), np.array([0, 5]), positions=ends, sd=5.0)
    1.0
    """
    _require_same_bins(reference, current)
    if not reference.sum() or not current.sum() or not sd > 0:
        return UNDEFINED
    p, q = np.cumsum(current) / current.sum(), np.cumsum(reference) / reference.sum()
    return float(np.sum(np.abs(p - q)[:-1] * np.diff(positions)) / sd)


def bin_positions(
    edges: tuple[float, ...], *, minimum: float | None = None, maximum: float | None = None
) -> Floats:
    """Where the rows of each bin of a number are taken to stand, shape (edges + 1,).

    In the middle of an inner bin. Beyond an outer edge as far as the bin next to it is wide, which
    is about the mean of an outer tenth of a normal distribution, and no further than the
    reference's smallest and largest value: the middle to an outlier would be far from the rows.

    >>> bin_positions((0.0, 1.0, 3.0), minimum=-0.5)
    array([-0.5,  0.5,  2. ,  5. ])
    """
    if not edges:
        return np.zeros(1)
    inner = np.array(edges)
    widths = np.diff(inner) if len(inner) > 1 else np.zeros(1)
    low, high = float(inner[0] - widths[0]), float(inner[-1] + widths[-1])
    low = low if minimum is None else min(max(low, minimum), float(inner[0]))
    high = high if maximum is None else max(min(high, maximum), float(inner[-1]))
    return np.concatenate([[low], (inner[:-1] + inner[1:]) / 2, [high]])


def _require_same_bins(reference: Counts, current: Counts) -> None:
    if reference.shape != current.shape:
        message = (
            f"counts: expected both sides over the same bins, found {len(reference)} of the"
            f" reference and {len(current)} of the window; count both with the same profile"
        )
        raise InputError(message)
