"""Match what the clients got with what the shadow would have answered, by request id and row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.assignment import is_sampled
from ml_release.domain.features import Category
from ml_release.domain.shadow_tally import Half

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.shadow_tally import ShadowTally
    from ml_release.spec.release_line import ReleaseLine

SETTLE_MINUTES = 30
"""A half waits for so long, by the newest record that was read."""

WAITING_LIMIT = 50_000
"""Halves of one kind that wait at most; beyond it the oldest are given up."""

_TYPES = {
    "request_id": "object",
    "row": "int64",
    "received_time": "datetime64[us, UTC]",
    "event_time": "datetime64[us, UTC]",
    "score": "float64",
    "failed": "bool",
    "decision": "float64",
    "latency_ms": "float64",
    "slices": "object",
}
_KEY = ["request_id", "row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The halves of a tick, sorted.

    Attributes
    ----------
    pairs
        One row per pair: the columns of a half with ``_champion`` and ``_shadow`` behind them.
    waiting_champion, waiting_shadow
        Halves for a later tick.
    unanswered, orphans
        Requests of the champion, and of the shadow, that were given up.
    newest_received
        Of everything read so far; None of nothing.
    """

    pairs: pd.DataFrame
    waiting_champion: tuple[Half, ...]
    waiting_shadow: tuple[Half, ...]
    unanswered: int
    orphans: int
    newest_received: str | None


def slice_columns(line: ReleaseLine) -> dict[str, str]:
    """Column to the feature that carries its words; a slice of numbers is not told apart here."""
    return {
        feature.column: feature.name
        for column in line.slices
        for feature in line.features
        if isinstance(feature, Category) and feature.column == column
    }


def match_halves(
    tally: ShadowTally,
    records: pd.DataFrame,
    routes: Mapping[str, DeclaredState],
    *,
    slices: Mapping[str, str],
) -> Matched:
    """Pair the new records with one another and with what waits.

    A half that waits for longer than `SETTLE_MINUTES`, by the newest request that was read, is
    given up: a request of the champion then counts as not answered by the shadow, and an answer of
    the shadow for nothing. Whatever comes even later is no pair either. A request of more rows than
    shadows are asked for is never answered, and is counted so.

    Parameters
    ----------
    routes
        Declared states by commit, those of the step.
    slices
        From `slice_columns`.
    """
    import pandas as pd

    mine = records[records["route_commit"].isin(list(routes))]
    champion = mine[(mine["model_digest"] == tally.champion_digest) & ~mine["shadow"]]
    champion = champion[_is_sampled(champion, routes, tally)]
    shadow = mine[(mine["model_digest"] == tally.model_digest) & mine["shadow"]]
    first = _with_waiting(tally.waiting_champion, _halves(champion, routes, slices))
    second = _with_waiting(tally.waiting_shadow, _halves(shadow, routes, {}))
    pairs = first.merge(second, on=_KEY, suffixes=("_champion", "_shadow"))
    newest = max(
        [
            *first["received_time"],
            *second["received_time"],
            *([pd.Timestamp(tally.newest_received)] if tally.newest_received else []),
        ],
        default=None,
    )
    left, unanswered = _waiting(first, pairs, newest)
    right, orphans = _waiting(second, pairs, newest)
    return Matched(
        pairs=pairs,
        waiting_champion=left,
        waiting_shadow=right,
        unanswered=unanswered,
        orphans=orphans,
        newest_received=None if newest is None else newest.isoformat(),
    )


def _is_sampled(
    champion: pd.DataFrame, routes: Mapping[str, DeclaredState], tally: ShadowTally
) -> npt.NDArray[np.bool_]:
    """Which requests the server offers to the shadow, by the very rule it goes by."""
    percent = {
        commit: next(s.sample_percent for s in state.shadows if s.version == tally.version)
        for commit, state in routes.items()
    }
    asked = [
        is_sampled(request_id, version=tally.version, sample_percent=percent[commit])
        for request_id, commit in zip(champion["request_id"], champion["route_commit"], strict=True)
    ]
    # Without a request it would be no list of booleans.
    return np.array(asked, dtype=np.bool_)


def _halves(
    records: pd.DataFrame, routes: Mapping[str, DeclaredState], slices: Mapping[str, str]
) -> pd.DataFrame:
    """Records in the form of halves.

    A shadow's record holds no decision: it is made here, with the threshold that was declared when
    the request came in.
    """
    import pandas as pd

    thresholds = {commit: state.threshold for commit, state in routes.items()}
    threshold = records["route_commit"].map(thresholds).astype("float64")
    score = records["prediction"].astype("float64")
    decided = (score >= threshold).astype("float64")
    made = decided.where(score.notna() & threshold.notna())
    logged = records["decision"].astype("float64")
    halves = records.assign(
        score=score,
        failed=records["outcome"] == "error",
        decision=made.where(records["shadow"], logged),
    )
    words = [
        tuple(_word(features, column, name) for column, name in slices.items())
        for features in records["features"]
    ]
    halves["slices"] = pd.Series(words, index=records.index, dtype=object)
    return _typed(halves)


def _word(features: Mapping[str, float | str | None], column: str, name: str) -> str | None:
    # A failed request is logged with the columns it came with.
    value = features.get(name, features.get(column))
    return None if value is None else str(value)


def _with_waiting(waiting: Sequence[Half], halves: pd.DataFrame) -> pd.DataFrame:
    """Both, and of halves with the same key the first one."""
    import pandas as pd

    kept = pd.DataFrame(list(waiting), columns=list(Half._fields))
    for name in ("received_time", "event_time"):
        kept[name] = pd.to_datetime(kept[name], utc=True, format="ISO8601")
    parts = [part for part in (_typed(kept), halves) if len(part)] or [halves]
    return pd.concat(parts, ignore_index=True).drop_duplicates(_KEY, ignore_index=True)


def _typed(halves: pd.DataFrame) -> pd.DataFrame:
    return halves[list(_TYPES)].astype(_TYPES)


def _waiting(
    halves: pd.DataFrame, pairs: pd.DataFrame, newest: pd.Timestamp | None
) -> tuple[tuple[Half, ...], int]:
    """Halves that go on waiting, and the requests of those that are given up."""
    import pandas as pd

    merged = halves.merge(pairs[_KEY].assign(is_paired=True), on=_KEY, how="left")
    alone = halves[merged["is_paired"].isna().to_numpy()]
    if newest is None or alone.empty:
        return (), 0
    alone = alone.sort_values(["received_time", *_KEY], kind="stable", ignore_index=True)
    is_old = alone["received_time"] < newest - pd.Timedelta(minutes=SETTLE_MINUTES)
    is_old |= np.arange(len(alone)) < len(alone) - WAITING_LIMIT
    given_up = int((is_old & (alone["row"] == 0)).sum())
    kept = alone[~is_old]
    columns = [
        kept["request_id"].tolist(),
        kept["row"].tolist(),
        [moment.isoformat() for moment in kept["received_time"]],
        [moment.isoformat() for moment in kept["event_time"]],
        [_known(score) for score in kept["score"].tolist()],
        kept["failed"].tolist(),
        [None if np.isnan(one) else int(one) for one in kept["decision"].tolist()],
        kept["latency_ms"].tolist(),
        kept["slices"].tolist(),
    ]
    waiting = tuple(Half(*values) for values in zip(*columns, strict=True))
    return waiting, given_up


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
