"""One metric of a canary: how much worse than the control, and what has been shown of it.

Stretches of different split are compared each within itself. E-values multiply over them and
differences are averaged by what the split lets each say; totals over all of them would take a
change of traffic for a difference of the arms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.canary_counts import RateCount
from ml_release.domain.mean_sequences import Moments, log_e_mean_above, pooled_difference
from ml_release.domain.no_worse_tests import log_e_no_worse
from ml_release.domain.psi import adjusted_psi_nats
from ml_release.domain.sequential_tests import (
    log_e_more_common_events,
    log_e_more_events,
    log_e_other_events,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.canary_counts import ArmPair
    from ml_release.domain.canary_metric import CanaryMetric, Direction
    from ml_release.domain.sequential_tests import Floats, Numbers

NO_SHOWING = float("-inf")
_LOG_2 = math.log(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What was found of one metric.

    Attributes
    ----------
    canary, control
        Values of the arms over all stretches; NaN where unknown. None for a distribution.
    worsening
        How much worse the canary is, in the unit of the metric; negative if it is better. NaN where
        the arms cannot be compared.
    canary_n, control_n
        Requests (for quality: blocks) behind it.
    log_e_harm
        Nats against "the canary is no worse". 0 shows nothing.
    log_e_no_worse
        Nats against "the canary is worse by the tolerance or more".
    problem
        Why the arms cannot be compared; empty if they can.
    """

    metric: CanaryMetric
    canary: float | None
    control: float | None
    worsening: float
    canary_n: int
    control_n: int
    log_e_harm: float = 0.0
    log_e_no_worse: float = NO_SHOWING
    problem: str = ""

    def is_harmed(self, alpha: float) -> bool:
        """Whether harm is shown, and large enough to be called so."""
        sure = self.log_e_harm >= -math.log(alpha)
        return not self.problem and sure and self.worsening >= self.metric.minimum_effect

    def is_no_worse(self, alpha: float) -> bool:
        """Whether it is shown that the canary is worse by less than the tolerance."""
        sure = self.log_e_no_worse >= -math.log(alpha)
        return not self.problem and sure and self.canary_n >= self.metric.least_n


def measure(metric: CanaryMetric, stretches: Sequence[ArmPair]) -> Measure:
    """Compare the arms in one metric over stretches of different split."""
    if metric.is_rate:
        return _rate(metric, stretches)
    if metric.kind == "score_distribution":
        return _distribution(metric, stretches)
    return _mean(metric, stretches)


def rate_log_e_harm(
    metric: CanaryMetric,
    canary_n: Numbers,
    canary_events: Numbers,
    control_n: Numbers,
    control_events: Numbers,
) -> Floats:
    """Log e-value for harm of one rate in one stretch, over arrays of any one shape."""
    counts = (canary_n, canary_events, control_n, control_events)
    arms = [np.asarray(value, dtype=np.float64) for value in counts]
    return _by_direction(metric, arms, metric.direction)


def rate_log_e_no_worse(
    metric: CanaryMetric,
    canary_n: Numbers,
    canary_events: Numbers,
    control_n: Numbers,
    control_events: Numbers,
) -> Floats:
    """Log e-value for one rate being no worse than its tolerance in one stretch, over arrays."""
    counts = (canary_n, canary_events, control_n, control_events)
    n_a, s_a, n_b, s_b = (np.asarray(value, dtype=np.float64) for value in counts)
    shown = []
    if metric.direction != "decrease":
        shown.append(log_e_no_worse(n_a, s_a, n_b, s_b, tolerance=metric.tolerance))
    if metric.direction != "increase":
        missed = (n_a - s_a, n_b - s_b)
        shown.append(log_e_no_worse(n_a, missed[0], n_b, missed[1], tolerance=metric.tolerance))
    # Of two directions both have to be shown.
    result: Floats = np.min(shown, axis=0)
    return result


def _by_direction(metric: CanaryMetric, arms: Sequence[Floats], direction: Direction) -> Floats:
    if direction == "either":
        both = [_by_direction(metric, arms, way) for way in ("increase", "decrease")]
        # The mean of two e-values is one.
        return np.asarray(np.logaddexp(*both) - _LOG_2)
    n_a, s_a, n_b, s_b = arms
    if metric.is_common:
        if direction == "decrease":
            s_a, s_b = n_a - s_a, n_b - s_b
        return log_e_more_common_events(n_a, s_a, n_b, s_b)
    with np.errstate(invalid="ignore"):
        share = n_a / (n_a + n_b)
    if direction == "decrease":
        return log_e_more_events(s_b, s_a, 1 - share)
    return log_e_more_events(s_a, s_b, share)


