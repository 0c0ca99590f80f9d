"""What each source tells of late labels, in one form, judged by nobody yet.

The form is a frame with one row per telling: ``request_id``, missing where it is not stated;
``label`` as float64, NaN where it is no number; ``known_at`` as datetime64 in UTC, NaT where it is
not stated; ``source``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.errors import InputError, IntegrityError, RefusedError
from ml_release.spec.landing_source import LandingSource
from ml_release.workflows.replay import request_ids
from ml_release.workflows.snapshots import SNAPSHOT_TABLE, require_fit_snapshot

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd

    from ml_release.ports import EvidenceStore, InferenceLog, Landing, Tables
    from ml_release.spec.label_source import LabelSource
    from ml_release.spec.release_line import ReleaseLine

ROUTE, FILES, SNAPSHOTS = "route", "files", "snapshots"
SOURCES = (ROUTE, FILES, SNAPSHOTS)
"""In the order in which they are heard: of one gathering, the first that tells a label stands."""


def told_by_route(line: ReleaseLine, *, inference_log: InferenceLog) -> pd.DataFrame:
    """Labels told to the endpoint server, in the order in which they came in.

    Such a label was known when its client says, and not after it came in.
    """
    labels = inference_log.labels(line.name)
    known_at = labels["event_time"].where(
        labels["event_time"] <= labels["received_time"], labels["received_time"]
    )
    return _told(labels["request_id"], labels["label"], known_at, source=ROUTE)


def told_by_files(line: ReleaseLine, *, landing: Landing) -> tuple[pd.DataFrame, dict[str, str]]:
    """Labels of the landed files, partition after partition; nothing where none are declared.

    Returns
    -------
    pandas.DataFrame
        A file that cannot be read, or lacks a column, tells nothing.
    dict
        Why, by the path of every file that has landed; empty for one that was read.
    """
    import pandas as pd

    source = line.labels
    found, files = [], {}
    if source is not None and source.files is not None:
        # Labels of the last month may arrive in a later one, so the files go on.
        landed = LandingSource(rows=source.files, first_partition=line.landing.first_partition)
        wanted = source.columns(line.keys)
        for partition in landing.partitions(landed):
            path = source.files.replace("{partition}", partition)
            try:
                rows = landing.read(landed, partition)["rows"]
            except InputError as error:
                files[path] = str(error)
                continue
            files[path] = ""
            if set(wanted) <= set(rows.columns):
                found.append(_told_by_file(line, source, rows))
            else:
                files[path] = (
                    f"{path}: expected the columns {list(wanted)}, found"
                    f" {[str(column) for column in rows.columns]}. Mend the file, or the columns"
                    " in the line's labels."
                )
    return (pd.concat(found, ignore_index=True) if found else _nothing(FILES)), files


def told_by_snapshots(
    line: ReleaseLine, months: Collection[str], *, tables: Tables, evidence: EvidenceStore
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Outcomes in the current snapshots of some months; nothing where that is not declared.

    Returns
    -------
    pandas.DataFrame
        Rows without an outcome tell nothing.
    dict
        Why a month tells nothing although it has a snapshot: that is not fit, or was edited.
    """
    import pandas as pd

    found, held_back = [], {}
    if line.labels is not None and line.labels.from_snapshots:
        for snapshot in tables.current(line.name, SNAPSHOT_TABLE):
            if snapshot.partition not in months:
                continue
            try:
                require_fit_snapshot(
                    line,
                    partition=snapshot.partition,
                    digest=snapshot.digest,
                    evidence=evidence,
                    act="taking labels",
                )
                rows = tables.read(snapshot, SNAPSHOT_TABLE)
            except (RefusedError, IntegrityError) as error:
                held_back[snapshot.partition] = str(error)
                continue
            rows = rows[rows[line.target].notna()]
            found.append(
                _told(
                    pd.Series(request_ids(line, rows), index=rows.index, dtype=object),
                    rows[line.target],
                    rows[line.event_time] + line.label_delay,
                    source=SNAPSHOTS,
                )
            )
    return (pd.concat(found, ignore_index=True) if found else _nothing(SNAPSHOTS)), held_back


def _told_by_file(line: ReleaseLine, source: LabelSource, rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    if source.request_id_column is not None:
        column = rows[source.request_id_column]
        ids = column.astype("string").astype(object)
    else:
        keys = rows[list(line.keys)]
        if line.event_time in line.keys:
            keys = keys.assign(**{line.event_time: _moments(rows[line.event_time])})
        ids = pd.Series(request_ids(line, keys), index=rows.index, dtype=object)
        ids = ids.where(keys.notna().all(axis=1))
    return _told(ids, rows[source.label_column], _moments(rows[source.known_at_column]), FILES)


def _moments(column: pd.Series) -> pd.Series:
    """Times in UTC, NaT for what is no time."""
    import pandas as pd

    if not pd.api.types.is_datetime64_any_dtype(column):
        column = column.astype("string")
    moments: pd.Series = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    return moments.astype("datetime64[us, UTC]")


def _told(
    request_id: pd.Series, label: pd.Series, known_at: pd.Series, source: str
) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "request_id": request_id.astype(object),
            "label": pd.to_numeric(label, errors="coerce").astype("float64"),
            "known_at": known_at.astype("datetime64[us, UTC]"),
            "source": source,
        }
    )


def _nothing(source: str) -> pd.DataFrame:
    import pandas as pd

    nothing = pd.Series([], dtype=object)
    return _told(nothing, nothing, pd.to_datetime(nothing, utc=True), source)
