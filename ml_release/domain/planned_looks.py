"""What looking all the time costs, and where it stops: planning for `mean_sequences`.

Written in the variance of an estimate alone, so that it holds for means of independent units, of
groups and of weighted scores. The width of the mixture is fixed before the first look, so that the
interval is about as narrow as it can be where the planned information is there.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from ml_release.domain.mean_sequences import log_e_mean_above, mean_radius

_PRECISION = 1e-6


def mixture_width(tuned_at: float, *, alpha: float) -> float:
    """The ``tau`` of `mean_sequences` for which intervals are narrowest at a variance.

    ``sqrt(tuned_at (-2 ln alpha + ln(1 - 2 ln alpha)))``, Waudby-Smith et al. (2024), appendix; the
    unit is that of the estimate.
    """
    doubled = -2 * math.log(alpha)
    return math.sqrt(tuned_at * (doubled + math.log1p(doubled)))


def half_width(variance: float, *, tuned_at: float, alpha: float) -> float:
    """Half the width of a two-sided interval that holds at every look; infinite if none is known.

    Examples
    --------
    >>> round(half_width(1.0, tuned_at=1.0, alpha=0.05), 3)
    3.041
    """
    if not math.isfinite(variance):
        return math.inf
    tau = mixture_width(tuned_at, alpha=alpha)
    return float(mean_radius(variance, tau=tau, alpha=alpha / 2))


def always_valid_p(estimate: float, variance: float, *, tuned_at: float, alpha: float) -> float:
    """A two-sided p-value against a difference of 0, 0 to 1, valid at every look; NaN if unknown.

    One by the mean of the e-values of both sides (Johari, Koomen, Pekelis and Walsh 2022,
    Operations Research 70). ``alpha`` only tunes the mixture.

    >>> round(always_valid_p(3.041, 1.0, tuned_at=1.0, alpha=0.05), 3)
    0.049
    """
    if not (math.isfinite(estimate) and math.isfinite(variance) and variance > 0):
        return math.nan
    tau = mixture_width(tuned_at, alpha=alpha)
    sides = np.array([estimate, -estimate])
    log_e = np.logaddexp.reduce(log_e_mean_above(sides, variance, tau=tau)) - math.log(2)
    return math.exp(-max(0.0, float(log_e)))


def inflation(*, alpha: float, power: float) -> float:
    """How many times the units of one look at a fixed end are needed to look all the time.

    The ratio of the two variances at which an effect is found with ``power``: by a z-test, and by
    the interval of `half_width` tuned there. It depends on neither effect nor variance. What is
    found at an earlier look is not counted, so that there is more power than asked for.

    >>> round(inflation(alpha=0.05, power=0.8), 2)
    1.92
    """
    normal = NormalDist()
    once = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
    return (_reach(alpha=alpha, power=power) / once) ** 2


def planned_variance(effect: float, *, alpha: float, power: float) -> float:
    """The variance of an estimate at which ``effect`` is found with ``power`` at the latest.

    >>> found = planned_variance(0.02, alpha=0.05, power=0.8)
    >>> round(half_width(found, tuned_at=found, alpha=0.05), 4)
    0.0157
    """
    return (effect / _reach(alpha=alpha, power=power)) ** 2


def variance_for(width: float, *, tuned_at: float, alpha: float) -> float:
    """The variance at which `half_width` comes down to ``width``, above 0; by bisection.

    >>> round(variance_for(3.041, tuned_at=1.0, alpha=0.05), 3)
    1.0
    """
    low, high = 0.0, width**2
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        if half_width(middle, tuned_at=tuned_at, alpha=alpha) > width:
            high = middle
        else:
            low = middle
    return high


def _reach(*, alpha: float, power: float) -> float:
    # In standard deviations: the interval must clear 0 where the estimate falls short by chance.
    return half_width(1.0, tuned_at=1.0, alpha=alpha) + NormalDist().inv_cdf(power)
