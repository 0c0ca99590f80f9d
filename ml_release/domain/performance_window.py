"""Scores of the answers of some days, with intervals over days."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.calibration_chance import calibration_excess
from ml_release.domain.cbpe import estimated_performance
from ml_release.domain.clustered_auc import auc_interval_by_groups
from ml_release.domain.evaluation_measures import Measured
from ml_release.domain.intervals import mean_interval
from ml_release.domain.performance import realised_performance
from ml_release.domain.performance_record import (
    DayPerformance,
    LabelBias,
    NewestEstimate,
    WindowScores,
)
from ml_release.domain.recorded import known

if TYPE_CHECKING:
    from ml_release.domain.answers import AnswerTable, Mask
    from ml_release.domain.decision_costs import DecisionCosts
    from ml_release.domain.scores import Floats

_SEED = 20130401
_MANY_ROWS = 100_000
"""From so many rows on fewer simulations show the chance of the calibration error."""


def squared_errors(answers: AnswerTable) -> Floats:
    """Squared error (Brier) of each labelled answer, shape (n,), 0 to 1."""
    errors: Floats = np.square(answers.prediction - answers.label)
    return errors


def window_scores(
    answers: AnswerTable, *, confidence: float, costs: DecisionCosts | None = None
) -> WindowScores:
    """Scores of answers that all have a label and a probability; None in all of none."""
    n = len(answers)
    if not n:
        return WindowScores()
    target, probability, day = answers.label, answers.prediction, answers.day
    inside = np.clip(probability, 1e-15, 1 - 1e-15)
    losses = -(target * np.log(inside) + (1 - target) * np.log1p(-inside))
    excess = calibration_excess(
        target, probability, seed=_SEED, simulations=400 if n < _MANY_ROWS else 100
    )
    estimated = estimated_performance(probability)
    return WindowScores(
        since=date.fromordinal(int(day.min())),
        until=date.fromordinal(int(day.max())),
        n=n,
        positives=int(target.sum()),
        days=len(np.unique(day)),
        auc=Measured.of(auc_interval_by_groups(target, probability, day, confidence=confidence)),
        log_loss=Measured.of(mean_interval(losses, confidence=confidence, groups=day)),
        cost_per_1000=_cost(answers, costs, confidence=confidence),
        calibration_error=known(excess.error),
        calibration_expected=known(excess.expected),
        calibration_upper=known(excess.upper),
        in_the_large=Measured.of(
            mean_interval(probability - target, confidence=confidence, groups=day)
        ),
        mean_probability=known(float(probability.mean())),
        observed_rate=known(float(target.mean())),
        estimated_auc=known(estimated.auc),
        estimated_log_loss=known(estimated.log_loss),
    )


def _cost(
    answers: AnswerTable, costs: DecisionCosts | None, *, confidence: float
) -> Measured | None:
    """Of those that were decided on: a line without a threshold decides nothing."""
    decided = answers.where(np.isfinite(answers.decision))
    if costs is None or not len(decided):
        return None
    return Measured.of(
        costs.per_1000(decided.decision, decided.label, confidence=confidence, groups=decided.day)
    )


def newest_estimate(answers: AnswerTable) -> NewestEstimate:
    """What CBPE says of answers that all have a probability, labelled or not."""
    if not len(answers):
        return NewestEstimate()
    estimated = estimated_performance(answers.prediction)
    return NewestEstimate(
        since=date.fromordinal(int(answers.day.min())),
        until=date.fromordinal(int(answers.day.max())),
        n=estimated.rows,
        auc=known(estimated.auc),
        log_loss=known(estimated.log_loss),
        mean_probability=known(estimated.rate),
    )


def label_bias(answers: AnswerTable, is_due: Mask) -> LabelBias:
    """Who has a label before it is due, and who has none after it.

    Parameters
    ----------
    answers
        All with a probability.
    is_due
        Whether the label of each is due, shape (n,).
    """
    early = answers.where(~is_due & answers.is_labelled)
    matured = answers.where(is_due)
    labelled = matured.where(matured.is_labelled)
    return LabelBias(
        early=len(early),
        early_rate=float(early.label.mean()) if len(early) else None,
        matured=len(matured),
        matured_scores=float(matured.prediction.mean()) if len(matured) else None,
        labelled_scores=float(labelled.prediction.mean()) if len(labelled) else None,
    )


def day_scores(answers: AnswerTable, *, confidence: float) -> tuple[DayPerformance, ...]:
    """Each day of answers that all have a label and a probability, intervals over rows."""
    found = []
    for day in np.unique(answers.day).tolist():
        own = answers.where(answers.day == day)
        one = realised_performance(own.label, own.prediction, confidence=confidence)
        found.append(
            DayPerformance(
                day=date.fromordinal(day),
                n=one.rows,
                positives=one.positives,
                auc=known(one.auc.estimate),
                auc_low=known(one.auc.low),
                auc_high=known(one.auc.high),
                log_loss=known(one.log_loss),
                mean_probability=known(one.mean_probability),
                observed_rate=known(one.observed_rate),
                estimated_auc=known(estimated_performance(own.prediction).auc),
            )
        )
    return tuple(found)
