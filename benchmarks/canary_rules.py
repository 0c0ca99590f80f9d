"""Rules that teams roll back by, on the same simulated counts of errors.

Each takes counts per look of 30 seconds and says per look, or per window of five minutes, where it
would roll back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from canary_traffic import LOOKS_PER_WINDOW, first_minutes
from scipy.stats import mannwhitneyu, norm

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from canary_traffic import Counts, Floats

    Looks = npt.NDArray[np.bool_]

_Z = float(norm.isf(0.025))
_MIXTURE_SD = 0.003
_ALPHA = 0.01


def z_each_look(counts: Counts, metric: str) -> Floats:
    """A z-test of two rates on everything so far, at each look."""
    return first_minutes(_z(counts.cumulated(), metric) > _Z)


def z_each_window(counts: Counts, metric: str) -> Floats:
    """A z-test of two rates on the last five minutes, each five minutes."""
    return _by_window(_z(counts.every(LOOKS_PER_WINDOW), metric) > _Z)


def above_limit_three_times(counts: Counts, metric: str) -> Floats:
    """Error rate above 2 percent in three windows of five minutes in a row."""
    above = _rates(counts.every(LOOKS_PER_WINDOW), metric)[0] > 0.02  # noqa: PLR2004 (the rule)
    thrice = above.copy()
    thrice[:, :2] = False
    thrice[:, 2:] &= above[:, 1:-1] & above[:, :-2]
    return _by_window(thrice)


def above_production(counts: Counts, metric: str) -> Floats:
    """Error rate above 1.5 times that of production in the last five minutes."""
    canary, control = _rates(counts.every(LOOKS_PER_WINDOW), metric)
    return _by_window(canary > 1.5 * control)


def kayenta_like(counts: Counts, metric: str) -> Floats:
    """Each hour Mann-Whitney on the error rates of 60 minutes at 98 percent, and 1.25 times."""
    canary, control = _rates(counts.every(2), metric)
    hours = canary.shape[1] // 60
    a, b = (x[:, : hours * 60].reshape(-1, 60) for x in (canary, control))
    # Without any error in the hour the ranks are all equal, which scipy takes for unknown.
    varied = (np.ptp(a, axis=1) > 0) | (np.ptp(b, axis=1) > 0)
    p = np.ones(len(a))
    if varied.any():
        found = mannwhitneyu(
            a[varied], b[varied], axis=1, alternative="greater", method="asymptotic"
        )
        p[varied] = found.pvalue
    fires = (p < 0.01) & (a.mean(axis=1) > 1.25 * b.mean(axis=1))  # noqa: PLR2004 (the rule)
    return first_minutes(fires.reshape(-1, hours), minutes_per_look=60.0)


def bonferroni(counts: Counts, metric: str) -> Floats:
    """A z-test on everything so far, at 1 percent over the number of looks there will be."""
    z = _z(counts.cumulated(), metric)
    return first_minutes(z > norm.isf(_ALPHA / z.shape[1]))


def msprt(counts: Counts, metric: str) -> Floats:
    """Mixture sequential probability ratio test, normal of 0.003 around equal rates, 1 percent."""
    sums = counts.cumulated()
    canary, control = _rates(sums, metric)
    variance = _variance(sums, metric)
    with np.errstate(invalid="ignore", divide="ignore"):
        wider = variance + _MIXTURE_SD**2
        gap = canary - control
        log_ratio = np.log(variance / wider) / 2 + gap**2 * _MIXTURE_SD**2 / (2 * variance * wider)
    fires = (log_ratio >= -math.log(_ALPHA)) & (gap > 0) & (variance > 0)
    return first_minutes(fires)


RULES: dict[str, Callable[[Counts, str], Floats]] = {
    "z-test at each look": z_each_look,
    "z-test of each 5 minutes": z_each_window,
    "above 2 % three times in a row": above_limit_three_times,
    "above 1.5 x production": above_production,
    "Mann-Whitney each hour": kayenta_like,
    "z-test, Bonferroni over the day": bonferroni,
    "mSPRT": msprt,
}


def _by_window(looks: Looks) -> Floats:
    return first_minutes(looks, minutes_per_look=5.0)


def _rates(counts: Counts, metric: str) -> tuple[Floats, Floats]:
    a, b = counts.events[metric]
    return a / np.maximum(counts.canary, 1), b / np.maximum(counts.control, 1)


def _variance(counts: Counts, metric: str) -> Floats:
    a, b = counts.events[metric]
    pooled = (a + b) / np.maximum(counts.canary + counts.control, 1)
    spread = 1 / np.maximum(counts.canary, 1) + 1 / np.maximum(counts.control, 1)
    result: Floats = pooled * (1 - pooled) * spread
    return result


def _z(counts: Counts, metric: str) -> Floats:
    canary, control = _rates(counts, metric)
    variance = _variance(counts, metric)
    return np.where(variance > 0, (canary - control) / np.sqrt(np.maximum(variance, 1e-300)), 0.0)
