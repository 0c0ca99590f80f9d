"""The score that models are compared in, by its declared name: as a number, weighted, paired.

One name, three forms: the value on some rows (what a permuted feature costs), a weighted score
(what a bootstrap asks for) and a paired difference with its interval (what the champion is held
against).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.bootstrap import bootstrap_interval
from ml_release.domain.clustered_auc import (
    auc_difference_by_groups,
    auc_interval_by_groups,
    same_order,
)
from ml_release.domain.intervals import Interval
from ml_release.domain.paired_tests import paired_bootstrap
from ml_release.domain.regression_scores import absolute_errors, pinball_losses, squared_errors
from ml_release.domain.rows import require_same_rows
from ml_release.domain.scores import auc_difference, auc_interval
from ml_release.domain.weighted_scores import (
    weighted_auc,
    weighted_average_precision,
    weighted_mean,
    weighted_ratio,
    weighted_root_mean,
)
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.resampling import Resampling
    from ml_release.domain.scores import Floats
    from ml_release.domain.slice_scores import Rows
    from ml_release.domain.weighted_scores import WeightedScore


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrimaryScore:
    """A declared score on fixed rows, for any number of models.

    Attributes
    ----------
    name
        As ``auc_score`` or ``mean_absolute_error``.
    target
        Shape (n,), known in every row.
    threshold, alpha
        Of decisions, and of the pinball loss.
    plan, comparison_plan
        How rows are drawn again, for a score and for a difference of two models; with ``groups``
        every interval is over groups. None: a difference as a score.
    """

    name: str
    target: Floats
    threshold: float
    alpha: float
    plan: Resampling
    comparison_plan: Resampling | None = None

    @property
    def greater_is_better(self) -> bool:
        """Whether it grows with quality."""
        return self.name.endswith("_score")

    def value(self, answers: Floats, *, rows: Rows | None = None) -> float:
        """The score on all rows, or on some; NaN where it is undefined.

        Parameters
        ----------
        answers
            Shape (n,): to all rows, as in `interval`.
        rows
            Positions of those that count; None for all.

        Raises
        ------
        InputError
            If the score is not known, or there is not one answer to each row.
        """
        require_same_rows(self.name, target=self.target, answers=answers)
        target = self.target
        if rows is not None:
            target, answers = target[rows], answers[rows]
        if not len(target):
            return float("nan")
        return float(self._weighted(target, answers).under(np.ones((1, len(target))))[0])

    def loss(self, before: float, after: float) -> float:
        """How much worse ``after`` is than ``before``, in the unit of the score; NaN stays NaN."""
        return before - after if self.greater_is_better else after - before

    def interval(self, answers: Floats, rows: Rows, confidence: float) -> Interval:
        """The score on some rows with its interval; ``answers`` are to all rows."""
        target, chosen = self.target[rows], answers[rows]
        if self.name == "auc_score":
            if self.plan.groups is None:
                return Interval.of(auc_interval(target, chosen, confidence=confidence))
            groups = self.plan.groups[rows]
            return auc_interval_by_groups(target, chosen, groups, confidence=confidence)
        score = self._weighted(target, chosen)
        return bootstrap_interval(score, _on(self.plan, rows), confidence=confidence)

    def difference(
        self, challenger: Floats, champion: Floats, rows: Rows, confidence: float
    ) -> Interval:
        """Challenger minus champion on some rows, paired, with its interval.

        Answers that are the same row by row, for the AUC in the same order, differ by exactly 0; a
        difference without spread of any other answers has ends of NaN, since few rows may hide it.
        """
        target, first, second = self.target[rows], challenger[rows], champion[rows]
        plan = self.comparison_plan or self.plan
        if self.name == "auc_score":
            if plan.groups is None:
                found = auc_difference(target, first, second, confidence=confidence)
                interval = Interval.of(found)
                same = same_order(first, second) and found.estimate == 0
                return replace(interval, low=0.0, high=0.0) if same else interval
            return auc_difference_by_groups(
                target, first, second, plan.groups[rows], confidence=confidence
            )
        return paired_bootstrap(
            self._weighted(target, first),
            self._weighted(target, second),
            _on(plan, rows),
            confidence=confidence,
            identical=bool(np.array_equal(first, second)),
        )

    def _weighted(self, target: Floats, answers: Floats) -> WeightedScore:
        known = np.where(np.isfinite(target) & np.isfinite(answers), 1.0, np.nan)
        positive = known * (target > 0)
        selected = known * (answers >= self.threshold)
        hit = positive * selected
        clipped = np.clip(answers, 1e-15, 1 - 1e-15)
        forms: dict[str, Callable[[], WeightedScore]] = {
            "auc_score": lambda: weighted_auc(target, answers),
            "average_precision_score": lambda: weighted_average_precision(target, answers),
            "precision_score": lambda: weighted_ratio(hit, selected),
            "recall_score": lambda: weighted_ratio(hit, positive),
            "f1_score": lambda: weighted_ratio(2 * hit, positive + selected),
            "brier_loss": lambda: weighted_mean(np.square(answers - target)),
            "log_loss": lambda: weighted_mean(
                -(target * np.log(clipped) + (1 - target) * np.log1p(-clipped))
            ),
            "mean_absolute_error": lambda: weighted_mean(absolute_errors(target, answers)),
            "root_mean_squared_error": lambda: weighted_root_mean(squared_errors(target, answers)),
            "pinball_loss": lambda: weighted_mean(
                pinball_losses(target, answers, alpha=self.alpha)
            ),
        }
        if self.name not in forms:
            message = f"primary score: expected one of {sorted(forms)}, found {self.name!r}"
            raise InputError(message)
        return forms[self.name]()


def _on(plan: Resampling, rows: Rows) -> Resampling:
    groups, strata = plan.groups, plan.strata
    return replace(
        plan,
        groups=None if groups is None else groups[rows],
        strata=None if strata is None else strata[rows],
    )
