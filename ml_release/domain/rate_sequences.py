"""Anytime-valid bounds of one rate: they hold however often one looks.

An interval of a fixed number of requests is wrong with its declared probability when it is looked
at once. Looked at after every request it is wrong sooner or later. The sequence of intervals here
covers the rate at all looks together (Robbins 1970, Annals of Mathematical Statistics 41(5)).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from ml_release.domain.intervals import NOTHING, require_confidence
from ml_release.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class RateBounds:
    """A rate from 0 to 1 with its lower and upper bound; NaN three times without requests."""

    rate: float
    low: float
    high: float


def rate_bounds(count: int, n: int, *, confidence: float) -> RateBounds:
    """The rates under which ``count`` of ``n`` is not too improbable at any look.

    Those p at which the density of Beta(1 + count, 1 + n - count) is above ``1 - confidence``: the
    ratio of the posterior to a uniform prior is a martingale under the true rate, so that it
    ever exceeds 1 / alpha with a probability of at most alpha (Ville 1939; Waudby-Smith and Ramdas
    2020, NeurIPS 33). Exact for independent requests; those that fail together are not independent.

    Raises
    ------
    InputError
        If ``count`` is not between 0 and ``n``, or ``confidence`` not between 0 and 1.

    >>> found = rate_bounds(0, 1000, confidence=0.95)
    >>> found.low, round(found.high, 5)
    (0.0, 0.00986)
    """
    from scipy.optimize import brentq
    from scipy.special import betaln, xlog1py, xlogy

    require_confidence(confidence)
    if not 0 <= count <= n:
        message = f"rate: expected a count from 0 to n = {n}, found {count}; count the same rows"
        raise InputError(message)
    if n == 0:
        return RateBounds(rate=NOTHING, low=NOTHING, high=NOTHING)
    rate = count / n
    least = float(betaln(1 + count, 1 + n - count)) + log(1 - confidence)

    def height(p: float) -> float:
        return float(xlogy(count, p) + xlog1py(n - count, -p)) - least

    tiny = 1e-300
    # The density rises up to the rate and falls after it: one bound on either side, or none.
    low = 0.0 if count == 0 or height(tiny) > 0 else float(brentq(height, tiny, rate, xtol=1e-15))
    end = 1.0 - 1e-16
    high = 1.0 if count == n or height(end) > 0 else float(brentq(height, rate, end, xtol=1e-15))
    return RateBounds(rate=rate, low=low, high=high)
