"""What a canary is compared in, and what follows from what is found."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ml_release.domain.canary_metric import CanaryMetric, Declared
from ml_release.domain.identity import digest_of_json


class CanarySlices(Declared):
    """Harm that hits some requests only.

    Attributes
    ----------
    columns
        Features whose values make slices, as ``origin=JFK``.
    metrics
        Names of rates that are looked at in each slice.
    minimum_n
        Requests of the canary in a slice below which it is not judged.
    maximum_slices
        So many slices are kept, those that were met first; later ones are counted together as
        ``column=other``. The correction is for this number whether or not there are so many.
    alpha
        Probability that any slice is ever called harmed while none is.
    when_harmed
        What a harmed slice leads to.
    """

    columns: tuple[str, ...]
    metrics: tuple[str, ...] = ("error_rate",)
    minimum_n: Annotated[int, Field(ge=2)] = 200
    maximum_slices: Annotated[int, Field(ge=1, le=1000)] = 20
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.005
    when_harmed: Literal["hold", "roll_back"] = "hold"


class CanaryStep(Declared):
    """One step of the canary.

    Attributes
    ----------
    weight_percent
        Share of the canary.
    minimum_minutes, minimum_requests
        How long it lasts at least, and how many requests the canary is assigned in it at least.
    """

    weight_percent: Annotated[float, Field(gt=0, lt=100)]
    minimum_minutes: Annotated[float, Field(ge=0)] = 30.0
    minimum_requests: Annotated[int, Field(ge=1)] = 300


DEFAULT_METRICS = (
    CanaryMetric(name="error_rate", kind="error_rate", tolerance=0.01, minimum_effect=0.001),
    CanaryMetric(
        name="latency_p95",
        kind="latency_exceedance",
        quantile=0.95,
        tolerance=0.05,
        minimum_effect=0.01,
    ),
    CanaryMetric(
        name="score_mean", kind="score_mean", tolerance=0.05, minimum_effect=0.05, vote="voting"
    ),
    CanaryMetric(
        name="score_distribution",
        kind="score_distribution",
        tolerance=0.1,
        minimum_effect=0.1,
        vote="muted",
    ),
)


class CanaryPolicy(Declared):
    """The limits of a canary.

    Attributes
    ----------
    metrics
        With names of their own; at least one is critical.
    alpha_roll_back
        Probability that a canary like the control is ever called harmful, over all looks, all steps
        and all metrics that vote: each is tested at this over their number.
    alpha_advance
        Probability, per critical metric, that one worse than its tolerance is ever shown as no
        worse. All of them have to be shown, so that no correction is needed.
    sample_ratio_alpha
        Probability that a right split is ever called off.
    sample_ratio_tolerance
        A split is called off only if the canary's share differs from the declared one by this part
        of it: 0.1 lets 5 percent be from 4.5 to 5.5.
    voting_to_roll_back
        So many harmed voting metrics at once roll back; fewer hold.
    maximum_age_hours, when_too_old
        A step that lasts longer never advances: it is held for a person, or rolled back.
    stale_minutes
        An arm without a request for so long holds.
    control_rate_limit
        A control of which a larger part fails is no yardstick: being no worse than an outage lets
        nothing advance.
    reference_requests
        Requests of the control whose latency is frozen as the reference.
    slices
        None judges none.
    """

    metrics: tuple[CanaryMetric, ...] = DEFAULT_METRICS
    alpha_roll_back: Annotated[float, Field(gt=0, lt=1)] = 0.01
    alpha_advance: Annotated[float, Field(gt=0, lt=1)] = 0.05
    sample_ratio_alpha: Annotated[float, Field(gt=0, lt=1)] = 0.001
    sample_ratio_tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.05
    voting_to_roll_back: Annotated[int, Field(ge=1)] = 2
    maximum_age_hours: Annotated[float, Field(gt=0)] = 72.0
    when_too_old: Literal["hold", "roll_back"] = "hold"
    stale_minutes: Annotated[float, Field(gt=0)] = 15.0
    control_rate_limit: Annotated[float, Field(gt=0, le=1)] = 0.5
    reference_requests: Annotated[int, Field(ge=100)] = 1000
    slices: CanarySlices | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        problems = []
        names = [metric.name for metric in self.metrics]
        if len(set(names)) != len(names):
            problems.append(f"metrics: expected every name once, found {names}")
        if not any(metric.vote == "critical" for metric in self.metrics):
            problems.append("metrics: expected at least one that is critical, found none")
        rates = {metric.name for metric in self.metrics if metric.is_rate}
        if self.slices is not None and (bad := sorted(set(self.slices.metrics) - rates)):
            problems.append(f"slices.metrics: expected rates of {sorted(rates)}, found {bad}")
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    @property
    def harm_alpha(self) -> float:
        """At which each metric that votes is tested for harm."""
        return self.alpha_roll_back / sum(metric.vote != "muted" for metric in self.metrics)

    @property
    def slice_alpha(self) -> float:
        """At which each metric of each slice is tested; 1 without slices."""
        slices = self.slices
        return (
            1.0 if slices is None else slices.alpha / (slices.maximum_slices * len(slices.metrics))
        )

    @property
    def digest(self) -> str:
        """Of everything declared here."""
        return digest_of_json(self.model_dump(mode="json"))
