"""Two-sided intervals that hold at every look: of a rate, of a mean, of two rates of pairs.

An interval of a fixed size, looked at on every tick, leaves out the truth in the end. These hold at
all sizes at once, and are functions of totals: nothing depends on how those were gathered. The
chances are over independent units. Rows of one request are none: give one row per request.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ml_release.domain.intervals import NO_SPREAD, NOTHING, Interval, require_confidence
from ml_release.domain.mean_sequences import mean_radius
from ml_release.errors import InputError

NORMAL_FROM = 30
"""Pairs of different halves from which on the mean of their differences is about normal."""


def rate_sequence(count: int, n: int, *, confidence: float) -> Interval:
    """Interval of a rate that holds at all sizes at once.

    All rates against which a uniform mixture has not earned 1 / alpha; Robbins (1970), Annals of
    Mathematical Statistics 41(5). It needs no minimum size. Without a unit it is 0 to 1.

    Raises
    ------
    InputError
        If ``count`` is not between 0 and ``n``, or ``confidence`` not between 0 and 1.

    >>> found = rate_sequence(0, 500, confidence=0.99)
    >>> found.low, round(found.high, 4)
    (0.0, 0.0214)
    """
    from scipy.optimize import brentq
    from scipy.special import betaln, xlog1py, xlogy

    require_confidence(confidence)
    if not 0 <= count <= n:
        message = f"rate: expected a count from 0 to n = {n}, found {count}; count the same units"
        raise InputError(message)
    if n == 0:
        return Interval(estimate=NOTHING, low=0.0, high=1.0, confidence=confidence, n=0, units=0)
    earned = float(betaln(count + 1, n - count + 1)) + math.log1p(-confidence)

    def over(rate: float) -> float:
        return earned - float(xlogy(count, rate) + xlog1py(n - count, -rate))

    rate = count / n
    # At the observed rate the bet has earned least: the ends lie on its two sides, at 0 and 1 where
    # it has not earned enough as near to them as floats go.
    least, most = 1e-300, 1 - 1e-16
    low = float(brentq(over, least, rate, xtol=1e-12)) if count and over(least) > 0 else 0.0
    high = float(brentq(over, rate, most, xtol=1e-12)) if count < n and over(most) > 0 else 1.0
    return Interval(estimate=rate, low=low, high=high, confidence=confidence, n=n, units=n)


def paired_rates_sequence(
    more: int, less: int, n: int, *, confidence: float, tau: float
) -> Interval:
    """Interval of how much more often something happens to one half of a pair than to the other.

    From `NORMAL_FROM` pairs of different halves on it is the `mean_sequence` of the differences,
    before that, and where every pair differs alike, two exact rates, one minus the other. Each is
    given half of the error, so that passing from one to the other costs nothing more.

    Parameters
    ----------
    more, less
        Pairs in which it happened to the first half only, and to the second half only.
    tau
        About the difference looked for, above 0.

    Raises
    ------
    InputError
        If the two outnumber the pairs, or as the other two.

    >>> found = paired_rates_sequence(120, 100, 10_000, confidence=0.99, tau=0.005)
    >>> round(found.low, 4), round(found.high, 4)
    (-0.0036, 0.0076)
    """
    if more + less > n:
        message = f"pairs: expected counts within n = {n}, found {more} and {less}"
        raise InputError(message)
    half = 1 - (1 - confidence) / 2
    # Where it happened to the same half of every pair nothing varies, and only the rates tell.
    if more + less >= NORMAL_FROM and max(more, less) < n:
        mean = (more - less) / n
        variance = (more + less) / n - mean * mean
        return replace(
            mean_sequence(mean, variance, n, confidence=half, tau=tau), confidence=confidence
        )
    each = 1 - (1 - half) / 2
    first = rate_sequence(more, n, confidence=each)
    second = rate_sequence(less, n, confidence=each)
    return Interval(
        estimate=first.estimate - second.estimate,
        low=first.low - second.high,
        high=first.high - second.low,
        confidence=confidence,
        n=n,
        units=n,
    )


def mean_sequence(
    mean: float, variance: float, n: int, *, confidence: float, tau: float
) -> Interval:
    """Interval of a mean that holds at all sizes at once, where n is large.

    `mean_sequences.mean_radius` on either side, at half the error each.

    Parameters
    ----------
    variance
        Of one unit.
    tau
        Width of the mixture in the unit of the mean, above 0: about the difference looked for.

    Returns
    -------
    Interval
        Its ends are NaN with fewer than two units, with a number that is not known, and where a
        mean other than 0 shows no spread. Where every single value is 0, both are 0.

    Raises
    ------
    InputError
        If ``confidence`` is not between 0 and 1, or ``tau`` not above 0.

    >>> found = mean_sequence(0.01, 0.04, 10_000, confidence=0.99, tau=0.02)
    >>> round(found.low, 4), round(found.high, 4)
    (0.0025, 0.0175)
    """
    require_confidence(confidence)
    low = high = NOTHING
    if n > 1 and math.isfinite(mean) and math.isfinite(variance):
        # A sum of equal floats leaves dust that is no spread.
        if variance > (NO_SPREAD * (1 + abs(mean))) ** 2:
            reach = float(mean_radius(variance / n, tau=tau, alpha=(1 - confidence) / 2))
            low, high = mean - reach, mean + reach
        elif mean == 0:
            # Nothing differs in any unit: the same answers, not a lack of evidence.
            low = high = 0.0
    return Interval(estimate=mean, low=low, high=high, confidence=confidence, n=n, units=n)
