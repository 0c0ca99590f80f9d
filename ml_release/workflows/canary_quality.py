"""Quality of canary and control on labelled requests, in blocks of constant size.

Only days whose labels are due count: labels that come early are of one kind. A block of one class
has no AUC and is left out; what is left of an arm after its last whole block waits for more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.canary_counts import ArmPair
from ml_release.domain.mean_sequences import Moments
from ml_release.domain.scores import auc_score, brier_loss, log_loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    import pandas as pd

    from ml_release.domain.canary_counts import ArmTally, Stretch
    from ml_release.domain.canary_metric import CanaryMetric
    from ml_release.domain.canary_policy import CanaryPolicy
    from ml_release.domain.scores import Floats

_SCORES: dict[str, Callable[[Floats, Floats], float]] = {
    "auc_score": auc_score,
    "brier_loss": brier_loss,
    "log_loss": log_loss,
}


def last_matured_day(now: datetime, *, delay: timedelta, grace_days: float) -> date:
    """The last day (UTC) of events all of whose labels are due."""
    due = now.astimezone(UTC) - delay - timedelta(days=grace_days)
    return due.date() - timedelta(days=1)


def with_quality(
    stretches: tuple[Stretch, ...],
    policy: CanaryPolicy,
    *,
    requests: pd.DataFrame,
    labels: pd.DataFrame,
    until: date,
) -> tuple[Stretch, ...]:
    """The stretches with the quality of all their matured days, counted anew.

    Parameters
    ----------
    requests
        Of `assigned_requests`, all since the step began.
    labels
        Of `gathered_labels`.
    """
    metrics = [metric for metric in policy.metrics if metric.kind == "quality"]
    answered = requests[
        (requests["outcome"] == "ok")
        & requests["prediction"].notna()
        & (requests["event_time"].dt.date <= until)
    ]
    joined = answered.merge(labels[["request_id", "label"]], on="request_id")
    # In an order of their own, so that blocks do not depend on how the log was read.
    joined = joined.sort_values(["event_time", "request_id"], kind="stable")
    found = []
    for stretch in stretches:
        rows = joined[joined["route_commit"] == stretch.route_commit]
        arms = ArmPair(
            canary=_arm(stretch.arms.canary, rows[rows["is_canary"]], metrics),
            control=_arm(stretch.arms.control, rows[~rows["is_canary"]], metrics),
        )
        found.append(replace(stretch, arms=arms))
    return tuple(found)


def _arm(arm: ArmTally, rows: pd.DataFrame, metrics: list[CanaryMetric]) -> ArmTally:
    target = rows["label"].to_numpy(dtype=np.float64)
    score = rows["prediction"].to_numpy(dtype=np.float64)
    means = dict(arm.means)
    for metric in metrics:
        starts = range(0, len(rows) - metric.block_rows + 1, metric.block_rows)
        blocks = [slice(start, start + metric.block_rows) for start in starts]
        values = [_SCORES[metric.score](target[block], score[block]) for block in blocks]
        means[metric.name] = Moments.of(np.array(values, dtype=np.float64))
    return replace(arm, means=means)
