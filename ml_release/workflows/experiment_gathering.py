"""What an experiment has seen, by the inference log: its answers with the rewards they earned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.experiment_scores import Observed
from ml_release.workflows.columns import floats_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.experiment import Experiment
    from ml_release.domain.experiment_design import ExperimentPlan
    from ml_release.ports import InferenceLog
    from ml_release.spec.release_line import ReleaseLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Answers of an experiment.

    Attributes
    ----------
    left_out
        Why an answer or a reward is not among them, and how many.
    route_commits
        Under which they were given, in the order of their first answer.
    first, last
        When the first and the last request came in; None without any.
    """

    observed: Observed
    left_out: Mapping[str, int]
    route_commits: tuple[str, ...]
    first: datetime | None
    last: datetime | None


def gather_experiment(
    line: ReleaseLine,
    experiment: Experiment,
    plan: ExperimentPlan,
    *,
    inference_log: InferenceLog,
    now: datetime,
) -> Gathered:
    """Read the log and join rewards to the answers they are about.

    An answer counts for the arm that was assigned, whoever gave it: leaving out those that another
    version had to give would leave out what went wrong. Of a batch, which is assigned as one, the
    first row stands for all. The first reward of a request stands. The whole log is read;
    aggregating only what is new is not done here yet.
    """
    import pandas as pd

    records, _ = inference_log.records(line.name, after={})
    begun_at = pd.Timestamp(plan.begun_at)
    mine = records[(records["experiment"] == experiment.name) & ~records["shadow"]]
    mine = mine[mine["row"] == 0].sort_values("received_time", kind="stable")
    is_new = mine["received_time"] >= begun_at
    is_split = mine["bucket"].notna() & (mine["propensity"] > 0)
    assigned = mine["assigned_version"].fillna(mine["version"]).astype("int64")
    is_arm = assigned.isin(experiment.versions)
    kept = mine[is_new & is_split & is_arm]
    rewards = inference_log.rewards(line.name)
    rewards = rewards[rewards["experiment"].isna() | (rewards["experiment"] == experiment.name)]
    named = int((rewards["experiment"] == experiment.name).sum())
    rewards = rewards[rewards["request_id"].isin(kept["request_id"])]
    matched = int((rewards["experiment"] == experiment.name).sum())
    reward = kept["request_id"].map(
        rewards.drop_duplicates("request_id").set_index("request_id")["reward"]
    )
    due = pd.Timestamp(now) - timedelta(hours=plan.policy.reward_delay_hours)
    is_due = kept["received_time"] <= due
    if plan.policy.unrewarded == "zero":
        reward = reward.fillna(0.0)
    return Gathered(
        observed=Observed(
            version=np.asarray(assigned[kept.index], dtype=np.int64),
            bucket=kept["bucket"].to_numpy(dtype=np.int64),
            propensity=floats_of(kept["propensity"]),
            # What came early is of one kind, so that it waits for the rest.
            reward=floats_of(reward.where(is_due)),
            is_error=(kept["outcome"] != "ok").to_numpy(dtype=np.bool_),
            latency_ms=floats_of(kept["latency_ms"]),
            received=kept["received_time"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]"),
        ),
        left_out={
            "answers of before it was begun": int((~is_new).sum()),
            "answers without bucket or propensity": int((is_new & ~is_split).sum()),
            "answers of versions that are no arm": int((is_new & is_split & ~is_arm).sum()),
            "answers too young for their reward": int((~is_due).sum()),
            "rewards without a kept answer": named - matched,
        },
        route_commits=tuple(dict.fromkeys(kept["route_commit"])),
        first=kept["received_time"].iloc[0].to_pydatetime() if len(kept) else None,
        last=kept["received_time"].iloc[-1].to_pydatetime() if len(kept) else None,
    )
