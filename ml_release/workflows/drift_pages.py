"""Compare rows of the newest window with rows of the training data, on a page for a person.

The page decides nothing; the drift judge reads counts of all rows. It is made from samples, once
per day of the window: making it costs seconds, and an hour later it would say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ml_release.domain.identity import canonical_json, digest_of_bytes
from ml_release.domain.inference import feature_columns
from ml_release.domain.performance import window_from_json, window_start
from ml_release.domain.provenance import CandidateRecord, record_from_json
from ml_release.errors import InputError, IntegrityError
from ml_release.workflows.columns import days_of, values_of
from ml_release.workflows.feature_building import FEATURES_TABLE
from ml_release.workflows.masked import masked_features
from ml_release.workflows.monitoring import INFERENCE_WINDOW
from ml_release.workflows.training import CANDIDATE

if TYPE_CHECKING:
    import pandas as pd

    from ml_release.domain.performance import WindowRecord
    from ml_release.ports import (
        DriftPages,
        EvidenceStore,
        InferenceLog,
        ModelStore,
        ReportWriter,
        Tables,
    )
    from ml_release.spec.release_line import ReleaseLine

PAGE = "drift-comparison.html"
DRIFT_PAGE = "drift_page"
MOST_ROWS = 10_000
"""Of either side."""

_ROWS_PER_BATCH = 50_000
_SEED = 0


class DriftPageRecord(BaseModel):
    """What a page was made of; ``problem`` says why there is none, and is empty if there is one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_digest: str
    as_of: str
    place: str = ""
    page_digest: str = ""
    reference_rows: int = 0
    current_rows: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRows:
    """A page, and whether it was made now; the one of before stands as long as its day does."""

    record: DriftPageRecord
    is_new: bool


def compare_rows(
    line: ReleaseLine,
    *,
    environment: str,
    models: ModelStore,
    evidence: EvidenceStore,
    inference_log: InferenceLog,
    tables: Tables,
    pages: DriftPages,
    reports: ReportWriter,
    now: datetime,
) -> ComparedRows | None:
    """Write the page of the newest window, unless one of the same day and version is there.

    None if no window with an answer was recorded. Masked features are left out. Training data that
    is not kept any more, or a window whose records are gone, gives a record that says so.
    """
    content = evidence.find(line.name, INFERENCE_WINDOW, environment)
    window = None if content is None else window_from_json(content)
    if window is None or window.model_digest is None or window.as_of is None:
        return None
    made = _recorded(line, environment=environment, evidence=evidence)
    of_now = (window.model_digest, window.as_of.isoformat())
    if made is not None and (made.model_digest, made.as_of) == of_now:
        return ComparedRows(record=made, is_new=False)
    masked = masked_features(models.read(window.model_digest))
    reference = _reference(line, window.model_digest, evidence=evidence, tables=tables)
    current = _current(line, window, inference_log=inference_log, now=now)
    record = DriftPageRecord(
        model_digest=of_now[0],
        as_of=of_now[1],
        reference_rows=len(reference),
        current_rows=len(current),
    )
    title = f"{line.name} version {window.version}: window to {window.as_of} beside training data"
    try:
        page = pages.page(
            reference.drop(columns=list(masked), errors="ignore"),
            current.drop(columns=list(masked), errors="ignore"),
            title=title,
        )
        place = reports.keep(line.name, PAGE, page)
        record = record.model_copy(update={"place": place, "page_digest": digest_of_bytes(page)})
    except InputError as error:
        record = record.model_copy(update={"problem": str(error)})
    document = canonical_json(record.model_dump(mode="json"))
    evidence.record(line.name, DRIFT_PAGE, environment, document)
    return ComparedRows(record=record, is_new=True)


def compared_rows(line: ReleaseLine, *, environment: str, evidence: EvidenceStore) -> str | None:
    """Where the newest page is; None if there is none."""
    made = _recorded(line, environment=environment, evidence=evidence)
    return None if made is None else made.place or None


def _recorded(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> DriftPageRecord | None:
    """None too if the record cannot be trusted: the page is then made again."""
    try:
        content = evidence.find(line.name, DRIFT_PAGE, environment)
        return None if content is None else DriftPageRecord.model_validate_json(content)
    except (IntegrityError, ValidationError):
        return None


def _reference(
    line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore, tables: Tables
) -> pd.DataFrame:
    """A sample of the rows the version was trained on, of the partitions that are kept."""
    import pandas as pd

    content = evidence.find(line.name, CANDIDATE, model_digest)
    if content is None:
        return pd.DataFrame()
    candidate = record_from_json(CandidateRecord, content)
    kept = [
        snapshot
        for snapshot in tables.current(line.name, FEATURES_TABLE)
        if candidate.partitions.get(snapshot.partition) == snapshot.digest
    ]
    sample = _Sample()
    for snapshot in kept:
        rows = tables.read(snapshot, FEATURES_TABLE)
        days = days_of(rows[line.event_day])
        ends = np.array([candidate.window_from, candidate.window_to], dtype="datetime64[D]")
        rows = rows[(days >= ends[0]) & (days <= ends[1])]
        sample.add(pd.DataFrame(values_of(rows, line.features)))
    return sample.rows()


def _current(
    line: ReleaseLine, window: WindowRecord, *, inference_log: InferenceLog, now: datetime
) -> pd.DataFrame:
    """A sample of the window's answered rows.

    What happened in the window came in since it began, so that nothing older is read.
    """
    import pandas as pd

    assert window.as_of is not None  # noqa: S101 (for the type checker: a window of no day ends before)
    zone = ZoneInfo(line.time_zone)
    first = window_start(window.as_of, days=max(1, window.days))
    since = datetime.combine(first, time.min, tzinfo=zone).astimezone(UTC)
    until = datetime.combine(window.as_of + timedelta(days=1), time.min, tzinfo=zone)
    sample = _Sample()
    for records in inference_log.between(
        line.name, since, now + timedelta(seconds=1), rows_per_batch=_ROWS_PER_BATCH
    ):
        chosen = records[
            (records["model_digest"] == window.model_digest)
            & ~records["shadow"]
            & (records["outcome"] != "error")
            & (records["event_time"] >= since)
            & (records["event_time"] < until)
        ]
        if len(chosen):
            sample.add(pd.DataFrame(feature_columns(list(chosen["features"]))))
    return sample.rows()


class _Sample:
    """At most `MOST_ROWS` rows of all that are added, each with the same chance."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(_SEED)
        self._parts: list[pd.DataFrame] = []
        self._keys: list[np.ndarray] = []

    def add(self, rows: pd.DataFrame) -> None:
        """One batch; a row stays if its random key is among the smallest of all so far."""
        import pandas as pd

        self._parts.append(rows)
        self._keys.append(self._generator.random(len(rows)))
        keys = np.concatenate(self._keys)
        if len(keys) > MOST_ROWS:
            kept = np.sort(np.argpartition(keys, MOST_ROWS)[:MOST_ROWS])
            together = pd.concat(self._parts, ignore_index=True)
            self._parts, self._keys = [together.iloc[kept]], [keys[kept]]

    def rows(self) -> pd.DataFrame:
        """What stayed; no columns if nothing was added."""
        import pandas as pd

        return pd.concat(self._parts, ignore_index=True) if self._parts else pd.DataFrame()