def _rate(metric: CanaryMetric, stretches: Sequence[ArmPair]) -> Measure:
    nothing = RateCount()
    pairs = [
        (pair.canary.rates.get(metric.name, nothing), pair.control.rates.get(metric.name, nothing))
        for pair in stretches
    ]
    canary = sum((pair[0] for pair in pairs), nothing)
    control = sum((pair[1] for pair in pairs), nothing)
    if not all(count.makes_sense for pair in pairs for count in pair):
        return _unknown(metric, "counts that cannot come of counting", canary.n, control.n)
    if not canary.n or not control.n:
        arm = "control" if canary.n else "canary"
        return _unknown(metric, f"no requests of the {arm}", canary.n, control.n)
    counted = [
        (a.n * b.n / (a.n + b.n), a.rate - b.rate, (a.n, a.events, b.n, b.events))
        for a, b in pairs
        if a.n and b.n
    ]
    if not counted:
        return _unknown(metric, "no time in which both were asked", canary.n, control.n)
    total = sum(weight for weight, _, _ in counted)
    return Measure(
        metric=metric,
        canary=canary.rate,
        control=control.rate,
        worsening=_worsening(metric, sum(w * gap for w, gap, _ in counted) / total),
        canary_n=canary.n,
        control_n=control.n,
        log_e_harm=sum(float(rate_log_e_harm(metric, *counts)) for _, _, counts in counted),
        log_e_no_worse=sum(float(rate_log_e_no_worse(metric, *counts)) for _, _, counts in counted),
    )


def _mean(metric: CanaryMetric, stretches: Sequence[ArmPair]) -> Measure:
    nothing = Moments()
    pairs = [
        (pair.canary.means.get(metric.name, nothing), pair.control.means.get(metric.name, nothing))
        for pair in stretches
    ]
    canary = sum((pair[0] for pair in pairs), nothing)
    control = sum((pair[1] for pair in pairs), nothing)
    least = metric.least_n
    if min(canary.n, control.n) < least:
        shorter = min(canary.n, control.n)
        problem = f"expected at least {least} values of both arms, found {shorter}"
        return _unknown(metric, problem, canary.n, control.n)
    found = pooled_difference(pairs)
    if not found.is_known:
        return _unknown(metric, "values without spread, or not finite", canary.n, control.n)
    worsening = _worsening(metric, found.value)
    signs = {"increase": (1,), "decrease": (-1,), "either": (1, -1)}[metric.direction]
    tau = metric.tolerance
    harm = [float(log_e_mean_above(sign * found.value, found.variance, tau=tau)) for sign in signs]
    kept = [
        float(log_e_mean_above(tau - sign * found.value, found.variance, tau=tau)) for sign in signs
    ]
    return Measure(
        metric=metric,
        canary=canary.mean,
        control=control.mean,
        worsening=worsening,
        canary_n=canary.n,
        control_n=control.n,
        log_e_harm=float(np.logaddexp.reduce(harm)) - math.log(len(harm)),
        log_e_no_worse=min(kept),
    )


def _distribution(metric: CanaryMetric, stretches: Sequence[ArmPair]) -> Measure:
    parts = []
    for pair in stretches:
        canary = np.array(pair.canary.histograms.get(metric.name, ()), dtype=np.int64)
        control = np.array(pair.control.histograms.get(metric.name, ()), dtype=np.int64)
        if len(canary) == len(control) and canary.sum() and control.sum():
            parts.append((canary, control))
    n = [int(sum(part[arm].sum() for part in parts)) for arm in (0, 1)]
    if any((part < 0).any() for pair_ in parts for part in pair_):
        return _unknown(metric, "counts that cannot come of counting", *n)
    if min(n) < metric.least_n:
        problem = f"expected at least {metric.least_n} values of both arms, found {min(n)}"
        return _unknown(metric, problem, *n)
    weights = [a.sum() * b.sum() / (a.sum() + b.sum()) for a, b in parts]
    psi = [adjusted_psi_nats(b, a) for a, b in parts]
    log_e = sum(
        float(log_e_other_events(a, b, a.sum() / (a.sum() + b.sum())).sum()) for a, b in parts
    )
    return Measure(
        metric=metric,
        canary=None,
        control=None,
        worsening=float(np.average(psi, weights=weights)),
        canary_n=n[0],
        control_n=n[1],
        log_e_harm=log_e,
    )


def _worsening(metric: CanaryMetric, difference: float) -> float:
    if metric.direction == "either":
        return abs(difference)
    return -difference if metric.direction == "decrease" else difference


def _unknown(metric: CanaryMetric, problem: str, canary_n: int, control_n: int) -> Measure:
    unknown = float("nan")
    return Measure(
        metric=metric,
        canary=unknown,
        control=unknown,
        worsening=unknown,
        canary_n=canary_n,
        control_n=control_n,
        problem=problem,
    )
