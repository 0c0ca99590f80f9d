"""Sort what was told of labels: which rows are kept, and what becomes of every other one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.label_counts import LabelCounts

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

COLUMNS = {
    "request_id": "object",
    "label": "int64",
    "event_time": "datetime64[us, UTC]",
    "known_at": "datetime64[us, UTC]",
    "source": "object",
}
"""Columns of the labels table: one row per request, the event time as the request stated it."""


def settle(
    told: pd.DataFrame, kept: pd.DataFrame, requests: pd.DataFrame, *, now: datetime
) -> pd.DataFrame:
    """Every telling with its fate.

    What was kept stands, then what was told first.

    Parameters
    ----------
    told
        As the module `label_sources` makes it, in the order in which it is heard.
    kept
        Rows of the labels table, with `COLUMNS`.
    requests
        ``request_id`` and ``event_time``, one row per served request.

    Returns
    -------
    pandas.DataFrame
        The rows of ``told`` with ``event_time`` (NaT if unknown), ``stands``, the label that stands
        for the request (NaN if none), and ``fate``, a field of `LabelCounts`.
    """
    import numpy as np
    import pandas as pd

    event_times = requests.set_index("request_id")["event_time"]
    rows = told.assign(event_time=told["request_id"].map(event_times).astype("datetime64[us, UTC]"))
    is_label = rows["label"].isin([0.0, 1.0])
    is_stated = is_label & rows["request_id"].notna() & rows["known_at"].notna()
    problems = [
        ~is_stated,
        rows["event_time"].isna(),
        rows["known_at"] < rows["event_time"],
        rows["known_at"] > pd.Timestamp(now),
    ]
    names = ["unusable", "unknown", "early", "not_due"]
    usable = rows[~np.logical_or.reduce(problems)]
    pairs = pd.concat([kept[["request_id", "label"]], usable[["request_id", "label"]]])
    first = pairs.drop_duplicates("request_id").set_index("request_id")["label"]
    stands = rows["request_id"].map(first).astype("float64")
    is_repeated = usable.duplicated("request_id") | usable["request_id"].isin(kept["request_id"])
    repeated = is_repeated.reindex(rows.index, fill_value=False)
    fate = np.select(
        [*problems, rows["label"] != stands, repeated],
        [*names, "contradicting", "repeated"],
        default="gathered",
    )
    return rows.assign(stands=stands, fate=fate)


def count_fates(settled: pd.DataFrame) -> LabelCounts:
    """How many rows met each fate."""
    counts = {str(fate): int(n) for fate, n in settled["fate"].value_counts().items()}
    return LabelCounts(told=len(settled), **counts)


def a_contradiction(settled: pd.DataFrame) -> str:
    """One contradiction in words, empty without any."""
    against = settled[settled["fate"] == "contradicting"].head(1)
    for row in against.itertuples():
        return (
            f"for example request {row.request_id}: {row.stands:.0f} stands, {row.source} tells"
            f" {row.label:.0f}"
        )
    return ""


def label_rows(*parts: pd.DataFrame) -> pd.DataFrame:
    """Rows of the labels table, typed also where there are none."""
    import pandas as pd

    nothing = pd.DataFrame({name: pd.Series([], dtype=type_) for name, type_ in COLUMNS.items()})
    filled = [part[list(COLUMNS)] for part in parts if len(part)]
    return pd.concat(filled or [nothing], ignore_index=True).astype(COLUMNS)
