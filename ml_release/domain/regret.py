"""What an experiment has cost: rewards that the best arm would have earned and others did not.

Regret is counted by the arms' means, not by the rewards that fell (Lai and Robbins 1985, Advances
in Applied Mathematics 6): the sum over all answers of the best mean less the met arm's. Which arm
is best is estimated too, so that a small regret is only known where the means are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.bandit import ArmRewards, probability_best
from ml_release.domain.experiment_scores import arm_mean, effective_answers
from ml_release.domain.planned_looks import half_width

if TYPE_CHECKING:
    import numpy.typing as npt

    from ml_release.domain.experiment import Experiment
    from ml_release.domain.experiment_design import ExperimentPlan
    from ml_release.domain.experiment_scores import Observed
    from ml_release.domain.scores import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEarned:
    """One arm.

    Attributes
    ----------
    mean, low, high
        Of its rewards, weighted by propensity; the intervals of all arms and looks hold together.
    plain_mean
        Without weights: under learned parts it is biased, mostly downwards.
    probability_best
        That no other arm's mean is larger (smaller, where that is better), by the bandit's own
        belief; 0 to 1.
    answers, effective_answers
        Rewarded ones, and as many as they are worth once weighted.
    """

    version: int
    mean: float
    low: float
    high: float
    plain_mean: float
    probability_best: float
    answers: int
    effective_answers: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegretReport:
    """All arms, over time.

    Attributes
    ----------
    days
        Shape (d,), those with an answer, in order.
    shares
        Version to the part of a day's answers it met; shape (d,), they add to 1.
    regret, regret_low, regret_high
        Up to the end of each day, in units of the reward; shape (d,). NaN where an arm was not
        rewarded yet.
    equal_parts_regret
        At the end, had all arms met the same number of answers.
    """

    arms: tuple[ArmEarned, ...]
    days: npt.NDArray[np.datetime64]
    shares: dict[int, Floats]
    regret: Floats
    regret_low: Floats
    regret_high: Floats
    equal_parts_regret: float


def report_regret(experiment: Experiment, observed: Observed, plan: ExperimentPlan) -> RegretReport:
    """Regret against the arm with the best estimated mean, with the interval its bounds allow.

    An arm may fall short of the best one by at most the highest bound of any arm less its own
    lowest one, and by at least the highest lower bound less its own upper one, and never by less
    than 0. Both hold at every look with the policy's alpha.
    """
    sign = plan.policy.sign
    versions = [arm.version for arm in experiment.arms]
    arms = _arms(observed.rewarded, versions, plan)
    best = max((sign * arm.mean for arm in arms), default=math.nan)
    lows = [min(sign * arm.low, sign * arm.high) for arm in arms]
    highs = [max(sign * arm.low, sign * arm.high) for arm in arms]
    gaps = np.array([best - sign * arm.mean for arm in arms])
    least = np.maximum(0.0, max(lows) - np.array(highs))
    most = np.maximum(0.0, max(highs) - np.array(lows))
    all_days = observed.received.astype("datetime64[D]")
    days = np.unique(all_days)
    met = np.array(
        [[(all_days[observed.version == v] == day).sum() for day in days] for v in versions],
        dtype=np.float64,
    ).reshape(len(versions), len(days))
    so_far = met.cumsum(axis=1)
    return RegretReport(
        arms=arms,
        days=days,
        shares={v: met[i] / met.sum(axis=0) for i, v in enumerate(versions)},
        regret=gaps @ so_far,
        regret_low=least @ so_far,
        regret_high=most @ so_far,
        equal_parts_regret=float(gaps.mean() * len(observed)),
    )


def _arms(rewarded: Observed, versions: list[int], plan: ExperimentPlan) -> tuple[ArmEarned, ...]:
    alpha = plan.policy.alpha / len(versions)
    # A difference of two means has twice the variance of each.
    tuned_at = plan.planned_variance / 2
    sums = {v: float(rewarded.reward[rewarded.version == v].sum()) for v in versions}
    counts = {v: int((rewarded.version == v).sum()) for v in versions}
    is_higher = plan.policy.sign > 0
    belief = probability_best(
        {v: ArmRewards(counts[v], sums[v] if is_higher else counts[v] - sums[v]) for v in versions}
    )
    found = []
    for version in versions:
        estimate = arm_mean(rewarded, rewarded.reward, version)
        # A reward lies from 0 to 1 whatever is known of it.
        width = half_width(estimate.variance, tuned_at=tuned_at, alpha=alpha)
        is_known = math.isfinite(width) and math.isfinite(estimate.value)
        found.append(
            ArmEarned(
                version=version,
                mean=estimate.value,
                low=max(0.0, estimate.value - width) if is_known else 0.0,
                high=min(1.0, estimate.value + width) if is_known else 1.0,
                plain_mean=sums[version] / counts[version] if counts[version] else math.nan,
                probability_best=belief[version],
                answers=counts[version],
                effective_answers=effective_answers(rewarded, version),
            )
        )
    return tuple(found)
