"""Scores as functions of the weight of each row, the form in which a bootstrap asks for them.

Drawing rows with replacement is giving each row a whole-number weight. So a resample copies no
row, and a score that reads the order of rows sorts them once for all resamples. Each weighted score
answers many resamples at once. Undefined is NaN: in a resample without positives, say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ml_release.domain.rows import require_same_rows
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ml_release.domain.scores import Floats


class WeightedScore(Protocol):
    """A score of n rows that can be asked for under any weights."""

    @property
    def n(self) -> int:
        """Rows it was made of."""

    def under(self, weights: Floats) -> Floats:
        """The score of each resample: ``weights`` of shape (resamples, n) to shape (resamples,)."""


@dataclass(frozen=True, slots=True, eq=False)
class SumsScore:
    """A score that needs only sums over rows, so rows may be added up before they are drawn.

    Attributes
    ----------
    columns
        Shape (n, k): what each row adds to k sums.
    of_sums
        Sums of shape (resamples, k) to scores of shape (resamples,). Scaling all sums alike must
        not change the score.
    """

    columns: Floats
    of_sums: Callable[[Floats], Floats]

    @property
    def n(self) -> int:
        """Rows it was made of."""
        return len(self.columns)

    def under(self, weights: Floats) -> Floats:
        """The score of each resample."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.of_sums(weights @ self.columns)


@dataclass(frozen=True, slots=True, eq=False)
class RankScore:
    """A score that reads the order of the rows: `weighted_auc`, `weighted_average_precision`.

    Attributes
    ----------
    order
        Shape (n,): rows by rising score.
    starts
        Where each run of equal scores begins in ``order``.
    positive
        Shape (n,): 1.0 for a positive row, in ``order``; NaN if a target or score is not known.
    of_runs
        Positive and negative weight of each run, both (resamples, runs), to scores (resamples,).
    """

    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    positive: Floats
    of_runs: Callable[[Floats, Floats], Floats]

    @property
    def n(self) -> int:
        """Rows it was made of."""
        return len(self.order)

    def under(self, weights: Floats) -> Floats:
        """The score of each resample."""
        if not self.n or np.isnan(self.positive[0]):
            return np.full(len(weights), np.nan)
        ranked = np.take(weights, self.order, axis=1)
        above = ranked * self.positive
        below = ranked - above
        if len(self.starts) < self.n:
            above = np.add.reduceat(above, self.starts, axis=1)
            below = np.add.reduceat(below, self.starts, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.of_runs(above, below)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreDifference:
    """Challenger minus champion under the same weights: the paired comparison."""

    challenger: WeightedScore
    champion: WeightedScore

    @property
    def n(self) -> int:
        """Rows both were made of."""
        return self.challenger.n

    def under(self, weights: Floats) -> Floats:
        """The difference in each resample."""
        return self.challenger.under(weights) - self.champion.under(weights)


def difference_of(challenger: WeightedScore, champion: WeightedScore) -> WeightedScore:
    """Challenger minus champion on the same rows.

    Raises
    ------
    InputError
        If the two have different numbers of rows.
    """
    if challenger.n != champion.n:
        message = (
            f"paired difference: expected two scores of the same rows, found {challenger.n} and "
            f"{champion.n} rows; score both models on the rows of one holdout"
        )
        raise InputError(message)
    if not (isinstance(challenger, SumsScore) and isinstance(champion, SumsScore)):
        return ScoreDifference(challenger, champion)
    k = challenger.columns.shape[1]
    first, second = challenger.of_sums, champion.of_sums
    return SumsScore(
        np.hstack((challenger.columns, champion.columns)),
        lambda sums: first(sums[:, :k]) - second(sums[:, k:]),
    )


def weighted_mean(values: Floats) -> SumsScore:
    """Mean of ``values``, shape (n,): Brier loss, log loss, absolute error, accuracy."""
    return weighted_ratio(values, np.ones(len(values)))


def weighted_root_mean(values: Floats) -> SumsScore:
    """Root of the mean of ``values``, shape (n,), none negative: RMSE from squared errors."""
    columns = np.column_stack((values, np.ones(len(values))))
    return SumsScore(columns, lambda sums: np.sqrt(sums[:, 0] / sums[:, 1]))


def weighted_ratio(part: Floats, whole: Floats) -> SumsScore:
    """Sum of ``part`` by sum of ``whole``, shape (n,) each: precision, recall, false positive rate.

    F1 is the ratio of 2 x hit to positive + selected. NaN in a resample whose whole is 0.
    """
    return SumsScore(np.column_stack((part, whole)), lambda sums: sums[:, 0] / sums[:, 1])


def weighted_auc(target: Floats, score: Floats) -> RankScore:
    """Area under the ROC curve, ties counted half; as `scores.auc_score`, row by row weighted."""

    def of_runs(above: Floats, below: Floats) -> Floats:
        beaten = np.cumsum(below, axis=1) - below / 2
        wins: Floats = np.einsum("bi,bi->b", above, beaten)
        pairs: Floats = above.sum(axis=1) * below.sum(axis=1)
        return wins / pairs

    return _ranked(target, score, of_runs)


def weighted_average_precision(target: Floats, score: Floats) -> RankScore:
    """Average precision; as `classification_scores.average_precision_score`, weighted."""

    def of_runs(above: Floats, below: Floats) -> Floats:
        # From the largest score down: all that is selected at each threshold.
        hits = np.cumsum(above[:, ::-1], axis=1)[:, ::-1]
        selected = hits + np.cumsum(below[:, ::-1], axis=1)[:, ::-1]
        precision = np.divide(hits, selected, out=np.zeros_like(hits), where=selected > 0)
        gained: Floats = np.einsum("bi,bi->b", above, precision)
        return gained / hits[:, 0]

    return _ranked(target, score, of_runs)


def _ranked(
    target: Floats, score: Floats, of_runs: Callable[[Floats, Floats], Floats]
) -> RankScore:
    require_same_rows("weighted score", target=target, score=score)
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    positive = (target[order] > 0).astype(np.float64)
    if not (np.isfinite(target).all() and np.isfinite(score).all()):
        positive = np.full(len(order), np.nan)
    return RankScore(order, starts, positive, of_runs)
