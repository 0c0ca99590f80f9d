"""Showing that a canary is no worse, instead of assuming it where no harm was found.

Anytime-valid like `sequential_tests`, whose conventions hold here. Finding no harm after ten
requests shows nothing; reaching the limit here does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.sequential_tests import log_mean_exp, paired_counts, require_alpha
from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.sequential_tests import Floats, Numbers

_BISECTIONS = 45
_HALVINGS = 25  # to 3e-8 of a rate
# Any discrete mixture chosen beforehand is valid; this one holds rates from 1 in 3,000 to 7 in 8.
_EQUAL_RATES = 1 / (1 + np.exp(-np.arange(-8.0, 2.1, 1.0)))


def log_e_no_worse(
    canary_n: Numbers,
    canary_events: Numbers,
    control_n: Numbers,
    control_events: Numbers,
    *,
    tolerance: Numbers,
) -> Floats:
    """Log e-value against "the canary's rate exceeds the control's by ``tolerance`` or more".

    At 1 / alpha the canary is shown to be no worse than that. For a rate m that both arms would
    have, the likelihood ratio of (m, m) to its reverse information projection on the null, the pair
    (b + tolerance, b) next to it, is an e-value against the whole null, which is convex (Gruenwald,
    de Heide and Koolen 2024, JRSS B 86(5); Turner and Gruenwald 2023, arXiv 2203.09785). It is
    averaged over a fixed grid of m.

    Parameters
    ----------
    tolerance
        Difference of the rates, between 0 and 1.

    Returns
    -------
    numpy.ndarray
        Nats; 0 where an arm has no requests.

    Raises
    ------
    InputError
        If a count is negative or not finite, events outnumber requests, or the tolerance does not
        lie between 0 and 1.

    Examples
    --------
    >>> round(float(log_e_no_worse(1500, 14, 28500, 290, tolerance=0.01)), 3)
    3.387
    """
    delta = np.asarray(tolerance, dtype=np.float64)
    if not np.all((delta > 0) & (delta < 1)):
        message = f"sequential test: expected a tolerance between 0 and 1, found {tolerance!r}"
        raise InputError(message)
    counts = paired_counts(canary_n, canary_events, control_n, control_events)
    *counts, delta = np.broadcast_arrays(*counts, delta)
    n_a, s_a, n_b, s_b, delta = (count[..., None] for count in (*counts, delta))
    with np.errstate(invalid="ignore"):
        share = n_a / (n_a + n_b)
    known = (share > 0) & (share < 1)
    w = np.where(known, share, 0.5)
    low = _nearest_null(w, delta)
    high = low + delta
    m = _EQUAL_RATES
    log_ratio = (
        s_a * (np.log(m) - np.log(high))
        + (n_a - s_a) * (np.log1p(-m) - np.log1p(-high))
        + s_b * (np.log(m) - np.log(low))
        + (n_b - s_b) * (np.log1p(-m) - np.log1p(-low))
    )
    return np.where(known[..., 0], log_mean_exp(log_ratio, axes=(-1,)), 0.0)


def rate_difference_upper(
    canary_n: float,
    canary_events: float,
    control_n: float,
    control_events: float,
    *,
    alpha: float,
) -> float:
    """Upper end of a one-sided confidence sequence: canary's rate minus control's, -1 to 1.

    The smallest tolerance that `log_e_no_worse` shows at ``alpha``, so never below 0: it says how
    much worse the canary may still be. 1 where nothing is shown.

    Raises
    ------
    InputError
        As `log_e_no_worse`, or if alpha does not lie between 0 and 1.

    Examples
    --------
    >>> round(rate_difference_upper(1500, 14, 28500, 290, alpha=0.05), 4)
    0.0095
    """
    require_alpha(alpha)
    low, high = 1e-9, 1 - 1e-9
    target = -np.log(alpha)

    def is_shown(tolerance: float) -> bool:
        log_e = log_e_no_worse(
            canary_n, canary_events, control_n, control_events, tolerance=tolerance
        )
        return bool(log_e >= target)

    if not is_shown(high):
        return 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_shown(middle) else (middle, high)
    return high


def _nearest_null(w: Floats, delta: Floats) -> Floats:
    """Per rate m the b whose (b + delta, b) lies nearest to (m, m) in information, by bisection."""
    m = _EQUAL_RATES
    low = np.broadcast_to(0.0, np.broadcast_shapes(w.shape, delta.shape, m.shape)).copy()
    high = np.broadcast_to(1 - delta, low.shape).copy()
    for _ in range(_BISECTIONS):
        b = (low + high) / 2
        slope = w * (b + delta - m) / ((b + delta) * (1 - b - delta)) + (1 - w) * (b - m) / (
            b * (1 - b)
        )
        is_below = slope < 0
        low, high = np.where(is_below, b, low), np.where(is_below, high, b)
    middle: Floats = (low + high) / 2
    return middle
