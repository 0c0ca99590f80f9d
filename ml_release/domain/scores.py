"""Scores and losses of a binary classifier, each with what it needs to be defined.

By scikit-learn's rule a ``_score`` grows with quality and an ``_error`` or ``_loss`` shrinks.
Undefined is NaN, never a convenient number; the judges turn NaN into inconclusive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Challenger minus champion on the same rows, with a two-sided confidence interval."""

    estimate: float
    low: float
    high: float
    confidence: float
    n: int


def auc_score(target: Floats, score: Floats) -> float:
    """Area under the ROC curve, the Mann-Whitney form, ties counted half. Range 0 to 1.

    NaN with only one class, or with a target or score that is not known.

    >>> auc_score(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    from scipy.stats import rankdata

    positive = target > 0
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0 or not _all_known(target, score):
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[positive].sum() - m * (m + 1) / 2) / (m * n))


def _all_known(*columns: Floats) -> bool:
    return all(bool(np.isfinite(column).all()) for column in columns)


def brier_loss(target: Floats, probability: Floats) -> float:
    """Mean squared difference of probability and outcome (Brier 1950). Range 0 to 1."""
    return float(np.mean((probability - target) ** 2)) if len(target) else float("nan")


def log_loss(target: Floats, probability: Floats) -> float:
    """Mean negative log likelihood in nats; probabilities are kept 1e-15 away from 0 and 1."""
    if not len(target):
        return float("nan")
    clipped = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-np.mean(target * np.log(clipped) + (1 - target) * np.log1p(-clipped)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """One bin of a reliability diagram."""

    mean_probability: float
    observed_rate: float
    n: int


def reliability_bins(
    target: Floats, probability: Floats, *, bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """Rows grouped by equal-width probability, ``bins`` of them on 0 to 1; empty ones left out.

    Rows whose target or probability is not known are in no bin.
    """
    known = np.isfinite(target) & np.isfinite(probability)
    target, probability = target[known], probability[known]
    position = np.clip((probability * bins).astype(np.int64), 0, bins - 1)
    count = np.bincount(position, minlength=bins)
    mean = np.bincount(position, weights=probability, minlength=bins)
    rate = np.bincount(position, weights=target, minlength=bins)
    return tuple(
        ReliabilityBin(
            mean_probability=float(mean[b] / count[b]),
            observed_rate=float(rate[b] / count[b]),
            n=int(count[b]),
        )
        for b in range(bins)
        if count[b]
    )


def expected_calibration_error(target: Floats, probability: Floats, *, bins: int = 10) -> float:
    """Mean absolute gap of observed rate and mean probability over bins, weighted by rows.

    Equal-width bins; Naeini, Cooper and Hauskrecht (2015), AAAI 29. Range 0 to 1; NaN without rows
    or with a value that is not known.
    """
    n = len(target)
    if n == 0 or not _all_known(target, probability):
        return float("nan")
    return sum(
        b.n / n * abs(b.observed_rate - b.mean_probability)
        for b in reliability_bins(target, probability, bins=bins)
    )


def auc_difference(
    target: Floats, challenger: Floats, champion: Floats, *, confidence: float
) -> Difference:
    """AUC of challenger minus AUC of champion on the same rows, with DeLong's interval.

    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3); the mid-rank form of Sun and Xu
    (2014), IEEE Signal Processing Letters 21(11). NaN with fewer than two rows of either class, or
    with a target or score that is not known.
    Identical scores give a difference of 0 with an interval of width 0: that is known exactly.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    positive = target > 0
    m, n = int(positive.sum()), int((~positive).sum())
    nothing = float("nan")
    if min(m, n) < 2 or not _all_known(target, challenger, champion):  # noqa: PLR2004
        return Difference(
            estimate=nothing, low=nothing, high=nothing, confidence=confidence, n=m + n
        )
    areas, above, below = [], [], []
    for score in (challenger, champion):
        ranks = rankdata(score)
        within_positive = rankdata(score[positive])
        within_negative = rankdata(score[~positive])
        areas.append((ranks[positive].sum() - m * (m + 1) / 2) / (m * n))
        above.append((ranks[positive] - within_positive) / n)
        below.append(1 - (ranks[~positive] - within_negative) / m)
    covariance = np.cov(np.array(above)) / m + np.cov(np.array(below)) / n
    contrast = np.array([1.0, -1.0])
    spread = float(np.sqrt(max(0.0, contrast @ covariance @ contrast)))
    reach = float(ndtri(0.5 + confidence / 2)) * spread
    estimate = float(areas[0] - areas[1])
    return Difference(
        estimate=estimate,
        low=estimate - reach,
        high=estimate + reach,
        confidence=confidence,
        n=m + n,
    )


def auc_interval(target: Floats, score: Floats, *, confidence: float) -> Difference:
    """AUC with DeLong's interval, as the difference from a constant score's 0.5, plus 0.5."""
    against_chance = auc_difference(target, score, np.zeros_like(score), confidence=confidence)
    return Difference(
        estimate=against_chance.estimate + 0.5,
        low=against_chance.low + 0.5,
        high=against_chance.high + 0.5,
        confidence=confidence,
        n=against_chance.n,
    )
