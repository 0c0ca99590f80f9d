"""Confidence intervals in closed form: of a rate, and of a mean over rows or days.

An interval says how far the rows at hand can tell. Where they cannot, its ends are NaN, also when
the rows show no spread at all: five right decisions of five are no proof of perfection. The
bootstrap, for every other score, is in `bootstrap`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.rows import group_codes
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.rows import Codes
    from ml_release.domain.scores import Difference, Floats

NOTHING = float("nan")
NO_SPREAD = 1e-12
"""Differences up to this, relative to numbers above 1, are rounding of sums of equal numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A score with a two-sided confidence interval.

    Attributes
    ----------
    estimate
        The score on all the rows; NaN if undefined.
    low, high
        Ends, in the unit of the score; both NaN where the rows cannot tell.
    confidence
        Two-sided, between 0 and 1.
    n
        Rows behind it.
    units
        What was taken as independent: rows, or the days (or other groups) they fall into. Below
        about 20 an interval over days is rough.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    n: int
    units: int

    @classmethod
    def of(cls, found: Difference) -> Interval:
        """A DeLong interval of `scores` in this form; its units are rows."""
        ends = _ends(found.low, found.high)
        return cls(
            estimate=found.estimate,
            low=ends[0],
            high=ends[1],
            confidence=found.confidence,
            n=found.n,
            units=found.n,
        )

    def mapped(self, change: Callable[[float], float]) -> Interval:
        """The interval of an increasing function of the score, such as the root of a mean."""
        return replace(
            self, estimate=change(self.estimate), low=change(self.low), high=change(self.high)
        )


def _ends(low: float, high: float) -> tuple[float, float]:
    """The ends, or NaN twice if they show no spread."""
    return (low, high) if low < high else (NOTHING, NOTHING)


def rate_interval(count: int, n: int, *, confidence: float) -> Interval:
    """Wilson's interval of a rate; Wilson (1927), JASA 22(158).

    It covers close to nominally from a few rows on and never leaves 0 to 1, unlike the estimate
    plus and minus its standard error, which has no width at 0 of n (Brown, Cai and DasGupta 2001,
    Statistical Science 16(2)). Rows are taken as independent; where a day moves its rows together,
    use `mean_interval` or the bootstrap with groups. NaN with ``n`` = 0.

    Raises
    ------
    InputError
        If ``count`` is not between 0 and ``n``, or ``confidence`` not between 0 and 1.

    >>> found = rate_interval(0, 20, confidence=0.95)
    >>> found.low, round(found.high, 4)
    (0.0, 0.1611)
    """
    from scipy.special import ndtri

    require_confidence(confidence)
    if not 0 <= count <= n:
        message = f"rate: expected a count from 0 to n = {n}, found {count}; count the same rows"
        raise InputError(message)
    if n == 0:
        return _undefined(NOTHING, confidence, 0, 0)
    z = float(ndtri(0.5 + confidence / 2))
    rate, scale = count / n, 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / scale
    reach = z / scale * float(np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)))
    return Interval(
        estimate=rate,
        low=0.0 if count == 0 else centre - reach,
        high=1.0 if count == n else centre + reach,
        confidence=confidence,
        n=n,
        units=n,
    )


def mean_interval(values: Floats, *, confidence: float, groups: Codes | None = None) -> Interval:
    """Student's interval of a mean over rows, or over rows that come in dependent groups.

    With ``groups`` the variance is that of the groups' sums of residuals, the cluster-robust
    variance of a mean: Liang and Zeger (1986), Biometrika 73(1), times G / (G - 1), with G - 1
    degrees of freedom (Cameron and Miller 2015, Journal of Human Resources 50(2)). Rows of one day
    share weather and traffic; taken as independent they make the interval far too narrow.

    Parameters
    ----------
    values
        Shape (n,): the loss, error or hit of each row. A difference of two models' losses on the
        same rows gives their paired comparison.
    groups
        Shape (n,): the group of each row, such as its day. Without it each row is its own.

    Returns
    -------
    Interval
        ``estimate`` is NaN without rows or with a value that is not known. The ends are NaN also
        with fewer than two units, or if the units show no spread.

    Raises
    ------
    InputError
        If ``groups`` has another length than ``values``, or ``confidence`` is not between 0 and 1.
    """
    from scipy.special import stdtrit

    require_confidence(confidence)
    n = len(values)
    sizes, sums, units = np.ones(n), values, n
    if groups is not None:
        codes, units = group_codes(groups, n)
        sizes = np.bincount(codes, minlength=units).astype(np.float64)
        sums = np.bincount(codes, weights=values, minlength=units).astype(np.float64)
    if n == 0 or not np.isfinite(values).all():
        return _undefined(NOTHING, confidence, n, units)
    mean = float(np.mean(values))
    if units < 2:  # noqa: PLR2004
        return _undefined(mean, confidence, n, units)
    residuals = sums - sizes * mean
    spread = float(np.sqrt(units / (units - 1) * np.sum(residuals**2))) / n
    if spread <= NO_SPREAD * max(1.0, abs(mean)):
        return _undefined(mean, confidence, n, units)
    reach = float(stdtrit(units - 1, 0.5 + confidence / 2)) * spread
    return Interval(
        estimate=mean, low=mean - reach, high=mean + reach, confidence=confidence, n=n, units=units
    )


def require_confidence(confidence: float) -> None:
    """Refuse a confidence that is no probability strictly between 0 and 1.

    Raises
    ------
    InputError
        Such as for 95, which was meant as 0.95.
    """
    if not 0 < confidence < 1:
        message = f"confidence: expected a number between 0 and 1 such as 0.95, found {confidence}"
        raise InputError(message)


def _undefined(estimate: float, confidence: float, n: int, units: int) -> Interval:
    return Interval(
        estimate=estimate, low=NOTHING, high=NOTHING, confidence=confidence, n=n, units=units
    )
