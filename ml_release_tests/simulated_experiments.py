"""Units that take part in an experiment, simulated for tests and benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.assignment import BUCKETS
from ml_release.domain.bandit import ArmRewards, arm_percent
from ml_release.domain.experiment import Arm, Experiment
from ml_release.domain.experiment_analysis import Analysis, ArmOutcome, analyse
from ml_release.domain.experiment_design import Baseline, ExperimentPlan, plan_experiment
from ml_release.domain.experiment_policy import ExperimentPolicy
from ml_release.domain.experiment_scores import Observed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import numpy.typing as npt

BEGUN = "2026-01-01T00:00:00+00:00"
_DAY = np.datetime64("2026-01-01", "us")


def an_experiment(arms: int = 2, **changes: object) -> Experiment:
    """Versions 1 (the control), 2 and so on, in equal parts."""
    known: dict[str, object] = {
        "name": "colours",
        "salt": "s",
        "share_percent": 100.0,
        "arms": tuple(Arm(version=v + 1, weight_percent=100 / arms) for v in range(arms)),
    }
    return Experiment.model_validate({**known, **changes})


def a_plan(
    experiment: Experiment, *, baseline: float = 0.1, **limits: object
) -> tuple[ExperimentPlan, ExperimentPolicy]:
    """Its plan, and the policy in it; no guardrail unless one is given."""
    policy = ExperimentPolicy.model_validate({"guardrails": (), **limits})
    plan = plan_experiment(experiment, Baseline(mean=baseline), policy, begun_at=BEGUN)
    return plan, policy


def observed(
    version: npt.NDArray[np.int64],
    bucket: npt.NDArray[np.int64],
    propensity: npt.NDArray[np.float64],
    reward: npt.NDArray[np.float64],
    *,
    is_error: npt.NDArray[np.bool_] | None = None,
    latency_ms: npt.NDArray[np.float64] | None = None,
) -> Observed:
    """Answers, a thousand a day."""
    n = len(version)
    return Observed(
        version=version,
        bucket=bucket,
        propensity=propensity,
        reward=reward,
        is_error=np.zeros(n, dtype=np.bool_) if is_error is None else is_error,
        latency_ms=np.ones(n) if latency_ms is None else latency_ms,
        received=_DAY + np.arange(n) * np.timedelta64(86_400_000, "us"),
    )


def fixed_split(
    means: Sequence[float],
    n: int,
    generator: np.random.Generator,
    *,
    units: int | None = None,
    spread: float = 0.0,
) -> Observed:
    """Equal parts, binary rewards.

    Parameters
    ----------
    units
        That ask at random until there are ``n`` answers; None for one answer each.
    spread
        Units differ by up to so much in their own chance, so that a unit's answers are alike.
    """
    unit = np.arange(n) if units is None else generator.integers(0, units, n)
    count = n if units is None else units
    bucket = generator.integers(0, BUCKETS, count)[unit]
    arm = bucket * len(means) // BUCKETS
    own = generator.uniform(-spread, spread, count)[unit]
    reward = (generator.random(n) < np.asarray(means)[arm] + own).astype(np.float64)
    return observed((arm + 1).astype(np.int64), bucket, np.full(n, 1 / len(means)), reward)


def bandit_split(
    means: Sequence[float],
    n: int,
    generator: np.random.Generator,
    *,
    floor_percent: float = 5.0,
    batch: int = 100,
) -> Observed:
    """Parts by Thompson sampling, learned anew after every batch, as the endpoint server does."""
    arms = {v + 1: ArmRewards() for v in range(len(means))}
    rows = []
    percent = dict.fromkeys(arms, 100 / len(arms))
    for begin in range(0, n, batch):
        size = min(batch, n - begin)
        bounds = np.round(np.cumsum(list(percent.values())) * BUCKETS / 100)
        bucket = generator.integers(0, BUCKETS, size)
        arm = np.minimum(np.searchsorted(bounds, bucket, side="right"), len(means) - 1)
        share = np.diff(bounds, prepend=0)[arm] / BUCKETS
        reward = (generator.random(size) < np.asarray(means)[arm]).astype(np.float64)
        rows.append(np.column_stack([arm + 1, bucket, share, reward]))
        for version, known in arms.items():
            mine = reward[arm + 1 == version]
            arms[version] = ArmRewards(known.n + len(mine), known.total + float(mine.sum()))
        percent = arm_percent(arms, floor_percent=floor_percent)
    version, bucket, share, reward = np.concatenate(rows).T
    return observed(version.astype(np.int64), bucket.astype(np.int64), share, reward)


def looks(
    experiment: Experiment,
    seen: Observed,
    plan: ExperimentPlan,
    *,
    count: int,
    now: datetime,
) -> Iterator[Analysis]:
    """What is said at so many looks, evenly spread over the answers, the last one at all."""
    position = np.arange(len(seen))
    for end in np.linspace(0, len(seen), count + 1)[1:].round():
        yield analyse(experiment, seen.where(position < end), plan, now=now)


def first_finding(analyses: Iterator[Analysis]) -> ArmOutcome | None:
    """The first look at which some arm is called better or worse; None if there is none."""
    for analysis in analyses:
        for arm in analysis.arms:
            if arm.outcome in {ArmOutcome.BETTER, ArmOutcome.WORSE}:
                return arm.outcome
    return None
