"""Simulated traffic of many releases at once: counts of two arms per look, and the judge over them.

Nothing of the judge is repeated here: e-values, limits and sample ratio come from the functions it
calls itself, on arrays of shape (releases, looks).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from ml_release.domain.canary_measures import rate_log_e_harm, rate_log_e_no_worse
from ml_release.domain.sample_ratio import log_e_sample_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from ml_release.domain.canary_metric import CanaryMetric
    from ml_release.domain.canary_policy import CanaryPolicy

    Floats = npt.NDArray[np.float64]

LOOK_SECONDS = 30
LOOKS_PER_WINDOW = 10
"""A window of five minutes, as most rules of thumb have it."""
SHARE = 0.05
_LATENCY_SIGMA = 0.5
_CHUNK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What the arms do.

    Attributes
    ----------
    canary_per_window
        Requests of the canary in five minutes, on average; the control gets 19 times as many.
    hours
        How long it is watched.
    control_rate, canary_rate
        Of errors (and of other events that are no latency), from 0 to 1.
    slowdown
        Factor on the canary's latency, which is log-normal with sigma 0.5.
    onset_hours
        From when on the canary has a rate of its own; before that it is as the control.
    wander
        Factor by which the error rate of both arms moves up and down over the day together.
    reference
        Requests of the control whose latency quantile was frozen.
    """

    canary_per_window: float
    hours: float
    control_rate: float = 0.01
    canary_rate: float = 0.01
    slowdown: float = 1.0
    onset_hours: float = 0.0
    wander: float = 1.0
    reference: int = 1000

    @property
    def looks(self) -> int:
        """One each 30 seconds."""
        return int(self.hours * 3600 / LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class Counts:
    """Per look, not yet added up, of shape (releases, looks); events by the name of the metric."""

    canary: Floats
    control: Floats
    events: Mapping[str, tuple[Floats, Floats]]

    def every(self, looks: int) -> Counts:
        """The same with so many looks in one."""

        def merged(values: Floats) -> Floats:
            sums: Floats = values.reshape(len(values), -1, looks).sum(axis=2)
            return sums

        return Counts(
            merged(self.canary),
            merged(self.control),
            {name: (merged(a), merged(b)) for name, (a, b) in self.events.items()},
        )

    def cumulated(self) -> Counts:
        """The same, added up since the step began."""
        return Counts(
            self.canary.cumsum(axis=1),
            self.control.cumsum(axis=1),
            {n: (a.cumsum(axis=1), b.cumsum(axis=1)) for n, (a, b) in self.events.items()},
        )


def simulated(
    scenario: Scenario, policy: CanaryPolicy, *, releases: int, seed: int
) -> Iterator[Counts]:
    """Counts of some hundred releases at a time; the same seed gives the same."""
    generator = np.random.default_rng(seed)
    for start in range(0, releases, _CHUNK):
        shape = (min(_CHUNK, releases - start), scenario.looks)
        mean = scenario.canary_per_window / LOOKS_PER_WINDOW
        canary = generator.poisson(mean, shape)
        control = generator.poisson(mean * (1 - SHARE) / SHARE, shape)
        events = {}
        for metric in policy.metrics:
            if metric.is_rate:
                rates = _rates(metric, scenario, generator, shape)
                drawn = [
                    generator.binomial(n, np.broadcast_to(rate, shape)).astype(np.float64)
                    for n, rate in zip((canary, control), rates, strict=True)
                ]
                events[metric.name] = (drawn[0], drawn[1])
        yield Counts(canary.astype(np.float64), control.astype(np.float64), events)


def _rates(
    metric: CanaryMetric,
    scenario: Scenario,
    generator: np.random.Generator,
    shape: tuple[int, int],
) -> tuple[Floats, Floats]:
    """Of canary and control, broadcastable to the looks."""
    if metric.kind == "latency_exceedance":
        # The frozen quantile is that of a sample, so that it is a little off in every release.
        above = scenario.reference * (1 - metric.quantile)
        tail = generator.beta(above, scenario.reference - above, (shape[0], 1))
        slower = norm.sf(norm.isf(tail) - math.log(scenario.slowdown) / _LATENCY_SIGMA)
        return slower, tail
    hours = np.arange(shape[1]) * LOOK_SECONDS / 3600
    factor = scenario.wander ** np.sin(2 * np.pi * hours / 24)
    harmed = np.where(hours >= scenario.onset_hours, scenario.canary_rate, scenario.control_rate)
    return harmed * factor, scenario.control_rate * factor


def harm_looks(counts: Counts, policy: CanaryPolicy) -> npt.NDArray[np.bool_]:
    """Where a critical rate is harmed as the judge says, at each look by itself."""
    sums = counts.cumulated()
    harmed = np.zeros(sums.canary.shape, dtype=np.bool_)
    for metric in policy.metrics:
        if metric.is_rate and metric.vote == "critical":
            a, b = sums.events[metric.name]
            log_e = rate_log_e_harm(metric, sums.canary, a, sums.control, b)
            with np.errstate(invalid="ignore"):
                worse = a / sums.canary - b / sums.control
            harmed |= (log_e >= -math.log(policy.harm_alpha)) & (worse >= metric.minimum_effect)
    return harmed


def no_worse_looks(counts: Counts, policy: CanaryPolicy) -> npt.NDArray[np.bool_]:
    """Where every critical rate is shown to be no worse, at each look by itself."""
    sums = counts.cumulated()
    shown = np.ones(sums.canary.shape, dtype=np.bool_)
    for metric in policy.metrics:
        if metric.is_rate and metric.vote == "critical":
            a, b = sums.events[metric.name]
            log_e = rate_log_e_no_worse(metric, sums.canary, a, sums.control, b)
            enough = sums.canary >= metric.least_n
            shown &= (log_e >= -math.log(policy.alpha_advance)) & enough
    return shown


def split_looks(counts: Counts, policy: CanaryPolicy) -> npt.NDArray[np.bool_]:
    """Where the split is called off, at each look by itself."""
    sums = counts.cumulated()
    both = np.stack([sums.canary, sums.control], axis=-1)
    log_e = log_e_sample_ratio(both, [SHARE, 1 - SHARE])
    with np.errstate(invalid="ignore"):
        off = np.abs(sums.canary / (SHARE * both.sum(axis=-1)) - 1)
    sure = log_e >= -math.log(policy.sample_ratio_alpha)
    return np.asarray(sure & (off > policy.sample_ratio_tolerance), dtype=np.bool_)


def first_minutes(looks: npt.NDArray[np.bool_], *, minutes_per_look: float = 0.5) -> Floats:
    """Per release the minutes until the first look that says so; infinite if none does."""
    found = looks.argmax(axis=1).astype(np.float64) + 1
    return np.where(looks.any(axis=1), found * minutes_per_look, np.inf)
