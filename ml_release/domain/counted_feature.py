"""What some rows held of one feature, or of the score, in a form that adds up.

Counts add up exactly and in any order, mean and variance as exactly as sums of floats do (Chan,
Golub and LeVeque 1983, The American Statistician 37(3)).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, isfinite, sqrt
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.reference_profile import NumberFacts
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FEW_ROWS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedFeature:
    """One feature, or the score, over the bins of the model's reference.

    Attributes
    ----------
    bins
        Rows per bin, *other* and *missing* included.
    n
        Finite numbers; 0 for words. ``mean``, ``m2`` (the sum of squared differences from the
        mean), ``minimum`` and ``maximum`` are of them: None without any, and where a sum of them
        is beyond what a float holds.
    outside
        Numbers below the minimum or above the maximum of the reference, infinite ones included; 0
        where the reference knows no range.
    """

    bins: tuple[int, ...]
    n: int = 0
    mean: float | None = None
    m2: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    outside: int = 0

    def __add__(self, other: CountedFeature) -> CountedFeature:
        """Both together; `InputError` over other bins."""
        return added((self, other))

    @property
    def rows(self) -> int:
        """Rows that were counted, missing values included."""
        return sum(self.bins)

    @property
    def facts(self) -> NumberFacts:
        """The numbers as a reference profile has them."""
        sd = None if self.m2 is None else sqrt(self.m2 / self.n)
        return NumberFacts(
            n=self.n,
            mean=self.mean,
            sd=sd,
            minimum=self.minimum,
            maximum=self.maximum,
            outside=self.outside,
        )


def added(counted: Sequence[CountedFeature]) -> CountedFeature:
    """The sum of one feature's counts, the same in whatever order they stand.

    Raises
    ------
    InputError
        If there are none, or they are over different bins.
    """
    sizes = {len(one.bins) for one in counted}
    if len(sizes) != 1:
        message = f"counted feature: expected counts over the same bins, found {sorted(sizes)} bins"
        raise InputError(message)
    known = [one for one in counted if one.n]
    n = sum(one.n for one in known)
    mean, m2, minimum, maximum = _moments(known, n)
    return CountedFeature(
        bins=_sums_of([one.bins for one in counted]),
        n=n,
        mean=mean,
        m2=m2,
        minimum=minimum,
        maximum=maximum,
        outside=sum(one.outside for one in counted),
    )


def _sums_of(rows: list[tuple[int, ...]]) -> tuple[int, ...]:
    # Most sums are of two: an array of them costs more than it saves.
    if len(rows) < _FEW_ROWS:
        return tuple(map(sum, zip(*rows, strict=True)))
    return tuple(np.array(rows, dtype=np.int64).sum(axis=0).tolist())


def _moments(
    known: Sequence[CountedFeature], n: int
) -> tuple[float, float, float, float] | tuple[None, None, None, None]:
    """Mean, sum of squared differences, minimum and maximum; None where one of them is unknown."""
    parts = [
        (one.n, one.mean, one.m2, one.minimum, one.maximum)
        for one in known
        if one.mean is not None
        and one.m2 is not None
        and one.minimum is not None
        and one.maximum is not None
    ]
    unknown = (None, None, None, None)
    if not known or len(parts) < len(known):
        return unknown
    try:
        # `fsum` rounds once, so the order of its terms is of no matter.
        mean = fsum([size * own for size, own, *_ in parts]) / n
        m2 = fsum(
            [term for size, own, own_m2, *_ in parts for term in (own_m2, size * (own - mean) ** 2)]
        )
    except OverflowError:
        return unknown
    if not (isfinite(mean) and isfinite(m2)):
        return unknown
    return mean, m2, min(part[3] for part in parts), max(part[4] for part in parts)
