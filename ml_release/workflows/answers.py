"""Carry answers and their late labels from the log and the labels table to where they are read.

Only what is new is read of the log. Of the labels table only the months are read that have changed
since, each whole: a month is replaced as a whole, and its digest is over all of its rows. Of those
rows only the labels that are waited for are taken any further.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.answers import AnswerProgress, AnswerTable, NewLabels
from ml_release.domain.identity import canonical_json
from ml_release.errors import IntegrityError, StaleWriteError
from ml_release.workflows.due_days import local_day
from ml_release.workflows.labels import LABELS_TABLE

if TYPE_CHECKING:
    import pandas as pd

    from ml_release.domain.answers import Integers
    from ml_release.domain.identity import SnapshotId
    from ml_release.ports import AnswerStore, InferenceLog, Tables
    from ml_release.spec.release_line import ReleaseLine

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvancedAnswers:
    """What one reading has found.

    Attributes
    ----------
    records, labels
        New records of the log, whoever answered; and labels that were waited for.
    months
        Months of the labels table that were read, since they have changed.
    torn
        Lines of the log that nobody can read.
    recounted
        Why everything was read from its beginning; empty if it was not.
    """

    records: int
    labels: int
    months: int
    torn: int
    recounted: str = ""


def advance_answers(
    line: ReleaseLine,
    *,
    environment: str,
    inference_log: InferenceLog,
    tables: Tables,
    answers: AnswerStore,
    now: datetime,
) -> AdvancedAnswers:
    """Read what is new and keep it, in one step; what is kept and cannot be trusted is read anew.

    Answers are those that somebody got: no shadows and no failures, of a batch the first row, since
    its rows share one label. What is older than ``performance.keep_days`` is forgotten, counted
    back from the newest event, and so is what came in longer ago than the line keeps its records.

    Raises
    ------
    IntegrityError
        If a month of the labels table was edited; nothing is kept then.
    StaleWriteError
        If others kept counting at the same moment.
    """
    recounted = ""
    for attempt in range(_ATTEMPTS):
        try:
            before = answers.progress(line.name, environment)
            waiting = answers.waiting(line.name, environment)
        except IntegrityError as error:
            answers.clear(line.name, environment)
            recounted = str(error)
            continue
        # Asked before the log: a label stands there only if its request was in the log already.
        partitions = tables.current(line.name, LABELS_TABLE)
        records, cursor = inference_log.records(line.name, after=before.log)
        found = answers_of(line, records)
        changed = [one for one in partitions if before.labels.get(one.partition) != one.digest]
        labels = _labels_of(changed, waiting.union(found.request_id.tolist()), tables=tables)
        try:
            answers.add(
                line.name,
                environment,
                answers=found,
                labels=labels,
                progress=AnswerProgress(
                    log=cursor, labels={one.partition: one.digest for one in partitions}
                ),
                expected=before,
                keep_from=_keep_from(line, found, now=now),
                received_from_us=_received_from_us(line, now=now),
            )
        except StaleWriteError:
            # What the other one has kept need not be read again.
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        return AdvancedAnswers(
            records=len(records),
            labels=len(labels),
            months=len(changed),
            torn=int(records.attrs.get("torn_lines", 0)),
            recounted=recounted,
        )
    message = (
        f"answers of {line.name} in {environment}: what was just counted cannot be read"
        f" ({recounted})"
    )
    raise IntegrityError(message)


def answers_of(line: ReleaseLine, records: pd.DataFrame) -> AnswerTable:
    """The answers among some records of the inference log, in the order of the records.

    Slice values are those that were logged: a masked one stays masked, and a column that is no
    feature of the model is not known.
    """
    kept = records[
        (records["row"] == 0) & ~records["shadow"] & (records["outcome"] != "error")
    ].drop_duplicates("request_id")
    columns = tuple(dict.fromkeys((*line.slices, *line.sensitive)))
    n = len(kept)
    days = kept["event_time"].dt.tz_convert(line.time_zone).dt.tz_localize(None)
    return AnswerTable(
        request_id=kept["request_id"].to_numpy(dtype=np.object_),
        model_digest=kept["model_digest"].to_numpy(dtype=np.object_),
        day=_ordinals(days),
        event_us=_microseconds(kept["event_time"]),
        received_us=_microseconds(kept["received_time"]),
        prediction=kept["prediction"].to_numpy(dtype=np.float64),
        decision=kept["decision"].to_numpy(dtype=np.float64, na_value=np.nan),
        slices=_slices(list(kept["features"]), columns),
        label=np.full(n, np.nan),
        label_received_us=np.full(n, -1, dtype=np.int64),
    )


def _slices(
    features: list[dict[str, str | float | None]], columns: tuple[str, ...]
) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    written = np.empty(len(features), dtype=np.object_)
    known: dict[tuple[str | float | None, ...], str] = {}
    for row, values in enumerate(features):
        own = tuple(values.get(name) for name in columns)
        if own not in known:
            known[own] = canonical_json(dict(zip(columns, own, strict=True))).decode()
        written[row] = known[own]
    return written


def _labels_of(
    partitions: list[SnapshotId], waiting: frozenset[str], *, tables: Tables
) -> NewLabels:
    import pandas as pd

    found = []
    for one in partitions:
        rows = tables.read(one, LABELS_TABLE)
        found.append(rows[rows["request_id"].isin(waiting)])
    if not found:
        return NewLabels.none()
    rows = pd.concat(found, ignore_index=True)
    return NewLabels(
        request_id=rows["request_id"].to_numpy(dtype=np.object_),
        label=rows["label"].to_numpy(dtype=np.int64),
        received_us=_microseconds(rows["known_at"]),
    )


def _keep_from(line: ReleaseLine, found: AnswerTable, *, now: datetime) -> date:
    """First day that is kept: no event from after now makes the others old."""
    today = local_day(line, now).toordinal()
    past = found.day[found.day <= today]
    if not len(past):
        return date.min
    return date.fromordinal(max(1, int(past.max()) - line.policies.performance.keep_days + 1))


def _received_from_us(line: ReleaseLine, *, now: datetime) -> int:
    retention = line.policies.retention
    if retention is None:
        return 0
    moment = now.astimezone(UTC) - timedelta(days=retention.records_days)
    return int(moment.timestamp() * 1_000_000)


def _microseconds(moments: pd.Series) -> Integers:
    whole = moments.astype("datetime64[us, UTC]").astype("int64")
    return np.asarray(whole, dtype=np.int64)


def _ordinals(moments: pd.Series) -> Integers:
    """Proleptic ordinals of local moments."""
    days: Integers = moments.to_numpy(dtype="datetime64[D]").astype(np.int64)
    days += date(1970, 1, 1).toordinal()
    return days
