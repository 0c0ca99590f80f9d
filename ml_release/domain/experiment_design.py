"""How many units an experiment needs before it is begun, and how long that takes.

For one look at a fixed end by the z-test, as the textbooks have it, and inflated for looking all
the time (`ml_release.domain.planned_looks.inflation`). With several arms every comparison with
the control is made at alpha divided by their number: Bonferroni's level, which is also the one that
the first of Holm's steps has to meet.

What is counted are units that answer for themselves. Several requests of one unit are worth less
than as many units; the analysis groups them, and goes on until the variance is the planned one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from ml_release.domain.experiment_policy import ExperimentPolicy
from ml_release.domain.identity import canonical_json, digest_of_json
from ml_release.domain.planned_looks import inflation, planned_variance
from ml_release.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from ml_release.domain.experiment import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What is known of the reward before.

    Attributes
    ----------
    mean
        Of the control, from 0 to 1.
    sd
        Standard deviation between units; None where the mean gives it (a binary reward) or where it
        is not known: then the largest one that rewards from 0 to 1 with this mean can have.
    units_per_day
        New ones, in all traffic; None if nobody knows.
    """

    mean: float
    sd: float | None = None
    units_per_day: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no reward can be."""
        problems = []
        if not 0 <= self.mean <= 1:
            problems.append(f"a mean from 0 to 1, found {self.mean:g}")
        if self.sd is not None and not 0 < self.sd <= 0.5:  # noqa: PLR2004 (Popoviciu: half the range)
            problems.append(f"a standard deviation above 0 and at most 0.5, found {self.sd:g}")
        if self.units_per_day is not None and not 0 < self.units_per_day < math.inf:
            problems.append(f"more than 0 units per day, found {self.units_per_day:g}")
        if problems:
            message = "baseline of an experiment: expected " + "; ".join(problems)
            raise InputError(message)


class ExperimentPlan(BaseModel):
    """What was decided before the first unit was looked at.

    Attributes
    ----------
    experiment_digest
        Of the declared experiment.
    begun_at
        ISO 8601 with zone.
    comparisons, alpha_each
        Arms beside the control, and the level of each comparison.
    fixed_units
        Units per arm by version for one look at the end.
    inflation
        How many times as many for looking all the time.
    units
        Units per arm by version, with that.
    units_at_floor
        Of the whole experiment where the allocation is ``thompson`` and leaves the control its
        floor; None for fixed parts.
    expected_days
        To gather ``units``; None if the traffic is not known.
    planned_variance
        Of the difference of two mean rewards when the planned information is there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    experiment_digest: str
    begun_at: str
    policy: ExperimentPolicy
    baseline_mean: float
    baseline_sd: float
    comparisons: int
    alpha_each: float
    fixed_units: dict[int, int]
    inflation: float
    units: dict[int, int]
    units_at_floor: int | None
    expected_days: float | None
    planned_variance: float

    @property
    def total_units(self) -> int:
        """Of all arms."""
        return sum(self.units.values())

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """Digest of the canonical byte form."""
        return digest_of_json(self.model_dump(mode="json"))


def plan_from_json(content: bytes) -> ExperimentPlan:
    """Read a recorded plan back; `IntegrityError` if it is something else."""
    try:
        return ExperimentPlan.model_validate_json(content)
    except ValueError as error:
        message = f"plan of an experiment: expected a recorded plan, found something else ({error})"
        raise IntegrityError(message) from error


def units_for_shares(
    baseline: float, effect: float, *, alpha: float, power: float, ratio: float = 1.0
) -> float:
    """Units of the control to find a difference of two shares; two-sided z-test, pooled under H0.

    ``((z_a sqrt((1 + 1/r) p (1 - p)) + z_b sqrt(p1 (1 - p1) + p2 (1 - p2) / r)) / d)^2``, Fleiss,
    Levin and Paik (2003), Statistical Methods for Rates and Proportions, section 4.2 without the
    correction for continuity.

    Parameters
    ----------
    baseline
        Share of the control, 0 to 1.
    effect
        The other share minus this one, not 0.
    ratio
        Units of the other arm per unit of the control, above 0.

    Raises
    ------
    InputError
        If a share would not lie from 0 to 1, or the others are out of range.

    Examples
    --------
    >>> round(units_for_shares(0.10, 0.02, alpha=0.05, power=0.8))
    3841
    """
    other = baseline + effect
    if not (0 <= baseline <= 1 and 0 <= other <= 1 and effect):
        message = (
            "sample size: expected two different shares from 0 to 1, found"
            f" {baseline:g} and {other:g}; take a smaller effect or another baseline"
        )
        raise InputError(message)
    z_alpha, z_power = _quantiles(alpha=alpha, power=power, ratio=ratio)
    pooled = (baseline + ratio * other) / (1 + ratio)
    under_equality = math.sqrt((1 + 1 / ratio) * pooled * (1 - pooled))
    under_effect = math.sqrt(baseline * (1 - baseline) + other * (1 - other) / ratio)
    return ((z_alpha * under_equality + z_power * under_effect) / effect) ** 2


