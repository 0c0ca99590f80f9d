"""The upper tail of a Beta distribution in logarithms, as far out as it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_TINY = 1e-300
_STEPS = 2000
_ROUNDING = 1e-12


def log_beta_above(w: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Logarithm of P(X > w), X having a Beta(a, b) distribution; it does not underflow.

    scipy gives it down to 1e-300; below that the continued fraction of the incomplete beta function
    (DLMF 8.17.22), which converges fast so far out.

    >>> round(float(log_beta_above(0.05, 0.5, 200000)), 2)
    -10263.84
    """
    from scipy.special import betainc, betaln

    w_, a_, b_ = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (w, a, b)))
    # 1 - I_w(a, b) = I_(1 - w)(b, a), which loses nothing to cancellation.
    tail = np.asarray(betainc(b_, a_, 1 - w_), dtype=np.float64)
    found: Floats = np.log(np.maximum(tail, _TINY))
    far = tail <= _TINY
    if far.any():
        x, p, q = 1 - w_[far], b_[far], a_[far]
        front = p * np.log(x) + q * np.log1p(-x) - betaln(p, q) - np.log(p)
        found = np.array(found)
        found[far] = front + np.log(_continued_fraction(x, p, q))
    return found


def _continued_fraction(x: Floats, p: Floats, q: Floats) -> Floats:
    """By the modified method of Lentz; every argument of shape (n,)."""
    c = np.ones_like(x)
    d = 1 / _away(1 - (p + q) * x / (p + 1))
    value = d.copy()
    for m in range(1, _STEPS):
        for term in (
            m * (q - m) * x / ((p + 2 * m - 1) * (p + 2 * m)),
            -(p + m) * (p + q + m) * x / ((p + 2 * m) * (p + 2 * m + 1)),
        ):
            d = 1 / _away(1 + term * d)
            c = _away(1 + term / c)
            change = c * d
            value = value * change
        if np.all(np.abs(change - 1) < _ROUNDING):
            break
    return value


def _away(x: Floats) -> Floats:
    """Numbers without zeros."""
    return np.where(np.abs(x) < _TINY, _TINY, x)
