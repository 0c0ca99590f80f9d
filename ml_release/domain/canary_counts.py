"""What was counted of canary and control, as a judge reads it: counts and sums, no requests."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotation)
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 (as above)

from ml_release.domain.mean_sequences import Moments


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCount:
    """Requests, and those of them in which something was the case."""

    n: int = 0
    events: int = 0

    def __add__(self, other: RateCount) -> RateCount:
        return RateCount(n=self.n + other.n, events=self.events + other.events)

    @property
    def makes_sense(self) -> bool:
        """Whether such a count can come of counting."""
        return 0 <= self.events <= self.n

    @property
    def rate(self) -> float:
        """From 0 to 1; NaN without requests."""
        return self.events / self.n if self.n else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTally:
    """One arm in one stretch; every mapping is by the name of a metric.

    Attributes
    ----------
    requests
        That were assigned to this arm, whoever answered them.
    rates
        Of metrics that count requests. What is not known of a request is left out of its ``n``.
    means
        Of scores and rewards per request, and of quality per block.
    histograms
        Of scores: requests per bin; both arms on the same edges.
    """

    requests: int = 0
    rates: Mapping[str, RateCount] = field(default_factory=dict)
    means: Mapping[str, Moments] = field(default_factory=dict)
    histograms: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __add__(self, other: ArmTally) -> ArmTally:
        rates, means = dict(self.rates), dict(self.means)
        histograms = dict(self.histograms)
        for name, count in other.rates.items():
            rates[name] = rates.get(name, RateCount()) + count
        for name, moments in other.means.items():
            means[name] = means.get(name, Moments()) + moments
        for name, bins in other.histograms.items():
            kept = histograms.get(name, (0,) * len(bins))
            histograms[name] = tuple(a + b for a, b in zip(kept, bins, strict=True))
        return ArmTally(
            requests=self.requests + other.requests,
            rates=rates,
            means=means,
            histograms=histograms,
        )

    @property
    def makes_sense(self) -> bool:
        """Whether such a tally can come of counting."""
        return (
            self.requests >= 0
            and all(count.makes_sense for count in self.rates.values())
            and all(moments.n >= 0 for moments in self.means.values())
            and all(n >= 0 for bins in self.histograms.values() for n in bins)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPair:
    """Canary and control over the same time."""

    canary: ArmTally = field(default_factory=ArmTally)
    control: ArmTally = field(default_factory=ArmTally)

    def __add__(self, other: ArmPair) -> ArmPair:
        return ArmPair(canary=self.canary + other.canary, control=self.control + other.control)

    @property
    def makes_sense(self) -> bool:
        """Whether both arms do."""
        return self.canary.makes_sense and self.control.makes_sense


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Traffic under one declaration: constant split, constant route.

    Attributes
    ----------
    step
        Of the rollout, counted from 0.
    route_commit
        Of the declaration that routed it.
    canary_share
        Declared, of what canary and control get together, between 0 and 1.
    slices
        The same counts for rows of which something holds, as ``origin=JFK``.
    """

    step: int
    route_commit: str
    canary_share: float
    arms: ArmPair = field(default_factory=ArmPair)
    slices: Mapping[str, ArmPair] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryEvidence:
    """What a canary has shown up to a moment.

    Attributes
    ----------
    model_digest, champion_digest
        Of canary and control.
    step
        Which one is judged; `stretches` of earlier ones speak for harm as well.
    stretches
        In the order of time; a change of the split begins another one.
    step_began, now
        With zone. One ``now`` for the whole judgement.
    canary_last_seen, control_last_seen
        Newest requests of the arms; None if there was none.
    latency_limits_ms
        The control's quantile that was frozen, by the name of the metric.
    source_problem
        What is wrong with the source of these counts; empty if it answers.
    """

    line: str
    model_digest: str
    champion_digest: str
    step: int
    step_began: datetime
    now: datetime
    stretches: tuple[Stretch, ...] = ()
    canary_last_seen: datetime | None = None
    control_last_seen: datetime | None = None
    latency_limits_ms: Mapping[str, float] = field(default_factory=dict)
    source_problem: str = ""

    @property
    def in_step(self) -> ArmPair:
        """Both arms in the present step."""
        return sum((s.arms for s in self.stretches if s.step == self.step), ArmPair())

    @property
    def minutes(self) -> float:
        """Since the step began; negative if a clock goes backwards."""
        return (self.now - self.step_began).total_seconds() / 60

    @property
    def slice_names(self) -> tuple[str, ...]:
        """Of every stretch, in order."""
        return tuple(sorted({name for stretch in self.stretches for name in stretch.slices}))