def units_for_means(
    sd: float, effect: float, *, alpha: float, power: float, ratio: float = 1.0
) -> float:
    """Units of the control to find a difference of two means with one standard deviation.

    ``(1 + 1/r) (sd (z_a + z_b) / d)^2``, two-sided z-test.

    Raises
    ------
    InputError
        If something is out of range.

    Examples
    --------
    >>> round(units_for_means(0.5, 0.05, alpha=0.05, power=0.8))
    1570
    """
    if not sd > 0 or not effect:
        message = (
            "sample size: expected a standard deviation above 0 and an effect that is not 0, found"
            f" {sd:g} and {effect:g}"
        )
        raise InputError(message)
    z_alpha, z_power = _quantiles(alpha=alpha, power=power, ratio=ratio)
    return (1 + 1 / ratio) * (sd * (z_alpha + z_power) / effect) ** 2


def plan_experiment(
    experiment: Experiment, baseline: Baseline, policy: ExperimentPolicy, *, begun_at: str
) -> ExperimentPlan:
    """Units and days, so that each arm's comparison with the first one has the power asked for.

    Raises
    ------
    InputError
        If an arm begins without a share, or baseline and effect do not go together.
    """
    control, *others = experiment.arms
    if bad := [arm.version for arm in experiment.arms if not arm.weight_percent]:
        message = (
            f"experiment {experiment.name}: expected a share above 0 for every arm, found none for"
            f" versions {bad}; nothing could be learned of them"
        )
        raise InputError(message)
    alpha = policy.alpha / len(others)
    needed = [
        _control_units(baseline, policy, alpha, arm.weight_percent / control.weight_percent)
        * 100
        / control.weight_percent
        for arm in others
    ]
    times = inflation(alpha=alpha, power=policy.power)
    total = times * max(needed)
    floor = experiment.floor_percent
    at_floor = None
    if experiment.allocation == "thompson" and floor > 0:
        rest = 100 - floor * len(others)
        at_floor = math.ceil(
            times * _control_units(baseline, policy, alpha, rest / floor) * 100 / floor
        )
    per_day = (baseline.units_per_day or 0) * experiment.share_percent / 100
    return ExperimentPlan(
        experiment_digest=digest_of_experiment(experiment),
        begun_at=begun_at,
        policy=policy,
        baseline_mean=baseline.mean,
        baseline_sd=_sd(baseline, policy),
        comparisons=len(others),
        alpha_each=alpha,
        fixed_units={
            arm.version: math.ceil(max(needed) * arm.weight_percent / 100)
            for arm in experiment.arms
        },
        inflation=times,
        units={arm.version: math.ceil(total * arm.weight_percent / 100) for arm in experiment.arms},
        units_at_floor=at_floor,
        expected_days=total / per_day if per_day else None,
        planned_variance=planned_variance(
            policy.minimum_detectable_effect, alpha=alpha, power=policy.power
        ),
    )


def digest_of_experiment(experiment: Experiment) -> str:
    """Names an experiment as it was declared: arms, split and salt."""
    return digest_of_json(experiment.model_dump(mode="json"))


def _control_units(
    baseline: Baseline, policy: ExperimentPolicy, alpha: float, ratio: float
) -> float:
    effect = policy.minimum_detectable_effect
    if policy.metric == "binary":
        # Which way it goes is not known before; the one that needs more units is planned for.
        found = [
            units_for_shares(baseline.mean, signed, alpha=alpha, power=policy.power, ratio=ratio)
            for signed in (effect, -effect)
            if 0 <= baseline.mean + signed <= 1
        ]
        if not found:
            message = (
                f"sample size: expected an effect that a share of {baseline.mean:g} can have, found"
                f" {effect:g}; take a smaller minimum_detectable_effect"
            )
            raise InputError(message)
        return max(found)
    return units_for_means(
        _sd(baseline, policy), effect, alpha=alpha, power=policy.power, ratio=ratio
    )


def _sd(baseline: Baseline, policy: ExperimentPolicy) -> float:
    if baseline.sd is not None and policy.metric == "mean":
        return baseline.sd
    # The largest one with this mean (Bhatia and Davis 2000), which is a binary reward's.
    found = math.sqrt(baseline.mean * (1 - baseline.mean))
    return found if found > 0 or policy.metric == "binary" else 0.5


def _quantiles(*, alpha: float, power: float, ratio: float) -> tuple[float, float]:
    if not (0 < alpha < 1 and 0 < power < 1 and 0 < ratio < math.inf):
        message = (
            "sample size: expected alpha and power between 0 and 1 and a ratio of arms above 0,"
            f" found {alpha:g}, {power:g} and {ratio:g}"
        )
        raise InputError(message)
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha / 2), normal.inv_cdf(power)
