"""How much longer a canary needs, if it goes on as its control does. An estimate, never a limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.canary_counts import RateCount
from ml_release.domain.canary_measures import measure, rate_log_e_no_worse
from ml_release.domain.mean_sequences import Moments, log_e_mean_above, pooled_difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.canary_counts import ArmPair, CanaryEvidence
    from ml_release.domain.canary_metric import CanaryMetric
    from ml_release.domain.canary_policy import CanaryPolicy, CanaryStep

# What is looked ahead: up to ten million requests, in steps of a fifteenth.
_AHEAD = np.concatenate([[0.0], np.geomspace(1, 1e7, 250)])


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryNeeds:
    """What is missing until the step could advance.

    Attributes
    ----------
    requests
        More requests of the canary; None where nothing says how many.
    minutes
        At the traffic of this step so far; None without traffic.
    """

    requests: int | None
    minutes: float | None


NOTHING_MORE = CanaryNeeds(requests=0, minutes=0.0)


def canary_needs(
    evidence: CanaryEvidence, policy: CanaryPolicy, *, step: CanaryStep
) -> CanaryNeeds:
    """About how many more requests and minutes, if both arms go on at the rate of the control."""
    seen = evidence.in_step.canary.requests
    arms = [stretch.arms for stretch in evidence.stretches]
    share = evidence.stretches[-1].canary_share if arms else step.weight_percent / 100
    wanted: list[int | None] = [max(0, step.minimum_requests - seen)]
    wanted += [
        _more(metric, arms, share=share, alpha=policy.alpha_advance)
        for metric in policy.metrics
        if metric.vote == "critical"
    ]
    known = [count for count in wanted if count is not None]
    requests = max(known) if len(known) == len(wanted) else None
    waiting = max(0.0, step.minimum_minutes - evidence.minutes)
    if requests is None or (requests and (not seen or evidence.minutes <= 0)):
        return CanaryNeeds(requests=requests, minutes=None)
    minutes = requests * evidence.minutes / seen if requests else 0.0
    return CanaryNeeds(requests=requests, minutes=max(minutes, waiting))


def _more(
    metric: CanaryMetric, stretches: Sequence[ArmPair], *, share: float, alpha: float
) -> int | None:
    found = measure(metric, stretches)
    if found.is_no_worse(alpha):
        return 0
    if found.problem and not metric.is_rate:
        return None
    rates = _rates_ahead if metric.is_rate else _means_ahead
    shown = rates(metric, stretches, share) >= -math.log(alpha)
    if not shown.any():
        return None
    more = math.ceil(float(_AHEAD[int(np.argmax(shown))]))
    per_value = metric.block_rows if metric.kind == "quality" else 1
    return max(more, metric.least_n - found.canary_n) * per_value


def _rates_ahead(
    metric: CanaryMetric, stretches: Sequence[ArmPair], share: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Of the last stretch going on at the rate of both arms; earlier ones stay as they are."""
    nothing = RateCount()
    last = stretches[-1] if stretches else None
    canary = nothing if last is None else last.canary.rates.get(metric.name, nothing)
    control = nothing if last is None else last.control.rates.get(metric.name, nothing)
    # Of no requests at all nothing follows.
    if not (canary.makes_sense and control.makes_sense and canary.n + control.n):
        return np.full(len(_AHEAD), -np.inf)
    # Half an event in one request: no events so far don't promise that there will never be one.
    rate = (canary.events + control.events + 0.5) / (canary.n + control.n + 1)
    others = _AHEAD * (1 - share) / share
    ahead = rate_log_e_no_worse(
        metric,
        canary.n + _AHEAD,
        canary.events + rate * _AHEAD,
        control.n + others,
        control.events + rate * others,
    )
    before = measure(metric, stretches[:-1]).log_e_no_worse
    return ahead + (before if math.isfinite(before) else 0.0)


def _means_ahead(
    metric: CanaryMetric, stretches: Sequence[ArmPair], share: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    del share  # the precision so far says what more of the same split brings
    nothing = Moments()
    pairs = [
        (pair.canary.means.get(metric.name, nothing), pair.control.means.get(metric.name, nothing))
        for pair in stretches
    ]
    found = pooled_difference(pairs)
    n = sum(pair[0].n for pair in pairs)
    kept = n / (n + _AHEAD)
    sign = -1 if metric.direction == "decrease" else 1
    gap = abs(found.value) if metric.direction == "either" else sign * found.value
    return log_e_mean_above(
        metric.tolerance - gap * kept, found.variance * kept, tau=metric.tolerance
    )
