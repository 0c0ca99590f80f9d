"""Count records of the inference log for canary and control, one request at a time.

A request is its first row: what is asked together is assigned, answered and failed together. It
counts for the version that it was assigned to, whoever answered: an answer that another version
gave in its place is an error of the assigned one.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.canary_counts import ArmPair, ArmTally, RateCount, Stretch
from ml_release.domain.canary_tally import Yardstick
from ml_release.domain.mean_sequences import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.canary_metric import CanaryMetric
    from ml_release.domain.canary_policy import CanaryPolicy
    from ml_release.domain.canary_tally import CanaryUnderWay

    Known = npt.NDArray[np.bool_]

_DECILES = np.arange(0.1, 0.95, 0.1)
_OTHER = "other"
_UNASSIGNED = ("pinned", "kill_switch")


def assigned_requests(records: pd.DataFrame, under_way: CanaryUnderWay) -> pd.DataFrame:
    """The requests that were assigned to canary or control, with ``is_canary``, in order of time.

    Without secret answers, units of an experiment (their split is another one), requests that named
    a version themselves, and answers without a model.
    """
    assigned = records["assigned_version"].fillna(records["version"])
    is_arm = assigned.isin([under_way.canary_version, under_way.control_version])
    chosen = records[
        is_arm
        & (records["row"] == 0)
        & ~records["shadow"]
        & records["experiment"].isna()
        & ~records["variant"].isin(_UNASSIGNED)
    ]
    chosen = chosen.assign(is_canary=assigned[chosen.index] == under_way.canary_version)
    return chosen.sort_values(["received_time", "request_id"], kind="stable", ignore_index=True)


def request_hash(request_id: str) -> str:
    """What is remembered of a request id: 64 bits of its BLAKE2b hash, hexadecimal."""
    return blake2b(request_id.encode(), digest_size=8).hexdigest()


def yardstick_of(
    before: pd.DataFrame, within: pd.DataFrame, policy: CanaryPolicy
) -> Yardstick | None:
    """The control's quantiles, from its newest requests before the step or its first ones within.

    Parameters
    ----------
    before, within
        Of `assigned_requests`, before and since the step began.

    Returns
    -------
    Yardstick or None
        None while neither holds enough answered requests of the control.
    """
    n = policy.reference_requests
    is_within = False
    answered = _answered(before).tail(n)
    if len(answered) < n:
        is_within = True
        answered = _answered(within).head(n)
    if len(answered) < n:
        return None
    latency = answered["latency_ms"].to_numpy(dtype=np.float64)
    scores = answered["prediction"].to_numpy(dtype=np.float64)
    scores = scores[np.isfinite(scores)]
    edges = np.unique(np.quantile(scores, _DECILES, method="inverted_cdf")) if len(scores) else ()
    return Yardstick(
        n=n,
        frozen_at=answered["received_time"].iloc[-1].to_pydatetime() if is_within else None,
        latency_limits_ms={
            metric.name: float(np.quantile(latency, metric.quantile)) + metric.allowance_ms
            for metric in policy.metrics
            if metric.kind == "latency_exceedance"
        },
        score_edges=tuple(float(edge) for edge in edges),
    )


def _answered(requests: pd.DataFrame) -> pd.DataFrame:
    known = np.isfinite(requests["latency_ms"].to_numpy(dtype=np.float64))
    answered: pd.DataFrame = requests[
        ~requests["is_canary"] & (requests["outcome"] == "ok") & known
    ]
    return answered


def count_stretches(
    requests: pd.DataFrame,
    policy: CanaryPolicy,
    *,
    yardstick: Yardstick | None,
    shares: Mapping[str, float | None],
    step: int,
    known: tuple[Stretch, ...] = (),
) -> tuple[Stretch, ...]:
    """The stretches with some more requests counted, in the order in which they were met."""
    stretches = {stretch.route_commit: stretch for stretch in known}
    slices = {name: None for stretch in known for name in stretch.slices}
    for commit, rows in requests.groupby("route_commit", sort=False):
        name = str(commit)
        share = shares.get(name)
        if share is None:
            continue
        found = stretches.get(name)
        arms = ArmPair() if found is None else found.arms
        kept = {} if found is None else dict(found.slices)
        for slice_name, part in _slices(rows, policy, met=slices):
            kept[slice_name] = kept.get(slice_name, ArmPair()) + _pair(
                rows[part], _slice_metrics(policy), yardstick
            )
        stretches[name] = Stretch(
            step=step,
            route_commit=name,
            canary_share=share,
            arms=arms + _pair(rows, policy.metrics, yardstick),
            slices=kept,
        )
    return tuple(stretches.values())


def _pair(
    rows: pd.DataFrame, metrics: tuple[CanaryMetric, ...], yardstick: Yardstick | None
) -> ArmPair:
    is_canary = rows["is_canary"].to_numpy(dtype=np.bool_)
    return ArmPair(
        canary=_arm(rows[is_canary], metrics, yardstick),
        control=_arm(rows[~is_canary], metrics, yardstick),
    )


def _arm(
    rows: pd.DataFrame, metrics: tuple[CanaryMetric, ...], yardstick: Yardstick | None
) -> ArmTally:
    rates, means, histograms = {}, {}, {}
    scores = rows["prediction"].to_numpy(dtype=np.float64)[~_failed(rows)]
    scores = scores[np.isfinite(scores)]
    for metric in metrics:
        if metric.is_rate:
            rates[metric.name] = _rate(rows, metric, yardstick)
        elif metric.kind == "score_mean":
            means[metric.name] = Moments.of(scores)
        elif metric.kind == "score_distribution" and yardstick is not None:
            edges = np.array(yardstick.score_edges)
            bins = np.bincount(
                np.searchsorted(edges, scores, side="left"), minlength=len(edges) + 1
            )
            histograms[metric.name] = tuple(int(count) for count in bins)
    return ArmTally(requests=len(rows), rates=rates, means=means, histograms=histograms)


def _failed(rows: pd.DataFrame) -> Known:
    """Not answered by the assigned version, or with something that is no number."""
    prediction = rows["prediction"].to_numpy(dtype=np.float64)
    said_nothing = ~np.isfinite(prediction) & rows["probabilities"].isna().to_numpy()
    failed: Known = (rows["outcome"] != "ok").to_numpy(dtype=np.bool_) | said_nothing
    return failed


def _rate(rows: pd.DataFrame, metric: CanaryMetric, yardstick: Yardstick | None) -> RateCount:
    if metric.kind == "error_rate":
        return RateCount(n=len(rows), events=int(_failed(rows).sum()))
    if metric.kind == "missing_rate":
        found = [_is_missing(features, metric.feature) for features in rows["features"] if features]
        return RateCount(n=len(found), events=sum(found))
    if yardstick is None:
        return RateCount()
    latency = rows["latency_ms"].to_numpy(dtype=np.float64)
    counted = np.isfinite(latency)
    if yardstick.frozen_at is not None:
        # What made the limit is not held against it.
        counted &= (rows["received_time"] > yardstick.frozen_at).to_numpy(dtype=np.bool_)
    slow = latency[counted] > yardstick.latency_limits_ms[metric.name]
    return RateCount(n=len(slow), events=int(slow.sum()))


def _is_missing(features: Mapping[str, object], name: str | None) -> bool:
    values = features.values() if name is None else [features.get(name)]
    # NaN is the one value that differs from itself.
    return any(value is None or value != value for value in values)  # noqa: PLR0124


def _slice_metrics(policy: CanaryPolicy) -> tuple[CanaryMetric, ...]:
    named = () if policy.slices is None else policy.slices.metrics
    return tuple(metric for metric in policy.metrics if metric.name in named)


def _slices(
    rows: pd.DataFrame, policy: CanaryPolicy, *, met: dict[str, None]
) -> list[tuple[str, Known]]:
    """Names of slices with the rows of each; ``met`` learns the names that are new."""
    found: list[tuple[str, Known]] = []
    if policy.slices is None:
        return found
    for column in policy.slices.columns:
        names = []
        for features in rows["features"]:
            value = features.get(column)
            name = f"{column}={'missing' if value is None else value}"
            # One place is kept for what comes later of each column.
            room = policy.slices.maximum_slices - len(policy.slices.columns)
            if name not in met and len(met) >= room:
                name = f"{column}={_OTHER}"
            met[name] = None
            names.append(name)
        of_row = np.array(names, dtype=np.object_)
        found += [(name, of_row == name) for name in dict.fromkeys(names)]
    return found
