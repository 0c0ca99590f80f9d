"""The usual scores of a binary classifier, each with the interval that fits it, on any rows.

In the form that `slice_scores` asks for, and good for all rows as well. Rates have Wilson's
interval, losses Student's, the AUC DeLong's, F1 and average precision the bootstrap; with groups
each is over groups instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.bootstrap import bootstrap_interval
from ml_release.domain.clustered_auc import auc_interval_by_groups
from ml_release.domain.intervals import Interval, mean_interval, rate_interval
from ml_release.domain.scores import auc_interval
from ml_release.domain.weighted_scores import weighted_average_precision, weighted_ratio
from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.resampling import Resampling
    from ml_release.domain.scores import Floats
    from ml_release.domain.slice_scores import Rows, ScoreOnRows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BinaryScores:
    """What the scores are made of.

    Attributes
    ----------
    target, probability
        Shape (n,) each; the target is 0 or 1, the probability that of a positive row.
    threshold
        Rows at or above it are selected.
    plan
        Draws for F1, average precision and every rate by groups. Take the method ``standard`` for
        slices: at the confidence of one of many slices, quantiles need thousands of resamples.
        Its ``groups`` are used by all scores; it has no ``strata``.
    """

    target: Floats
    probability: Floats
    threshold: float
    plan: Resampling

    def __post_init__(self) -> None:
        """Refuse columns of different rows."""
        groups = self.plan.groups
        n = len(self.target)
        if len(self.probability) != n or (groups is not None and len(groups) != n):
            message = (
                f"binary scores: expected a probability and a group for each of {n} targets, found "
                f"{len(self.probability)} and {n if groups is None else len(groups)}"
            )
            raise InputError(message)
        if self.plan.strata is not None:
            message = "binary scores: expected a plan without strata; slices cut across them"
            raise InputError(message)

    def by_name(self) -> dict[str, ScoreOnRows]:
        """The scores: name to function of (rows, confidence).

        A name in ``_loss`` shrinks with quality, one in ``_score`` grows; the two rates and
        ``calibration_gap``, mean probability minus rate of positives, have no good direction.
        """
        return {
            "auc_score": self._auc,
            "average_precision_score": self._average_precision,
            "brier_loss": partial(self._mean, self._squared()),
            "log_loss": partial(self._mean, self._log_losses()),
            "calibration_gap": partial(self._mean, self.probability - self.target),
            "precision_score": partial(self._rate, self._hit(), self._selected()),
            "recall_score": partial(self._rate, self._hit(), self._positive()),
            "f1_score": self._f1,
            "false_positive_rate": partial(
                self._rate, self._selected() - self._hit(), self._known() - self._positive()
            ),
            "selection_rate": partial(self._rate, self._selected(), self._known()),
        }

    def _known(self) -> Floats:
        """1 where target and probability are known, else NaN, which no score survives."""
        known = np.isfinite(self.target) & np.isfinite(self.probability)
        return np.where(known, 1.0, np.nan)

    def _positive(self) -> Floats:
        return self._known() * (self.target > 0)

    def _selected(self) -> Floats:
        return self._known() * (self.probability >= self.threshold)

    def _hit(self) -> Floats:
        return self._positive() * self._selected()

    def _squared(self) -> Floats:
        return np.square(self.probability - self.target)

    def _log_losses(self) -> Floats:
        # As `scores.log_loss`, row by row.
        clipped = np.clip(self.probability, 1e-15, 1 - 1e-15)
        return -(self.target * np.log(clipped) + (1 - self.target) * np.log1p(-clipped))

    def _plan(self, rows: Rows) -> Resampling:
        groups = self.plan.groups
        return self.plan if groups is None else replace(self.plan, groups=groups[rows])

    def _auc(self, rows: Rows, confidence: float) -> Interval:
        target, score = self.target[rows], self.probability[rows]
        if self.plan.groups is None:
            return Interval.of(auc_interval(target, score, confidence=confidence))
        return auc_interval_by_groups(target, score, self.plan.groups[rows], confidence=confidence)

    def _average_precision(self, rows: Rows, confidence: float) -> Interval:
        score = weighted_average_precision(self.target[rows], self.probability[rows])
        return bootstrap_interval(score, self._plan(rows), confidence=confidence)

    def _mean(self, values: Floats, rows: Rows, confidence: float) -> Interval:
        groups = None if self.plan.groups is None else self.plan.groups[rows]
        return mean_interval(values[rows], confidence=confidence, groups=groups)

    def _rate(self, part: Floats, whole: Floats, rows: Rows, confidence: float) -> Interval:
        part, whole = part[rows], whole[rows]
        if self.plan.groups is None and np.isfinite(part).all():
            return rate_interval(int(part.sum()), int(whole.sum()), confidence=confidence)
        return bootstrap_interval(
            weighted_ratio(part, whole), self._plan(rows), confidence=confidence
        )

    def _f1(self, rows: Rows, confidence: float) -> Interval:
        hit, positive, selected = (
            column[rows] for column in (self._hit(), self._positive(), self._selected())
        )
        score = weighted_ratio(2 * hit, positive + selected)
        return bootstrap_interval(score, self._plan(rows), confidence=confidence)
