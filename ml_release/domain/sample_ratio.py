"""Sample ratio mismatch: is the observed split the declared one? Valid however often one looks.

A split that is off says that requests were lost, or routed otherwise than declared, and that they
may differ in kind between the arms: whatever the comparison says then is void (Fabijan et al. 2019,
KDD). It says nothing of which arm is better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.sequential_tests import Floats

CONCENTRATION = 10_000.0
"""Of the Dirichlet mixture: a split is declared in hundredths of a percent, and errs by little."""


def log_e_sample_ratio(
    counts: Sequence[float] | Floats,
    shares: Sequence[float],
    *,
    concentration: float = CONCENTRATION,
) -> Floats:
    """Log e-value against "each request meets an arm with the declared probability".

    The likelihood ratio of the multinomial counts averaged over a Dirichlet(k w) around the
    declared shares w: ``ln Gamma(k) - ln Gamma(k + n) + sum of ln Gamma(k w + x) - ln Gamma(k w)
    - x ln w`` (Lindon and Malek 2022, NeurIPS, arXiv 2011.03567). The split is off at ln(1 /
    alpha). Stretches of different splits add up.

    Parameters
    ----------
    counts
        Assigned units per arm, shape (..., arms). Requests may stand for units where each request
        is assigned on its own; a unit that asks often and always meets the same arm makes requests
        dependent, and the test then rejects too often.
    shares
        Declared probability of each arm, above 0, adding to 1.
    concentration
        k above: the larger, the smaller the deviations it is best at.

    Returns
    -------
    numpy.ndarray
        Nats, shape (...); 0 without counts.

    Raises
    ------
    InputError
        If a count is negative or not finite, arms and shares differ in number, or the shares are
        not above 0 or do not add to 1.

    Examples
    --------
    >>> round(float(log_e_sample_ratio([50, 950], [0.05, 0.95])), 3)
    -0.048
    >>> round(float(log_e_sample_ratio([700, 9300], [0.05, 0.95])), 1)
    19.4
    """
    from scipy.special import gammaln

    x = np.asarray(counts, dtype=np.float64)
    w = np.asarray(shares, dtype=np.float64)
    if w.ndim != 1 or x.shape[-1:] != w.shape:
        message = f"sample ratio: expected a share per arm, found {w.shape} for {x.shape[-1:]}"
        raise InputError(message)
    if not np.all(w > 0) or abs(float(w.sum()) - 1) > 1e-9:  # noqa: PLR2004 (rounding)
        message = f"sample ratio: expected shares above 0 that add to 1, found {list(shares)}"
        raise InputError(message)
    if not np.all(np.isfinite(x) & (x >= 0)):
        message = "sample ratio: expected counts of 0 and more, found others"
        raise InputError(message)
    k, n = concentration, x.sum(axis=-1)
    arms = gammaln(k * w + x) - gammaln(k * w) - x * np.log(w)
    result: Floats = np.asarray(gammaln(k) - gammaln(k + n) + arms.sum(axis=-1))
    return result
