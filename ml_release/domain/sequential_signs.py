"""Intervals and bets that stay valid however often one looks at them, from counts and moments.

A test at a fixed size, looked at on every tick, fires in the end on equal models. What stands here
holds at all sizes at once (Ville's inequality), so that a judge may look, wait and look again. All
of it is a function of totals: nothing depends on how they were gathered.

The chances are over independent units. Rows of one request are none: give one row per request.
"""

from __future__ import annotations

import math

from ml_release.domain.intervals import NO_SPREAD, NOTHING, Interval, require_confidence
from ml_release.errors import InputError


def sign_log_bet(ups: int, downs: int) -> float:
    """Log of what a bet against "an up is at most as likely as a down" has earned from 1.

    The mixture of likelihood ratios over a uniform chance of an up from 1/2 to 1, in nats. Where
    ups are not likelier, the chance that it ever reaches ln(1 / alpha) is at most alpha; Ville
    (1939), and Howard et al. (2021), Annals of Statistics 49(2), for mixtures. With pairs of which
    one half failed it is McNemar's test that may be looked at. 0 without a pair: nothing was bet.

    Raises
    ------
    InputError
        If a count is negative.

    >>> round(sign_log_bet(10, 0), 3), round(sign_log_bet(5, 5), 3)
    (5.226, -0.996)
    """
    from scipy.special import betainc, betaln

    if min(ups, downs) < 0:
        message = f"sign bet: expected counts of at least 0, found {ups} and {downs}"
        raise InputError(message)
    n = ups + downs
    # The chance of Beta(ups + 1, downs + 1) above 1/2, by the symmetry of the two.
    above = float(betainc(downs + 1, ups + 1, 0.5))
    if above == 0.0:
        return -math.inf
    return (n + 1) * math.log(2) + float(betaln(ups + 1, downs + 1)) + math.log(above)


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
    earned = float(betaln(count + 1, n - count + 1)) + math.log(1 - confidence)

    def over(rate: float) -> float:
        return earned - float(xlogy(count, rate) + xlog1py(n - count, -rate))

    rate = count / n if n else NOTHING
    # At the observed rate the bet has earned least: the ends lie on its two sides.
    low = 0.0 if count == 0 else float(brentq(over, 0.0, rate, xtol=1e-12))
    high = 1.0 if count == n else float(brentq(over, rate, 1.0, xtol=1e-12))
    return Interval(estimate=rate, low=low, high=high, confidence=confidence, n=n, units=n)


def mean_sequence(
    mean: float, variance: float, n: int, *, confidence: float, scale: float
) -> Interval:
    """Interval of a mean that holds at all sizes at once, where n is large.

    The asymptotic confidence sequence of Waudby-Smith et al. (2024), Annals of Statistics 52(6),
    with a normal mixture: the half width is ``sqrt(v (1 + v/t) ln((1 + t/v) / alpha^2))``, v being
    the variance of the mean and t the square of ``scale``.

    Parameters
    ----------
    variance
        Of one unit.
    scale
        Standard deviation of the mixture, in the unit of the mean, above 0: about the difference
        that is looked for. It changes the width, never the chances.

    Returns
    -------
    Interval
        Its ends are NaN with fewer than two units, with a number that is not known, and where a
        mean other than 0 shows no spread.

    Raises
    ------
    InputError
        If ``confidence`` is not between 0 and 1, or ``scale`` not above 0.
    """
    require_confidence(confidence)
    if not scale > 0:
        message = f"mean: expected a scale above 0, found {scale}"
        raise InputError(message)
    low = high = NOTHING
    known = n > 1 and math.isfinite(mean) and math.isfinite(variance)
    if known and variance > (NO_SPREAD * (1 + abs(mean))) ** 2:
        of_mean, mixture = variance / n, scale * scale
        grown = math.log1p(mixture / of_mean) - 2 * math.log(1 - confidence)
        reach = math.sqrt(of_mean * (1 + of_mean / mixture) * grown)
        low, high = mean - reach, mean + reach
    elif known and mean == 0:
        # Every single difference is 0: the same answers, not a lack of evidence.
        low = high = 0.0
    return Interval(estimate=mean, low=low, high=high, confidence=confidence, n=n, units=n)
