"""Performance without labels: what scores would be if every probability were true (CBPE).

Confidence-based performance estimation: a row of probability p is a positive with p, so it adds p
to the true positives at every threshold below it and 1 - p to the false ones. The expected
confusion matrices give an expected ROC curve, whose area is estimated here; NannyML does the same
after calibrating. Kivimaki et al. (2024), arXiv 2407.08649.

It assumes

- that probabilities are calibrated, also on the rows of now: look at the calibration error;
- that what is to be predicted depends on the features as it did: **concept drift is invisible to
  it**. On the flights of 2013 it stays at 0.76 to 0.80 in months whose realised AUC is 0.68 to
  0.76;
- that the mix of rows is what has changed, and covers nothing that the model never saw.

So it is shown beside realised performance and stands for none: once labels are in, the two are
compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.scores import Floats

NOTHING = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatedPerformance:
    """Expected scores; NaN where undefined.

    Attributes
    ----------
    rows
        Probabilities behind it.
    auc
        Area under the expected ROC curve, 0 to 1.
    log_loss
        Expected log loss in nats: the mean entropy of the probabilities.
    rate
        Expected rate of positives: the mean probability.
    """

    rows: int
    auc: float
    log_loss: float
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedConfusion:
    """Expected rows of each kind at one threshold; rows at or above it are selected."""

    true_positives: float
    false_positives: float
    false_negatives: float
    true_negatives: float


def estimated_performance(
    probability: Floats, *, score: Floats | None = None
) -> EstimatedPerformance:
    """Expected scores of answers whose labels are not known.

    Parameters
    ----------
    probability
        Calibrated probability of a positive, 0 to 1, shape (n,).
    score
        What rows are ordered by, shape (n,); the probability itself by default. It differs where
        the model's answers were calibrated afterwards.

    Raises
    ------
    InputError
        If the columns have different lengths, or a number is no probability.

    Examples
    --------
    >>> found = estimated_performance(np.array([0.2, 0.8]))
    >>> round(found.auc, 12), found.rate
    (0.8, 0.5)
    """
    _require_probabilities(probability)
    score = probability if score is None else score
    n = len(probability)
    if len(score) != n:
        message = f"CBPE: expected a score for each of {n} probabilities, found {len(score)}"
        raise InputError(message)
    if n == 0:
        return EstimatedPerformance(rows=0, auc=NOTHING, log_loss=NOTHING, rate=NOTHING)
    inside = np.clip(probability, 1e-15, 1 - 1e-15)
    entropy = -(probability * np.log(inside) + (1 - probability) * np.log1p(-inside))
    return EstimatedPerformance(
        rows=n,
        auc=_expected_area(probability, score),
        log_loss=float(entropy.mean()),
        rate=float(probability.mean()),
    )


def expected_confusion(probability: Floats, *, threshold: float) -> ExpectedConfusion:
    """The expected confusion matrix of decisions at a threshold.

    >>> expected_confusion(np.array([0.25, 0.75]), threshold=0.5)  # doctest: +NORMALIZE_WHITESPACE
    ExpectedConfusion(true_positives=0.75, false_positives=0.25,
                      false_negatives=0.25, true_negatives=0.75)
    """
    _require_probabilities(probability)
    selected = probability >= threshold
    return ExpectedConfusion(
        true_positives=float(probability[selected].sum()),
        false_positives=float((1 - probability[selected]).sum()),
        false_negatives=float(probability[~selected].sum()),
        true_negatives=float((1 - probability[~selected]).sum()),
    )


def _expected_area(probability: Floats, score: Floats) -> float:
    """Trapezoids under the expected ROC curve, one corner per distinct score."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    positives = np.append(0.0, np.cumsum(probability[order])[last])
    negatives = np.append(0.0, np.cumsum(1 - probability[order])[last])
    if positives[-1] <= 0 or negatives[-1] <= 0:
        return NOTHING
    heights = (positives[1:] + positives[:-1]) / 2
    return float(np.sum(np.diff(negatives) * heights) / (positives[-1] * negatives[-1]))


def _require_probabilities(probability: Floats) -> None:
    if not ((probability >= 0) & (probability <= 1)).all():
        message = "CBPE: expected probabilities from 0 to 1, found another number"
        raise InputError(message)
