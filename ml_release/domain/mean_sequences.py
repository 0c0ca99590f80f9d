"""Intervals for means that hold at every look at once, from estimates with their variances.

The mixture of normal likelihood ratios of Robbins (1970, Annals of Mathematical Statistics 41), as
the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024, Annals
of Statistics 52, "Time-uniform central limit theory and asymptotic confidence sequences"). An
estimate with variance v stands for t observations of variance t v there; written in v, the bound
needs no count of observations, so that it takes estimates from clusters and from weighted scores.

What holds only for many observations holds here from a first look on that comes late enough: who
calls decides how many there have to be before.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from ml_release.errors import InputError

_STEPS = 200


def half_width(variance: float, *, tuned_at: float, alpha: float) -> float:
    """Half the width of the interval around an estimate; two-sided, in the unit of the estimate.

    ``sqrt(v (v + s) / s * ln((1 + s / v) / alpha^2))`` with ``s = spread(tuned_at, alpha)``. With
    probability ``1 - alpha`` or more, every one of the intervals of all looks holds the truth.

    Parameters
    ----------
    variance
        Of the estimate now, above 0; NaN gives NaN, infinity gives infinity.
    tuned_at
        The variance of the estimate at which the interval is to be the narrowest that this kind of
        bound can give. It must be fixed before the first look.
    alpha
        Between 0 and 1.

    Raises
    ------
    InputError
        If a variance is not above 0, or alpha is not between 0 and 1.

    Examples
    --------
    >>> round(half_width(1.0, tuned_at=1.0, alpha=0.05), 3)
    3.035
    """
    _check(variance=variance, tuned_at=tuned_at, alpha=alpha)
    if math.isinf(variance):
        return math.inf
    prior = spread(tuned_at, alpha=alpha)
    log_bound = math.log1p(prior / variance) - 2 * math.log(alpha)
    return math.sqrt(variance * (variance + prior) / prior * log_bound)


def spread(tuned_at: float, *, alpha: float) -> float:
    """Variance of the mixture that makes the interval narrowest at the variance ``tuned_at``.

    ``tuned_at * (-2 ln alpha + ln(1 - 2 ln alpha))``, Waudby-Smith et al. (2024), appendix C.3.
    """
    doubled = -2 * math.log(alpha)
    return tuned_at * (doubled + math.log1p(doubled))


def always_valid_p(
    estimate: float, variance: float, *, tuned_at: float, alpha: float
) -> float:
    """The smallest level at which 0 lies outside of the interval now, 0 to 1.

    Valid at every look (Johari, Koomen, Pekelis and Walsh 2022, Operations Research 70); the least
    one of all looks may be kept. ``alpha`` only tunes the mixture.
    """
    _check(variance=variance, tuned_at=tuned_at, alpha=alpha)
    if math.isnan(estimate) or math.isnan(variance):
        return math.nan
    prior = spread(tuned_at, alpha=alpha)
    log_evidence = (
        estimate**2 * prior / (2 * variance * (variance + prior)) - math.log1p(prior / variance) / 2
    )
    return math.exp(-max(0.0, log_evidence))


def inflation(*, alpha: float, power: float) -> float:
    """How many times the units of one look at a fixed end are needed to look all the time.

    The ratio of the two variances at which an effect is found with ``power``: by the interval of
    `half_width` tuned there, and by a z-test. It depends on neither effect nor variance, and is on
    the safe side, since what is found at an earlier look is not counted.

    >>> round(inflation(alpha=0.05, power=0.8), 3)
    1.915
    """
    _check(variance=1.0, tuned_at=1.0, alpha=alpha)
    normal = NormalDist()
    once = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
    always = half_width(1.0, tuned_at=1.0, alpha=alpha) + normal.inv_cdf(power)
    return (always / once) ** 2


def planned_variance(effect: float, *, alpha: float, power: float) -> float:
    """The variance of an estimate at which ``effect`` is found with ``power`` at the latest.

    >>> found = planned_variance(0.02, alpha=0.05, power=0.8)
    >>> round(half_width(found, tuned_at=found, alpha=0.05) / 0.02, 3)
    0.783
    """
    reach = half_width(1.0, tuned_at=1.0, alpha=alpha) + NormalDist().inv_cdf(power)
    return (effect / reach) ** 2


def variance_for(width: float, *, tuned_at: float, alpha: float) -> float:
    """The variance at which `half_width` comes down to ``width``; by bisection, it grows with it.

    >>> round(variance_for(3.035, tuned_at=1.0, alpha=0.05), 3)
    1.0
    """
    _check(variance=width, tuned_at=tuned_at, alpha=alpha)
    low, high = 0.0, width**2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if half_width(middle, tuned_at=tuned_at, alpha=alpha) > width:
            high = middle
        else:
            low = middle
    return high


def _check(*, variance: float, tuned_at: float, alpha: float) -> None:
    if variance <= 0 or not tuned_at > 0 or not 0 < alpha < 1:
        message = (
            "confidence sequence: expected variances above 0 and an alpha between 0 and 1, found"
            f" {variance:g}, {tuned_at:g} and {alpha:g}"
        )
        raise InputError(message)
