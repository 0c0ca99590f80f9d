"""What a shift of one feature's margin is expected to cost, before any label is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

PRIOR_ROWS = 50.0
"""A bin's mean loss is drawn towards the mean of all by so many rows of it."""
EVIDENCE_ROWS = 30
"""A bin that the reference has fewer rows of is one of which it knows nothing."""


def loss_of_bins(rows: Counts, loss: Floats) -> Floats:
    """Mean loss of each bin on the holdout, shape (bins,), in the unit of ``loss``.

    Drawn towards the mean of all rows: a bin without rows has exactly that, and so adds nothing to
    an expected change. That it is not known is told by `unknown_share`.

    Parameters
    ----------
    rows, loss
        Rows per bin and the sum of their losses, each of shape (bins,).

    >>> loss_of_bins(np.array([0, 50, 950]), np.array([0.0, 50.0, 350.0])).tolist()
    [0.4, 0.7, 0.37]
    """
    if not rows.sum():
        return np.full(len(rows), np.nan)
    mean = loss.sum() / rows.sum()
    return np.asarray((loss + PRIOR_ROWS * mean) / (rows + PRIOR_ROWS))


def expected_loss_change(reference: Counts, current: Counts, losses: Floats) -> float:
    """Change of the mean loss if only this margin had moved: ``sum((p - q) * loss of bin)``.

    Importance weighting by one marginal (Shimodaira 2000, J. Stat. Planning and Inference 90): it
    holds where the model does as well in a bin as it did on the holdout, whatever else has moved.
    It sees rows that move to where the model is worse, and nothing of a relation that has changed
    within a bin (concept drift), nor of a value that is wrong: labels see those.

    NaN if a side holds no rows, or the loss is not known.

    >>> losses = np.array([0.2, 0.6])
    >>> round(expected_loss_change(np.array([50, 50]), np.array([25, 75]), losses), 6)
    0.1
    """
    if not reference.sum() or not current.sum():
        return float("nan")
    return float((current / current.sum() - reference / reference.sum()) @ losses)


def unknown_share(reference: Counts, current: Counts, *, outside: int = 0) -> float:
    """Share of the window's rows where the reference has no evidence, 0 to 1.

    Rows in bins of which it has fewer than 30 rows, and ``outside`` ones: numbers beyond its
    smallest or largest, which stand in the outer bins. NaN if the window holds no rows.

    >>> unknown_share(np.array([100, 3]), np.array([6, 4]), outside=1)
    0.5
    """
    if not current.sum():
        return float("nan")
    unseen = int(current[reference < EVIDENCE_ROWS].sum())
    return min(1.0, (unseen + outside) / int(current.sum()))
