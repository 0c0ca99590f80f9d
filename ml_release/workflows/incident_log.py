"""What the inference log holds of a version that was taken back, and the same rows asked again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.blast_radius import FAILED, Answers, BlastRadius, measure
from ml_release.domain.incident_impact import SHADOW, Impact, StageCounts
from ml_release.domain.inference import feature_columns
from ml_release.workflows.columns import floats_of
from ml_release.workflows.shadow_pairing import slice_columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.answering import LoadedModel
    from ml_release.domain.decision_costs import DecisionCosts
    from ml_release.ports import InferenceLog
    from ml_release.spec.release_line import ReleaseLine

    Floats = npt.NDArray[np.float64]

ROWS_PER_BATCH = 20_000
"""Records hold their features as mappings: so many take some 30 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which answers are looked for, and what they are held against.

    Attributes
    ----------
    routes
        Commits of the declaration that took the version back and of those after it.
    thresholds
        Commit of a declaration to the threshold of decisions it declared.
    restored
        The restored version, ready to answer; None if it cannot be asked.
    restored_threshold
        Of its decisions now; None where none are given.
    unaskable
        Why no row can be asked again; "" if it can.
    labels
        Request to its label, 0 or 1.
    """

    version: int
    model_digest: str
    since: datetime
    until: datetime
    routes: frozenset[str]
    thresholds: Mapping[str, float | None]
    restored: LoadedModel | None
    restored_threshold: float | None
    unaskable: str = ""
    labels: Mapping[str, float] = field(default_factory=dict)
    prices: DecisionCosts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the log shows."""

    impact: Impact
    blast: BlastRadius


def read_log(
    line: ReleaseLine,
    asked: Asked,
    *,
    inference_log: InferenceLog,
    rows_per_batch: int = ROWS_PER_BATCH,
) -> Seen:
    """Count what a version answered, and ask the restored one the same; one batch at a time.

    A request id that a client repeats after its batch counts as the further request it is.

    Raises
    ------
    IntegrityError
        If an archive of the log cannot be read.
    """
    impact, blast = Impact(), BlastRadius()
    batches = inference_log.between(
        line.name, asked.since, asked.until, rows_per_batch=rows_per_batch
    )
    for records in batches:
        impact += _impact(records, asked)
        own = records[(records["model_digest"] == asked.model_digest) & ~records["shadow"]]
        if len(own):
            blast += measure(_answers(line, own, asked), asked.prices)
    return Seen(impact=impact, blast=blast)


def _impact(records: pd.DataFrame, asked: Asked) -> Impact:
    is_own = records["model_digest"] == asked.model_digest
    assigned = records["assigned_version"].astype("Int64").fillna(0) == asked.version
    replaced = ~is_own & ~records["shadow"] & assigned & (records["outcome"] == "fallback")
    mine = records[is_own | replaced]
    stage = mine["variant"].where(~mine["shadow"], SHADOW)
    of_own = mine["model_digest"] == asked.model_digest
    first = mine["row"] == 0
    failed = of_own & (mine["outcome"] == "error")
    missing = of_own & ~failed & ~_is_answered(mine)
    stages = {
        str(name): StageCounts(
            requests=int((of_own & first)[rows.index].sum()),
            rows=int(of_own[rows.index].sum()),
            errors=int((failed & first)[rows.index].sum()),
            fallbacks=int((~of_own & first)[rows.index].sum()),
            missing=int(missing[rows.index].sum()),
        )
        for name, rows in mine.groupby(stage)
    }
    clients = mine[of_own & ~mine["shadow"]]
    signs = mine[(failed | missing | ~of_own) & ~mine["shadow"]]
    restored = records[records["route_commit"].isin(list(asked.routes)) & ~records["shadow"]]
    return Impact(
        stages=stages,
        first_request=_first(clients),
        last_request=_last(clients),
        first_shadow=_first(mine[mine["shadow"]]),
        first_sign=_first(signs),
        first_restored=_first(restored),
    )


def _is_answered(rows: pd.DataFrame) -> pd.Series:
    numbers = np.isfinite(floats_of(rows["prediction"]))
    found: pd.Series = rows["probabilities"].notna() | numbers
    return found


def _answers(line: ReleaseLine, own: pd.DataFrame, asked: Asked) -> Answers:
    served = floats_of(own["prediction"])
    problems = [_problem(*one, asked) for one in zip(own["outcome"], served, strict=True)]
    restored = _ask_again(own, problems, asked)
    thresholds = own["route_commit"].map(asked.thresholds).astype("float64").to_numpy()
    logged = floats_of(own["decision"])
    made = np.where(np.isnan(thresholds), np.nan, (served >= thresholds).astype(np.float64))
    threshold = np.nan if asked.restored_threshold is None else asked.restored_threshold
    again = np.where(np.isnan(threshold), np.nan, (restored >= threshold).astype(np.float64))
    local = own["received_time"].dt.tz_convert(line.time_zone)
    positions = own["row"].to_numpy(dtype=np.int64)
    labels = floats_of(own["request_id"].map(asked.labels).astype("float64"))
    return Answers(
        request_ids=own["request_id"].tolist(),
        positions=positions,
        days=local.dt.strftime("%Y-%m-%d").tolist(),
        slices={
            column: [_word(features, column, name) for features in own["features"]]
            for column, name in slice_columns(line).items()
        },
        served=served,
        restored=restored,
        problems=problems,
        served_yes=np.where(np.isnan(logged), np.where(np.isnan(served), np.nan, made), logged),
        restored_yes=np.where(np.isnan(restored), np.nan, again),
        # A label is told of a request; of one with several rows it is that of the first.
        labels=np.where(positions == 0, labels, np.nan),
    )


def _problem(outcome: str, served: float, asked: Asked) -> str:
    if outcome == "error":
        return FAILED
    if asked.unaskable:
        return asked.unaskable
    return "" if np.isfinite(served) else "the bad version answered with no number"


def _ask_again(own: pd.DataFrame, problems: list[str], asked: Asked) -> Floats:
    """The restored version's answers, shape (n,), NaN where it was not asked; problems are added.

    A record may lack a feature: a server of before it was logged has written it.
    """
    restored = np.full(len(own), np.nan)
    if asked.restored is None:
        return restored
    names = asked.restored.plan.names
    logged = own["features"].tolist()
    for place, features in enumerate(logged):
        lacking = [name for name in names if name not in features]
        if not problems[place] and lacking:
            problems[place] = f"not in the record: {', '.join(lacking)}"
    chosen = np.flatnonzero([not problem for problem in problems])
    if len(chosen):
        columns = feature_columns([logged[place] for place in chosen.tolist()])
        words = set(asked.restored.plan.vocabularies)
        values = {
            name: _words(columns[name]) if name in words else columns[name].astype(np.float64)
            for name in names
        }
        restored[chosen] = asked.restored.predict(values)
    return restored


def _words(column: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """A column of words; one without a single word was taken for numbers."""
    if column.dtype == object:
        return column
    return np.full(len(column), None, dtype=object)


def _word(features: Mapping[str, float | str | None], column: str, name: str) -> str | None:
    # A failed request is logged with the columns it came with.
    value = features.get(name, features.get(column))
    return None if value is None else str(value)


def _first(rows: pd.DataFrame) -> str | None:
    return None if rows.empty else rows["received_time"].min().isoformat(timespec="microseconds")


def _last(rows: pd.DataFrame) -> str | None:
    return None if rows.empty else rows["received_time"].max().isoformat(timespec="microseconds")
