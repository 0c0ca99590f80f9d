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
    if reference.sum() == 0 or current.sum() == 0:
        return float("nan")
    used = (reference + current) > 0
    reference, current = reference[used], current[used]
    p = (current + PSEUDOCOUNT) / (current.sum() + PSEUDOCOUNT * len(current))
    q = (reference + PSEUDOCOUNT) / (reference.sum() + PSEUDOCOUNT * len(reference))
    return float(np.sum((p - q) * np.log(p / q)))


def adjusted_psi_nats(reference: npt.NDArray[np.int64], current: npt.NDArray[np.int64]) -> float:
    """PSI less what identical distributions give on average: max(0, PSI - (B-1)(1/n + 1/m)).

    Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4), give that expectation.
    """
    raw = psi_nats(reference, current)
    if np.isnan(raw):
        return raw
    used = int(((reference + current) > 0).sum())
    expected = (used - 1) * (1 / reference.sum() + 1 / current.sum())
    return max(0.0, float(raw - expected))
