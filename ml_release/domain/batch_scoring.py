"""Predictions of a whole partition: their names, how they spread, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

PREDICTION, DECISION = "prediction", "decision"
VERSION, MODEL_DIGEST = "version", "model_digest"
PREDICTION_COLUMNS = (PREDICTION, DECISION, VERSION, MODEL_DIGEST)
_BINS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSpread:
    """A histogram of predictions that batch after batch is added to.

    Attributes
    ----------
    edges
        Shape (bins + 1,), ascending. What lies outside counts in the first or the last bin.
    counts
        Predictions per bin, shape (bins,); the right edge belongs to the next bin.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    def with_more(self, predictions: npt.NDArray[np.float64]) -> ScoreSpread:
        """The spread of these predictions, all finite, and of those before."""
        bins = np.searchsorted(self.edges[1:-1], predictions, side="right")
        more = np.bincount(bins, minlength=len(self.counts))
        return ScoreSpread(edges=self.edges, counts=self.counts + more)


def empty_spread(
    first: npt.NDArray[np.float64], *, is_probability: bool, bins: int = _BINS
) -> ScoreSpread:
    """A spread of nothing yet: over 0 to 1, or over the range of the first values.

    Parameters
    ----------
    first
        Finite predictions of the first batch, shape (n,) with n of at least 1.

    >>> empty_spread(np.array([2.0, 6.0]), is_probability=False, bins=2).edges.tolist()
    [2.0, 4.0, 6.0]
    """
    low, high = (0.0, 1.0) if is_probability else (float(first.min()), float(first.max()))
    if low == high:
        low, high = low - 0.5, high + 0.5
    return ScoreSpread(
        edges=np.linspace(low, high, bins + 1), counts=np.zeros(bins, dtype=np.int64)
    )


class PredictionsRecord(BaseModel):
    """The predictions of one partition.

    Attributes
    ----------
    predictions_digest
        Of the rows that were written.
    features_digest
        Of the feature rows they were made from.
    route_commit
        The declaration that named the version; None if the version was asked for by its number.
    threshold
        From this probability on the decision is yes; None where no decision is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    partition: str
    predictions_digest: str
    features_digest: str
    version: int
    model_digest: str
    threshold: float | None
    route_commit: str | None
