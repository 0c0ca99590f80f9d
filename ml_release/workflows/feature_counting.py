"""Count the values of one feature over its bins for many groups, in one pass over the column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.counted_feature import CountedFeature

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.feature_bins import FeatureBins

    Floats = npt.NDArray[np.float64]
    Groups = npt.NDArray[np.int64]


def count_feature(
    bins: FeatureBins,
    values: npt.NDArray[np.generic] | pd.Categorical,
    group: Groups,
    *,
    groups: int,
    limits: tuple[float, float] | None,
) -> list[CountedFeature]:
    """The values of one feature per group.

    Parameters
    ----------
    values, group
        Readable values, words also with their dictionary, and the group of each from 0 to
        ``groups`` - 1, shape (n,).
    limits
        Smallest and largest value of the reference; None where that is not known.
    """
    if bins.words is not None:
        place = group * bins.size + _words(bins, values)
        found = np.bincount(place, minlength=groups * bins.size).reshape(groups, bins.size)
        return [CountedFeature(bins=tuple(table)) for table in found.tolist()]
    numbers = np.asarray(values, dtype=np.float64)
    if (group[1:] < group[:-1]).any():
        order = np.argsort(group, kind="stable")
        numbers, group = numbers[order], group[order]
    tables = bins.count_by(group, numbers, groups=groups).tolist()
    outside = np.zeros(groups, dtype=np.int64)
    if limits is not None:
        is_outside = (numbers < limits[0]) | (numbers > limits[1])
        outside = np.bincount(group[is_outside], minlength=groups)
    n, moments = _moments(numbers, np.bincount(group, minlength=groups))
    is_known = (n > 0) & np.isfinite(moments).all(axis=1)
    return [
        CountedFeature(
            bins=tuple(table),
            n=size,
            mean=own[0] if known else None,
            m2=own[1] if known else None,
            minimum=own[2] if known else None,
            maximum=own[3] if known else None,
            outside=beyond,
        )
        for table, size, own, known, beyond in zip(
            tables, n.tolist(), moments.tolist(), is_known.tolist(), outside.tolist(), strict=True
        )
    ]


def _moments(numbers: Floats, sizes: npt.NDArray[np.int64]) -> tuple[Groups, Floats]:
    """Finite numbers per group; their mean, squared differences, minimum and maximum.

    Parameters
    ----------
    numbers
        The groups one behind the other, each of so many numbers as ``sizes`` says: then every step
        is one pass without a look-up.

    Returns
    -------
    tuple
        Shapes (groups,) and (groups, 4); NaN where there is no number.
    """
    n, moments = np.zeros(len(sizes), dtype=np.int64), np.full((len(sizes), 4), np.nan)
    held = sizes > 0
    if not held.any():
        return n, moments
    starts = (np.cumsum(sizes) - sizes)[held]
    finite = np.isfinite(numbers)
    n[held] = np.add.reduceat(finite, starts, dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        present = np.where(finite, numbers, 0.0)
        mean = np.add.reduceat(present, starts) / np.maximum(n[held], 1)
        present -= np.repeat(mean, sizes[held])
        present *= present
        present *= finite
        moments[held, 0], moments[held, 1] = mean, np.add.reduceat(present, starts)
    moments[held, 2] = np.minimum.reduceat(np.where(finite, numbers, np.inf), starts)
    moments[held, 3] = np.maximum.reduceat(np.where(finite, numbers, -np.inf), starts)
    return n, moments


def _words(
    bins: FeatureBins, values: npt.NDArray[np.generic] | pd.Categorical
) -> npt.NDArray[np.integer]:
    """The bin of every word; of a column with a dictionary each word is looked up once."""
    if isinstance(values, np.ndarray):
        return bins.positions(values)
    # The code of what is missing is -1: the last place.
    dictionary = np.array([*values.categories, None], dtype=np.object_)
    return bins.positions(dictionary)[np.asarray(values.codes)]
