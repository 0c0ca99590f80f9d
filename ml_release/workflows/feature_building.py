"""Build the features of one partition from snapshots that passed their gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.features import History, feature_values, request_fields
from ml_release.domain.history import latest_table, point_in_time
from ml_release.domain.identity import check_digest, digest_of_json
from ml_release.domain.provenance import FeaturesRecord, record_from_json
from ml_release.errors import RefusedError
from ml_release.workflows.columns import (
    columns_of,
    days_of,
    feature_column,
    feature_columns,
    floats_of,
)
from ml_release.workflows.quarantine import set_aside
from ml_release.workflows.snapshots import SNAPSHOT_TABLE, require_fit_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.features import Feature
    from ml_release.domain.history_table import HistoryTable
    from ml_release.domain.identity import SnapshotId
    from ml_release.ports import EvidenceStore, OnlineHistory, Tables
    from ml_release.spec.release_line import ReleaseLine

FEATURES_TABLE = "features"
FEATURES_RECORD = "features"
ONLINE_HISTORY = "online_history"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesBuilt:
    """Feature rows of one partition with their first ones and the missing share per feature."""

    features: SnapshotId
    record: FeaturesRecord
    sample: pd.DataFrame
    missing_shares: Mapping[str, float]


def build_features(
    line: ReleaseLine, partition: str, *, tables: Tables, evidence: EvidenceStore
) -> FeaturesBuilt:
    """Compute and keep the features of every row of a partition, each as of its own day.

    Raises
    ------
    RefusedError
        If a snapshot that is needed is missing or has no passing verdict.
    """
    needed = _fit(
        line,
        partition,
        tables=tables,
        evidence=evidence,
        act=f"building features of {partition}",
    )
    frame = feature_rows(line, needed, tables=tables)
    features = tables.write(line.name, FEATURES_TABLE, partition, frame)
    record = FeaturesRecord(
        line=line.name,
        partition=partition,
        features_digest=features.digest,
        snapshots={snapshot.partition: snapshot.digest for snapshot in needed},
        declaration=declaration_digest(line.features),
    )
    evidence.record(line.name, FEATURES_RECORD, features.digest, record.to_json())
    return FeaturesBuilt(
        features=features,
        record=record,
        sample=frame.head(5),
        missing_shares={
            feature.name: float(frame[feature_column(feature.name)].isna().mean())
            for feature in line.features
        },
    )


def feature_rows(
    line: ReleaseLine, needed: Sequence[SnapshotId], *, tables: Tables
) -> pd.DataFrame:
    """Features of every row of the last snapshot, each as of its own day.

    ``needed`` are the snapshots its history looks back into, in order, and itself.
    """
    rows, own = _joined(needed, tables=tables)
    values = _values(line, rows, own, subject=f"{line.name} {needed[-1].partition}")
    frame = rows.loc[own, kept_columns(line)].reset_index(drop=True)
    return frame.assign(**feature_columns(values))


def publish_online_history(
    line: ReleaseLine, *, tables: Tables, evidence: EvidenceStore, online: OnlineHistory
) -> HistoryTable | None:
    """Publish what the endpoint server looks up, as of the day after the newest good snapshot.

    A newer snapshot that is not good is passed over, so that a bad month does not keep the months
    before it from being used. None, and nothing is published, if the line declares no history
    feature or has no snapshot.

    Raises
    ------
    RefusedError
        If no snapshot is good, with those it looks back into; it says so of the newest.
    """
    histories = tuple(f for f in line.features if isinstance(f, History))
    if not histories or not tables.current(line.name, SNAPSHOT_TABLE):
        return None
    needed = _newest_fit(line, tables=tables, evidence=evidence)
    rows, _ = _joined(needed, tables=tables)
    days = days_of(rows[line.event_day])
    table = latest_table(
        histories,
        columns=columns_of(rows, request_fields(line.features), subject=line.name),
        days=days,
        target=floats_of(rows[line.target]),
        as_of=days.max() + np.timedelta64(1, "D"),
        time_zone=line.time_zone,
    )
    # First the record: a served request names the table it met, and skew is judged with it.
    evidence.record(line.name, ONLINE_HISTORY, table.digest, table.to_json())
    online.publish(line.name, table)
    return table


def require_current_features(
    line: ReleaseLine, features: SnapshotId, *, tables: Tables, evidence: EvidenceStore, act: str
) -> FeaturesRecord:
    """The record of feature rows, if all that they were built from is current and fit.

    Raises
    ------
    RefusedError
        If there is no record, a snapshot was replaced meanwhile or does not pass, or the line
        declares other features now.
    IntegrityError
        If the record is one of other feature rows.
    """
    subject = f"{act}: features of {features.partition}"
    content = evidence.find(line.name, FEATURES_RECORD, features.digest)
    if content is None:
        message = (
            f"{subject} refused: expected a record of what they were built from, found none."
            f" Materialize {line.name}/features for {features.partition} again."
        )
        raise RefusedError(message)
    record = record_from_json(FeaturesRecord, content)
    check_digest(
        f"record of features {features.partition}",
        expected=features.digest,
        found=record.features_digest,
    )
    current = {s.partition: s.digest for s in tables.current(line.name, SNAPSHOT_TABLE)}
    for partition, digest in record.snapshots.items():
        if current.get(partition) != digest:
            message = (
                f"{subject} refused: they were built from snapshot {partition} {digest[:19]},"
                f" the current one is {current.get(partition, 'none')[:19]}. Materialize"
                f" {line.name}/features for {features.partition} again."
            )
            raise RefusedError(message)
        require_fit_snapshot(line, partition=partition, digest=digest, evidence=evidence, act=act)
    _require_none_healed(line, features, record, tables=tables, evidence=evidence, act=act)
    declared = declaration_digest(line.features)
    if record.declaration != declared:
        message = (
            f"{subject} refused: they were built from the declaration {record.declaration[:19]},"
            f" the line now declares {declared[:19]}. Materialize them again."
        )
        raise RefusedError(message)
    return record


def _require_none_healed(
    line: ReleaseLine,
    features: SnapshotId,
    record: FeaturesRecord,
    *,
    tables: Tables,
    evidence: EvidenceStore,
    act: str,
) -> None:
    """Refuse features whose history did without a partition that is fit by now."""
    needed = _needed(line, features.partition, tables=tables, evidence=evidence)
    healed = sorted({snapshot.partition for snapshot in needed} - set(record.snapshots))
    if healed:
        message = (
            f"{act}: features of {features.partition} refused: their history was built without"
            f" {healed}, set aside then and not any more. Materialize {line.name}/features for"
            f" {features.partition} again."
        )
        raise RefusedError(message)


def declaration_digest(features: Sequence[Feature]) -> str:
    """Digest of the declared features."""
    return digest_of_json([feature.model_dump(mode="json") for feature in features])


def _newest_fit(
    line: ReleaseLine, *, tables: Tables, evidence: EvidenceStore
) -> tuple[SnapshotId, ...]:
    refusals = []
    for snapshot in reversed(tables.current(line.name, SNAPSHOT_TABLE)):
        try:
            return _fit(
                line,
                snapshot.partition,
                tables=tables,
                evidence=evidence,
                act="publishing the online history",
            )
        except RefusedError as error:
            refusals.append(error)
    raise refusals[0]


def _fit(
    line: ReleaseLine, partition: str, *, tables: Tables, evidence: EvidenceStore, act: str
) -> tuple[SnapshotId, ...]:
    """What `_needed` says, each with a passing verdict."""
    needed = _needed(line, partition, tables=tables, evidence=evidence)
    for snapshot in needed:
        require_fit_snapshot(
            line,
            partition=snapshot.partition,
            digest=snapshot.digest,
            evidence=evidence,
            act=act,
        )
    return needed


def _needed(
    line: ReleaseLine, partition: str, *, tables: Tables, evidence: EvidenceStore
) -> tuple[SnapshotId, ...]:
    """The partition's snapshot, last, and those before it that its history looks back into.

    Where the policy lets history do without them, earlier ones that are set aside are left out.
    """
    known = {s.partition: s for s in tables.current(line.name, SNAPSHOT_TABLE)}
    wanted = line.landing.with_earlier(partition, count=line.lookback_partitions)
    if line.policies.quarantine.history_may_lack:
        wanted = tuple(
            name
            for name in wanted
            if name == partition
            or set_aside(line, name, snapshots=known, evidence=evidence) is None
        )
    missing = [name for name in wanted if name not in known]
    if missing:
        message = (
            f"features of {line.name} {partition} refused: expected snapshots of {list(wanted)},"
            f" found none of {missing}. Materialize {line.name}/snapshot for them first."
        )
        raise RefusedError(message)
    return tuple(known[name] for name in wanted)


def _joined(
    snapshots: Sequence[SnapshotId], *, tables: Tables
) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    """All rows in order, and which of them belong to the last snapshot."""
    import pandas as pd

    frames = [tables.read(snapshot, SNAPSHOT_TABLE) for snapshot in snapshots]
    own = np.zeros(sum(map(len, frames)), dtype=np.bool_)
    own[len(own) - len(frames[-1]) :] = True
    return pd.concat(frames, ignore_index=True), own


def _values(
    line: ReleaseLine,
    rows: pd.DataFrame,
    own: npt.NDArray[np.bool_],
    *,
    subject: str,
) -> dict[str, npt.NDArray[np.generic]]:
    columns = columns_of(rows, request_fields(line.features), subject=subject)
    days = days_of(rows[line.event_day])
    target = floats_of(rows[line.target])
    arrays = {name: column[own] for name, column in columns.items()}
    for feature in line.features:
        if isinstance(feature, History):
            arrays[feature.name] = point_in_time(
                feature, columns=columns, days=days, target=target, for_rows=own
            )
    return feature_values(line.features, arrays)


def kept_columns(line: ReleaseLine) -> list[str]:
    """Columns of the snapshot that the features table carries along, as they are."""
    return list(dict.fromkeys((*line.keys, line.event_time, line.event_day, line.target)))
