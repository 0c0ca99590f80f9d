"""Count what the inference log shows was served, reading only what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.assignment import pick
from ml_release.domain.truth_tally import (
    KILL_SWITCH,
    SHADOW,
    ServedMinute,
    Split,
    TruthTally,
    summed_minutes,
    tally_from_json,
)
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.deployment import Declaration
    from ml_release.ports import EvidenceStore, InferenceLog

TRUTH_TALLY = "truth_tally"
_PINNED = "pinned"
_MICROSECONDS_PER_MINUTE = 60_000_000
_KEY = ["version", "model_digest", "variant", "route_commit", "minute"]


def recorded_tally(line: str, environment: str, *, evidence: EvidenceStore) -> TruthTally:
    """What was counted so far; an empty tally if that is of another line, or was edited.

    The log is what is true. A tally only saves reading it, and one that cannot be trusted is left.
    """
    nothing = TruthTally(line=line, environment=environment)
    try:
        content = evidence.find(line, TRUTH_TALLY, environment)
        found = nothing if content is None else tally_from_json(content)
    except IntegrityError:
        return nothing
    return found if (found.line, found.environment) == (line, environment) else nothing


def advance_tally(
    so_far: TruthTally,
    *,
    history: Sequence[Declaration],
    inference_log: InferenceLog,
    evidence: EvidenceStore,
    begin: datetime,
) -> TruthTally:
    """Count what came in since, forget what is older than ``begin``, and record the rest.

    What is kept is the same as counting everything at once. One exception: a request id that a
    client repeats after it was counted is counted as the further request it is.

    Raises
    ------
    MlReleaseError
        If the log cannot be read; what was counted so far stays recorded.
    """
    records, cursor = inference_log.records(so_far.line, after=so_far.cursor)
    tally = so_far + tally_of(
        records,
        line=so_far.line,
        environment=so_far.environment,
        history=history,
        cursor=cursor,
    )
    tally = tally.since(begin)
    evidence.record(tally.line, TRUTH_TALLY, tally.environment, tally.to_json())
    return tally


def tally_of(
    records: pd.DataFrame,
    *,
    line: str,
    environment: str,
    history: Sequence[Declaration],
    cursor: Mapping[str, int],
) -> TruthTally:
    """The tally of some records of the inference log; rows of a batch are one request.

    Parameters
    ----------
    history
        Tells which variant the bucket of a unit belongs to. Requests by a declaration that is not
        in it count in no split.
    """
    requests = records[records["row"] == 0]
    received = requests["received_time"].astype("datetime64[us, UTC]").astype("int64")
    requests = requests.assign(
        received_us=received,
        minute=received // _MICROSECONDS_PER_MINUTE,
        variant=requests["variant"].where(~requests["shadow"], SHADOW),
    )
    return TruthTally(
        line=line,
        environment=environment,
        cursor=dict(cursor),
        served=_served(requests),
        splits=_splits(requests, history),
    )


def _served(requests: pd.DataFrame) -> tuple[ServedMinute, ...]:
    if requests.empty:
        return ()
    groups = requests.groupby(_KEY, sort=False)["received_us"].agg(["size", "min", "max"])
    return summed_minutes(
        ServedMinute(
            version=version,
            model_digest=model_digest,
            variant=variant,
            route_commit=commit,
            minute=minute,
            requests=size,
            first_us=first,
            last_us=last,
        )
        for (version, model_digest, variant, commit, minute), size, first, last in zip(
            groups.index.tolist(),
            groups["size"].tolist(),
            groups["min"].tolist(),
            groups["max"].tolist(),
            strict=True,
        )
    )


def _splits(requests: pd.DataFrame, history: Sequence[Declaration]) -> tuple[Split, ...]:
    # Nobody assigned these: they were asked besides, named their version, or met no model.
    is_split = ~requests["variant"].isin([SHADOW, KILL_SWITCH, _PINNED])
    eligible = requests[is_split & requests["experiment"].isna()]
    if eligible.empty:
        return ()
    assigned = eligible["assigned_version"].astype("Int64").fillna(eligible["version"])
    eligible = eligible.assign(assigned=assigned.astype("int64"))
    states = {one.commit: one.state for one in history}
    found = []
    for name, own in eligible.groupby("route_commit", sort=True):
        state = states.get(str(name))
        if state is None:
            continue
        of_units = own[own["bucket"].notna()]
        weights = {one.version: one.weight_percent for one in state.variants}
        wanted = _wanted(of_units, weights)
        by_chance = own.loc[own["bucket"].isna(), "assigned"].value_counts()
        found.append(
            Split(
                route_commit=str(name),
                by_chance={int(str(v)): int(n) for v, n in sorted(by_chance.items())},
                units=len(of_units),
                misrouted=int(np.count_nonzero(of_units["assigned"].to_numpy() != wanted)),
                last_us=int(own["received_us"].max()),
            )
        )
    return tuple(found)


def _wanted(of_units: pd.DataFrame, weights: Mapping[int, float]) -> npt.NDArray[np.int64]:
    """The version that the bucket of each unit belongs to."""
    if len(weights) == 1:
        return np.full(len(of_units), next(iter(weights)), dtype=np.int64)
    by_bucket = {bucket: pick(weights, bucket)[0] for bucket in set(of_units["bucket"].tolist())}
    return np.array([by_bucket[bucket] for bucket in of_units["bucket"].tolist()], dtype=np.int64)
