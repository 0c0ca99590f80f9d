"""Bootstrap intervals of any weighted score.

Efron and Tibshirani (1993), An Introduction to the Bootstrap. How rows are drawn, and what the seed
means, is in `resampling`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.intervals import (
    NO_SPREAD,
    NOTHING,
    Interval,
    require_confidence,
)
from ml_release.domain.resampling import resampled
from ml_release.domain.rows import group_codes
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.resampling import Resampling
    from ml_release.domain.scores import Floats
    from ml_release.domain.weighted_scores import WeightedScore

UNDEFINED_LIMIT = 0.01
"""Largest share of resamples without a score; beyond it the defined ones are a biased choice."""

JACKKNIFE_BLOCKS = 200


def bootstrap_interval(score: WeightedScore, plan: Resampling, *, confidence: float) -> Interval:
    """One score with its bootstrap interval; see `bootstrap_intervals`."""
    return bootstrap_intervals({"": score}, plan, confidence=confidence)[""]


def bootstrap_intervals(
    scores: Mapping[str, WeightedScore], plan: Resampling, *, confidence: float
) -> dict[str, Interval]:
    """Scores of the same rows with their bootstrap intervals, from the same draws.

    Returns
    -------
    dict of str to Interval
        By the names of ``scores``. The ends are NaN where the estimate is undefined, with fewer
        than two units, where more than 1 % of the resamples have no score, where all have the same
        one (no spread is no proof), and where ``expanded`` would need more resamples than there
        are, as it does with fewer than five days.

    Raises
    ------
    InputError
        If the scores have different numbers of rows, ``groups`` or ``strata`` another one, or
        ``resamples`` are too few for the confidence.
    """
    require_confidence(confidence)
    if plan.method != "standard" and plan.resamples * (1 - confidence) / 2 < 1:
        message = (
            f"bootstrap: expected at least {2 / (1 - confidence):.0f} resamples for confidence "
            f"{confidence}, found {plan.resamples}; draw more, or use the method standard"
        )
        raise InputError(message)
    rows = {score.n for score in scores.values()}
    if len(rows) > 1:
        message = f"bootstrap: expected scores of the same rows, found {sorted(rows)} rows"
        raise InputError(message)
    n = rows.pop() if rows else 0
    units = n if plan.groups is None else group_codes(plan.groups, n)[1]
    draws = resampled(tuple(scores.values()), plan)
    return {
        name: _interval(score, drawn, plan, confidence, units)
        for (name, score), drawn in zip(scores.items(), draws, strict=True)
    }


def _interval(
    score: WeightedScore, drawn: Floats, plan: Resampling, confidence: float, units: int
) -> Interval:
    estimate = float(score.under(np.ones((1, score.n)))[0]) if score.n else NOTHING
    low = high = NOTHING
    defined = drawn[np.isfinite(drawn)]
    enough = len(defined) >= (1 - UNDEFINED_LIMIT) * len(drawn)
    spread = NO_SPREAD * max(1.0, abs(estimate))
    if np.isfinite(estimate) and units > 1 and enough and np.ptp(defined) > spread:
        low, high = _ends(score, estimate, defined, plan, confidence=confidence, units=units)
    return Interval(
        estimate=estimate, low=low, high=high, confidence=confidence, n=score.n, units=units
    )


def _ends(
    score: WeightedScore,
    estimate: float,
    drawn: Floats,
    plan: Resampling,
    *,
    confidence: float,
    units: int,
) -> tuple[float, float]:
    from scipy.special import ndtr, ndtri, stdtrit

    upper = 0.5 + confidence / 2
    student = float(stdtrit(units - 1, upper)) * float(np.sqrt(units / (units - 1)))
    if plan.method == "standard":
        reach = student * float(np.std(drawn, ddof=1))
        return estimate - reach, estimate + reach
    levels = np.array([1 - upper, upper])
    if plan.method == "expanded":
        levels = ndtr(np.array([-student, student]))
        if levels[0] * len(drawn) < 1:
            return NOTHING, NOTHING
    if plan.method == "bca":
        below = np.mean(drawn < estimate) + np.mean(drawn == estimate) / 2
        bias = float(ndtri(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn))))
        shifted = bias + ndtri(levels)
        levels = ndtr(bias + shifted / (1 - _acceleration(score, plan, units) * shifted))
    low, high = np.quantile(drawn, levels)
    return float(low), float(high)


def _acceleration(score: WeightedScore, plan: Resampling, units: int) -> float:
    """Skewness of the score over leaving out each of at most 200 blocks of units, by six."""
    codes = np.arange(units) if plan.groups is None else group_codes(plan.groups, score.n)[0]
    blocks = min(units, JACKKNIFE_BLOCKS)
    left = np.array(
        [score.under((codes % blocks != b).astype(np.float64)[None, :])[0] for b in range(blocks)]
    )
    gap = np.mean(left) - left
    scale = float(np.sum(gap**2)) ** 1.5
    # A score that leaving out leaves alone, or undefined, has no skewness to correct.
    return float(np.sum(gap**3)) / (6 * scale) if scale > 0 else 0.0
