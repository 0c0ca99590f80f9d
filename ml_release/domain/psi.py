"""Population stability index of two tables of counts over the same bins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

PSEUDOCOUNT = 0.5


def psi_nats(reference: npt.NDArray[np.int64], current: npt.NDArray[np.int64]) -> float:
    """Population stability index of two count vectors over the same bins, in nats.

    ``sum((p - q) * ln(p / q))`` with shares (count + 0.5) / (n + 0.5 B), bins empty on both sides
    dropped (Siddiqi 2006, Credit Risk Scorecards). NaN if either side holds no rows.
    """
    return _psi_and_chance(reference, current)[0]


def adjusted_psi_nats(reference: npt.NDArray[np.int64], current: npt.NDArray[np.int64]) -> float:
    """PSI less what identical distributions give on average: max(0, PSI - (B-1)(1/n + 1/m)).

    Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4), give that expectation.
    """
    raw, expected = _psi_and_chance(reference, current)
    return raw if np.isnan(raw) else max(0.0, raw - expected)


def _psi_and_chance(
    reference: npt.NDArray[np.int64], current: npt.NDArray[np.int64]
) -> tuple[float, float]:
    n, m = int(reference.sum()), int(current.sum())
    if not n or not m:
        return float("nan"), float("nan")
    used = (reference + current) > 0
    # What is dropped holds no rows, so the sums stay those of all bins.
    reference, current = reference[used], current[used]
    bins = len(reference)
    p = (current + PSEUDOCOUNT) / (m + PSEUDOCOUNT * bins)
    q = (reference + PSEUDOCOUNT) / (n + PSEUDOCOUNT * bins)
    return float(np.sum((p - q) * np.log(p / q))), (bins - 1) * (1 / n + 1 / m)
