"""Whether an arm makes worse what it must not make worse, at any look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.experiment_scores import arm_difference
from ml_release.domain.planned_looks import half_width, planned_variance

if TYPE_CHECKING:
    from ml_release.domain.experiment_design import ExperimentPlan
    from ml_release.domain.experiment_policy import ExperimentPolicy, Guardrail
    from ml_release.domain.experiment_scores import Estimate, Observed
    from ml_release.domain.scores import Floats

_SMALLEST_EFFECT = 0.005
"""Where nothing at all is tolerated the interval still has to be tuned to something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """One guardrail of one arm.

    Attributes
    ----------
    difference, low, high
        Share of the arm less that of the control, with an interval that holds at all looks and for
        all guardrails and arms together; NaN and without bounds while nothing is known.
    tolerance
        The largest difference that is allowed.
    is_known
        Whether both arms have met enough groups for the interval to hold.
    answers
        Of both arms.
    """

    metric: str
    difference: float
    low: float
    high: float
    tolerance: float
    is_known: bool
    answers: int

    @property
    def is_harmed(self) -> bool:
        """Whether more than the tolerance is shown."""
        return self.is_known and self.low > self.tolerance

    @property
    def is_kept(self) -> bool:
        """Whether no more than the tolerance is shown."""
        return self.is_known and self.high <= self.tolerance


def guarded(
    observed: Observed, version: int, control: int, plan: ExperimentPlan
) -> tuple[Guarded, ...]:
    """Every guardrail of the policy, on all answers, rewarded or not."""
    policy = plan.policy
    alpha = policy.guardrail_alpha / max(1, len(policy.guardrails) * plan.comparisons)
    return tuple(
        _one(
            arm_difference(observed, _happened(observed, guardrail), version, control),
            guardrail,
            policy,
            alpha=alpha,
        )
        for guardrail in policy.guardrails
    )


def _one(
    found: Estimate, guardrail: Guardrail, policy: ExperimentPolicy, *, alpha: float
) -> Guarded:
    low, high = -math.inf, math.inf
    if math.isfinite(found.variance) and math.isfinite(found.value):
        tuned_at = planned_variance(
            max(guardrail.tolerance, _SMALLEST_EFFECT), alpha=alpha, power=policy.power
        )
        width = half_width(found.variance, tuned_at=tuned_at, alpha=alpha)
        low, high = found.value - width, found.value + width
    return Guarded(
        metric=guardrail.metric,
        difference=found.value,
        low=low,
        high=high,
        tolerance=guardrail.tolerance,
        is_known=found.groups >= policy.minimum_units_per_arm and math.isfinite(high),
        answers=found.answers,
    )


def _happened(observed: Observed, guardrail: Guardrail) -> Floats:
    if guardrail.latency_limit_ms is None:
        return observed.is_error.astype(np.float64)
    # A latency that is not known is not shown to be fast.
    return (~(observed.latency_ms <= guardrail.latency_limit_ms)).astype(np.float64)
