"""What an experiment is held against; written down when it begins and not changed after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

Metric = Literal["binary", "mean"]
Direction = Literal["higher", "lower"]
GuardrailMetric = Literal["error_rate", "latency_exceedance"]

_Share = Annotated[float, Field(gt=0, lt=1)]


class Guardrail(BaseModel):
    """Something that an arm must not make worse, whatever it earns.

    Attributes
    ----------
    metric
        ``error_rate``: the share of answers that are errors or that another version had to give.
        ``latency_exceedance``: the share of answers slower than ``latency_limit_ms``.
    tolerance
        By so much the share may be larger than the control's, from 0 to 1. An arm is harmful when
        more is shown, and harmless when less is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: GuardrailMetric
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.01
    latency_limit_ms: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _knows_what_is_slow(self) -> Self:
        if (self.metric == "latency_exceedance") != (self.latency_limit_ms is not None):
            message = (
                "guardrail: expected latency_limit_ms for latency_exceedance and for nothing else,"
                f" found {self.latency_limit_ms} for {self.metric}"
            )
            raise ValueError(message)
        return self


class ExperimentPolicy(BaseModel):
    """How an experiment is planned and judged.

    Attributes
    ----------
    metric
        What a reward is: ``binary`` (0 or 1) or a ``mean`` of numbers from 0 to 1.
    direction
        Whether a ``higher`` or a ``lower`` reward is better.
    alpha
        Chance, over the whole experiment and all looks, that any arm is called better or worse
        than a control it equals.
    power
        Chance to find an effect of the least size.
    minimum_detectable_effect
        Difference of mean rewards, in the unit of the reward, that is worth finding. Smaller ones
        may stay unknown; an arm shown to differ by less is done.
    minimum_units_per_arm
        Fewer than so many groups of units (buckets) with a reward in an arm show nothing.
    maximum_days
        The experiment ends after so many days, whatever is known then.
    unrewarded
        An answer without a reward is ``left_out``, or counts as ``zero`` once it is older than
        ``reward_delay_hours``.
    reward_delay_hours
        Younger answers are not looked at: rewards that come early are of one kind.
    guardrails, guardrail_alpha
        What must not get worse; the chance that any of them is called harmed for nothing.
    sample_ratio_alpha
        Chance that a right split is called wrong.
    overlap_floor
        Smallest part of its rewarded answers that the effective sample of an arm may shrink to by
        weighting before a warning, from 0 to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: Metric = "binary"
    direction: Direction = "higher"
    alpha: _Share = 0.05
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    minimum_detectable_effect: Annotated[float, Field(gt=0, lt=1)] = 0.02
    minimum_units_per_arm: Annotated[int, Field(ge=30, le=1000)] = 200
    maximum_days: Annotated[float, Field(gt=0)] = 28.0
    unrewarded: Literal["left_out", "zero"] = "left_out"
    reward_delay_hours: Annotated[float, Field(ge=0)] = 0.0
    guardrails: tuple[Guardrail, ...] = (Guardrail(metric="error_rate", tolerance=0.01),)
    guardrail_alpha: _Share = 0.01
    sample_ratio_alpha: _Share = 0.001
    overlap_floor: Annotated[float, Field(ge=0, le=1)] = 0.2

    @property
    def sign(self) -> int:
        """1 if a higher reward is better, -1 if a lower one is."""
        return 1 if self.direction == "higher" else -1


def experiment_policy(limits: Mapping[str, object]) -> ExperimentPolicy:
    """A policy from the limits that somebody has filled in; those left out keep their defaults.

    Raises
    ------
    InputError
        Listing every limit that cannot be used.
    """
    try:
        return ExperimentPolicy.model_validate(dict(limits))
    except ValidationError as error:
        rows = "\n".join(
            f"  - {'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}, found"
            f" {problem['input']!r}"
            for problem in error.errors()
        )
        message = f"policy of an experiment is not valid.\n{rows}"
        raise InputError(message) from error


def guardrail_limits(
    *, error_tolerance: float, latency_limit_ms: float | None, latency_tolerance: float
) -> list[dict[str, object]]:
    """The guardrails of a form: errors always, latency where a limit is given."""
    found: list[dict[str, object]] = [{"metric": "error_rate", "tolerance": error_tolerance}]
    if latency_limit_ms is not None:
        found.append(
            {
                "metric": "latency_exceedance",
                "tolerance": latency_tolerance,
                "latency_limit_ms": latency_limit_ms,
            }
        )
    return found
