"""Rows beside the holdout: days out of the feature tables, cases out of a landed file."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.features import History, RequestField, feature_values, request_fields
from ml_release.errors import InputError, RefusedError
from ml_release.workflows.columns import columns_of, days_of, floats_of, values_of
from ml_release.workflows.feature_building import FEATURES_TABLE, require_current_features
from ml_release.workflows.holdout_answers import Holdout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from ml_release.domain.evaluation_sets import FileSet
    from ml_release.domain.features import FieldType
    from ml_release.domain.identity import SnapshotId
    from ml_release.ports import EvidenceStore, Landing, Tables
    from ml_release.spec.release_line import ReleaseLine


def features_of_days(
    line: ReleaseLine, first: str, last: str, *, tables: Tables, evidence: EvidenceStore
) -> tuple[SnapshotId, ...]:
    """The features of every month that the days from ``first`` to ``last`` touch.

    Raises
    ------
    RefusedError
        If there are none of a month, or they are not current and fit.
    """
    current = {s.partition: s for s in tables.current(line.name, FEATURES_TABLE)}
    wanted = line.landing.between(first[:7], last[:7])
    missing = [name for name in wanted if name not in current]
    if missing:
        message = (
            f"expected features of {list(wanted)}, found none of {missing}. Materialize"
            f" {line.name}/snapshot and {line.name}/features for them"
        )
        raise RefusedError(message)
    for name in wanted:
        require_current_features(
            line, current[name], tables=tables, evidence=evidence, act="judging on a set of days"
        )
    return tuple(current[name] for name in wanted)


def rows_of_days(
    line: ReleaseLine, features: Sequence[SnapshotId], first: str, last: str, *, tables: Tables
) -> Holdout:
    """The labelled rows from ``first`` to ``last``, ISO days, both included."""
    import pandas as pd

    frame = pd.concat([tables.read(one, FEATURES_TABLE) for one in features], ignore_index=True)
    days, target = days_of(frame[line.event_day]), floats_of(frame[line.target])
    rows = Holdout(values=values_of(frame, line.features), target=target, days=days)
    inside = (days >= np.datetime64(first)) & (days <= np.datetime64(last))
    return rows.only(inside & ~np.isnan(target))


def rows_of_file(line: ReleaseLine, file: FileSet, *, landing: Landing) -> Holdout:
    """The cases of a landed file as a request would carry them, with their true labels.

    History is part of a case, as what was known at its time: a column per history feature. The
    cases have no day, so that each counts on its own.

    Raises
    ------
    NotFoundError, IntegrityError
        If the file has not arrived, or is not the one that was declared.
    InputError
        If it cannot be read, lacks a column, or holds a value that is none of its column.
    """
    frame = landing.read_file(file.path, digest=file.digest)
    fields = (
        *request_fields(line.features),
        *(
            RequestField(name=feature.name, type="number", nullable=True)
            for feature in line.features
            if isinstance(feature, History)
        ),
        RequestField(name=line.target, type="number", nullable=False),
    )
    known = [field for field in fields if field.name in frame.columns]
    if len(known) < len(fields):
        missing = [field.name for field in fields if field not in known]
        message = (
            f"{file.path}: expected the columns {[field.name for field in fields]}, found none of"
            f" {missing}"
        )
        raise InputError(message)
    typed = frame.assign(
        **{
            field.name: _typed(file.path, frame[field.name], field.type, nullable=field.nullable)
            for field in fields
        }
    )
    columns = columns_of(typed, fields, subject=file.path)
    target = columns.pop(line.target).astype(np.float64)
    if line.task == "classification" and not np.isin(target, (0.0, 1.0)).all():
        row = int(np.flatnonzero(~np.isin(target, (0.0, 1.0)))[0])
        message = (
            f"{file.path}: expected 0 or 1 in {line.target}, found {target[row]:g} in row {row + 1}"
        )
        raise InputError(message)
    return Holdout(
        values=feature_values(line.features, columns),
        target=target,
        days=np.full(len(target), np.datetime64("NaT"), dtype="datetime64[D]"),
    )


def _typed(path: str, column: pd.Series, kind: FieldType, *, nullable: bool) -> pd.Series:
    """The values of a column in its type: those of a CSV file are words.

    Raises
    ------
    InputError
        At the first value that is none, by its row, counted from 1.
    """
    import pandas as pd

    if kind == "number":
        found = pd.to_numeric(column, errors="coerce").astype("float64")
        good = np.isfinite(found.to_numpy())
    elif kind == "timestamp":
        moments = [_local_time(value) for value in column]
        found = pd.Series(moments, index=column.index, dtype="datetime64[us]")
        good = found.notna().to_numpy()
    else:
        found = column.astype("string").astype(object)
        good = column.notna().to_numpy()
    bad = np.flatnonzero(~good & ~(column.isna().to_numpy() & nullable))
    if len(bad):
        message = (
            f"{path}: expected {_EXPECTED[kind]} in {column.name}, found"
            f" {column.tolist()[bad[0]]!r} in row {bad[0] + 1}"
        )
        raise InputError(message)
    return found


def _local_time(value: object) -> datetime | None:
    """A time without a zone, None if it is none."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo is None else None


_EXPECTED: Mapping[FieldType, str] = {
    "number": "a finite number",
    "string": "a word",
    "timestamp": "a local time as 2013-04-03T17:40:00",
}
