"""Gather late labels from every source into one table, joined to the requests they are about.

What was gathered stands: a later label of the same request adds nothing and takes nothing away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.identity import canonical_json, digest_of_json
from ml_release.domain.label_counts import LabelsRecord, labels_from_json
from ml_release.domain.label_maturity import Maturity, judge_labels, label_maturity
from ml_release.workflows.label_settling import (
    a_contradiction,
    count_fates,
    label_rows,
    settle,
)
from ml_release.workflows.label_sources import (
    SOURCES,
    told_by_files,
    told_by_route,
    told_by_snapshots,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.identity import SnapshotId
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import EvidenceStore, InferenceLog, Landing, Plotter, Tables
    from ml_release.spec.release_line import ReleaseLine

LABELS_TABLE = "labels"
LABELS_RECORD = "labels"
LABEL_VERDICT = "label_verdict"
_SECONDS_PER_DAY = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsGathered:
    """The labels table after a gathering, and what was found on the way.

    Attributes
    ----------
    partitions
        Current partitions of the table, by local month of the event.
    per_source
        One row per source: labels in the table that it told first, and its `LabelCounts`.
    held_back
        Why a month's snapshot told nothing, by month.
    files
        Why a label file told nothing, by the path of each that has landed; empty for one that was
        read.
    """

    record: LabelsRecord
    partitions: tuple[SnapshotId, ...]
    per_source: pd.DataFrame
    held_back: Mapping[str, str]
    files: Mapping[str, str]
    maturity: Maturity
    verdict: Verdict
    plots: Mapping[str, bytes]

    @property
    def unreadable(self) -> dict[str, str]:
        """Of the files, those that could not be read."""
        return {path: reason for path, reason in self.files.items() if reason}


def gather_labels(
    line: ReleaseLine,
    *,
    environment: str,
    inference_log: InferenceLog,
    landing: Landing,
    tables: Tables,
    evidence: EvidenceStore,
    plotter: Plotter,
    now: datetime,
) -> LabelsGathered:
    """Hear every source, keep what is new, judge and record it; the same again keeps nothing new.

    A label is kept if it is 0 or 1, of a served request, and known between its event and now. Every
    source is heard from its beginning, so that a label whose request was not there yet is found
    later, and one that another gathering overwrote at the same moment is found again; so are those
    of a file that could not be read, once it is mended.

    Raises
    ------
    IntegrityError
        If a partition of the table was edited.
    """
    import pandas as pd

    requests = inference_log.asked(line.name)
    months = set(_months(line, requests))
    outcomes, held_back = told_by_snapshots(line, months, tables=tables, evidence=evidence)
    route = told_by_route(line, inference_log=inference_log)
    filed, files = told_by_files(line, landing=landing)
    told = pd.concat([route, filed, outcomes], ignore_index=True)
    standing = _standing(line, tables=tables)
    kept = label_rows(*standing.values())
    settled = settle(told, kept, requests, now=now)
    new = settled[settled["fate"] == "gathered"]
    _keep(line, new, standing, tables=tables)

    labels = label_rows(kept, new)
    partitions = tables.current(line.name, LABELS_TABLE)
    record = LabelsRecord(
        line=line.name,
        labels=len(labels),
        contradicted=settled.loc[settled["fate"] == "contradicting", "request_id"].nunique(),
        digest=digest_of_json({p.partition: p.digest for p in partitions}) if partitions else None,
        sources={name: count_fates(settled[settled["source"] == name]) for name in SOURCES},
    )
    content = canonical_json(record.model_dump(mode="json"))
    digest = evidence.record(line.name, LABELS_RECORD, environment, content)
    maturity = _maturity(line, requests, labels, now=now)
    verdict = judge_labels(
        record,
        maturity,
        line.policies.labels,
        files=files if has_files(line) else None,
        example=a_contradiction(settled),
        subject_digest=digest,
    )
    evidence.record(line.name, LABEL_VERDICT, environment, verdict.to_json())
    return LabelsGathered(
        record=record,
        partitions=partitions,
        per_source=pd.DataFrame(
            [
                {
                    "source": name,
                    "in the table": int((labels["source"] == name).sum()),
                    **counts.model_dump(),
                }
                for name, counts in record.sources.items()
            ]
        ),
        held_back=held_back,
        files=files,
        maturity=maturity,
        verdict=verdict,
        plots={"maturity.png": plotter.maturity(maturity)} if maturity.requests else {},
    )


def has_files(line: ReleaseLine) -> bool:
    """Whether the line declares label files."""
    return line.labels is not None and line.labels.files is not None


def gathered_labels(line: ReleaseLine, *, tables: Tables) -> pd.DataFrame:
    """All labels that were gathered, one row per request; `label_settling.COLUMNS` are its columns.

    Raises
    ------
    IntegrityError
        If a partition of the table was edited.
    """
    return label_rows(*_standing(line, tables=tables).values())


def newest_labels(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> LabelsRecord | None:
    """The record of the last gathering, None if there is none; `IntegrityError` if edited."""
    content = evidence.find(line.name, LABELS_RECORD, environment)
    return None if content is None else labels_from_json(content)


def _months(line: ReleaseLine, rows: pd.DataFrame) -> pd.Series:
    months: pd.Series = rows["event_time"].dt.tz_convert(line.time_zone).dt.strftime("%Y-%m")
    return months


def _standing(line: ReleaseLine, *, tables: Tables) -> dict[str, pd.DataFrame]:
    """Rows of the labels table by partition."""
    return {
        snapshot.partition: tables.read(snapshot, LABELS_TABLE)
        for snapshot in tables.current(line.name, LABELS_TABLE)
    }


def _keep(
    line: ReleaseLine, new: pd.DataFrame, standing: Mapping[str, pd.DataFrame], *, tables: Tables
) -> None:
    """Add rows to the partitions of their months, one commit each; other partitions stay."""
    for name, rows in new.groupby(_months(line, new)):
        month = str(name)
        before = (standing[month],) if month in standing else ()
        merged = label_rows(*before, rows)
        # In an order of its own, so that equal labels have an equal digest however they came.
        merged = merged.sort_values("request_id", kind="stable", ignore_index=True)
        tables.write(line.name, LABELS_TABLE, month, merged)


def _maturity(
    line: ReleaseLine, requests: pd.DataFrame, labels: pd.DataFrame, *, now: datetime
) -> Maturity:
    known = requests.merge(labels[["request_id", "known_at"]], on="request_id", how="left")
    return label_maturity(
        _moments(known["event_time"]),
        _moments(known["known_at"]),
        now=now,
        delay_days=line.label_delay.total_seconds() / _SECONDS_PER_DAY,
        policy=line.policies.labels,
    )


def _moments(column: pd.Series) -> npt.NDArray[np.datetime64]:
    naive = column.dt.tz_convert("UTC").dt.tz_localize(None)
    moments: npt.NDArray[np.datetime64] = naive.to_numpy(dtype="datetime64[us]")
    return moments
