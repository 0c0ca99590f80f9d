"""The scores of slices in one window, held against those the served version was released with."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.evaluation_measures import Measured
from ml_release.domain.fairness_record import WatchedSlice
from ml_release.domain.multiple_tests import bonferroni_confidence, holm_adjusted
from ml_release.domain.recorded import known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.evaluation_measures import SliceMeasure
    from ml_release.domain.fairness_gaps import WatchedRows
    from ml_release.domain.fairness_watch_policy import FairnessWatchPolicy
    from ml_release.domain.intervals import Interval
    from ml_release.domain.primary_scores import PrimaryScore
    from ml_release.domain.slice_scores import Slicing


def watched_slices(
    rows: WatchedRows,
    baseline: Sequence[SliceMeasure],
    policy: FairnessWatchPolicy,
    primary: PrimaryScore,
) -> tuple[WatchedSlice, ...]:
    """Every slice the evaluation had rows enough to judge, on the rows of a window.

    The window's score and that of the release are both measured on a sample, so the statistic is
    their distance beyond the margin over the root of both variances, as their intervals have them
    (Student's quantiles of days are taken for what they are, so the p-value errs on the safe side).
    """
    judged = [one for one in baseline if one.judged and one.interval.estimate is not None]
    comparisons = max(1, len(judged))
    each = bonferroni_confidence(policy.confidence, comparisons)
    found = [_slice(rows, one, policy, primary, each=each) for one in judged]
    adjusted = holm_adjusted(np.array([p_value for _, p_value in found], dtype=np.float64))
    return tuple(
        watched.model_copy(update={"p_adjusted": known(float(p_value))})
        for (watched, _), p_value in zip(found, adjusted, strict=True)
    )


def _slice(
    rows: WatchedRows,
    release: SliceMeasure,
    policy: FairnessWatchPolicy,
    primary: PrimaryScore,
    *,
    each: float,
) -> tuple[WatchedSlice, float]:
    """The slice, and the p-value of its score keeping the limit; NaN where it cannot be told."""
    slicing = rows.slices.get(release.column)
    chosen = np.array([], dtype=np.intp)
    if slicing is not None:
        chosen = np.flatnonzero(slicing.codes == _code(slicing, release.value))
    positives = int(rows.target[chosen].sum())
    classes = min(positives, len(chosen) - positives)
    problem = ""
    if slicing is None:
        problem = "the column is not in the log, or masked in it"
    elif len(chosen) < policy.slice_minimum_rows:
        problem = f"expected at least {policy.slice_minimum_rows} rows, found {len(chosen)}"
    elif classes < policy.slice_minimum_per_class:
        problem = (
            f"expected at least {policy.slice_minimum_per_class} rows of either class, found"
            f" {classes}"
        )
    elif release.score != primary.name:
        problem = f"the release was judged by {release.score}, the line by {primary.name}"
    baseline = release.interval.estimate
    sign = 1.0 if primary.greater_is_better else -1.0
    limit = None if baseline is None else baseline - sign * policy.slice_margin
    now = None if problem else primary.interval(rows.answers, chosen, each)
    p_value = float("nan")
    if now is not None and limit is not None:
        spread = np.hypot(_spread(Measured.of(now)), _spread(release.interval))
        p_value = _lower_tail(sign * (now.estimate - limit), float(spread))
        if not isfinite(p_value):
            problem = "its spread is not known, at release or now"
    return (
        WatchedSlice(
            column=release.column,
            slice=release.value,
            score=release.score,
            value=_of(now, "estimate"),
            low=_of(now, "low"),
            high=_of(now, "high"),
            baseline=baseline,
            limit=limit,
            p_adjusted=None,
            n=len(chosen),
            problem=problem,
        ),
        p_value,
    )


def _code(slicing: Slicing, value: str | None) -> int:
    """The code of a value; one that no row has for an unknown value."""
    if value is None:
        return -1
    return slicing.names.index(value) if value in slicing.names else len(slicing.names)


def _spread(interval: Measured) -> float:
    """The standard error an interval was made of: its half width over the normal quantile."""
    from scipy.special import ndtri

    if interval.low is None or interval.high is None:
        return float("nan")
    return (interval.high - interval.low) / 2 / float(ndtri(0.5 + interval.confidence / 2))


def _lower_tail(distance: float, spread: float) -> float:
    from scipy.special import ndtr

    if not (isfinite(distance) and isfinite(spread) and spread > 0):
        return float("nan")
    return float(ndtr(distance / spread))


def _of(interval: Interval | None, name: str) -> float | None:
    return None if interval is None else known(float(getattr(interval, name)))
