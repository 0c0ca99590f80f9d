"""Sample the text columns of landed rows, for a version and to compare with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.text_reference import (
    TEXT_FILE,
    TextReference,
    TextSample,
    TextSampler,
)
from ml_release.errors import InputError
from ml_release.workflows.snapshots import SNAPSHOT_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from ml_release.domain.identity import SnapshotId
    from ml_release.ports import Tables
    from ml_release.spec.release_line import ReleaseLine

_ROWS_PER_BATCH = 50_000


def text_files(
    line: ReleaseLine, snapshots: Iterable[SnapshotId], *, tables: Tables
) -> dict[str, bytes]:
    """The file of an artefact with the texts of its window; none for a line without text columns.

    Parameters
    ----------
    snapshots
        Of the training window, lookback left out.

    Raises
    ------
    InputError
        If a snapshot lacks a declared text column.
    """
    if not line.text_columns:
        return {}
    samples = sampled_texts(
        line, snapshots, tables=tables, rows=line.policies.text_drift.sample_rows
    )
    return {TEXT_FILE: TextReference(line=line.name, columns=samples).to_json()}


def sampled_texts(
    line: ReleaseLine, snapshots: Iterable[SnapshotId], *, tables: Tables, rows: int
) -> dict[str, TextSample]:
    """A sample of every text column; `InputError` as `text_files`."""
    policy = line.policies.text_drift
    samplers = {
        column: TextSampler(rows=rows, characters=policy.characters) for column in line.text_columns
    }
    for snapshot in snapshots:
        for batch in tables.scan(snapshot, SNAPSHOT_TABLE, rows_per_batch=_ROWS_PER_BATCH):
            _require_columns(line, batch, snapshot)
            keys = _keys(line, batch)
            for column, sampler in samplers.items():
                sampler.add(snapshot.partition, zip(keys, _texts(batch[column]), strict=True))
    return {column: sampler.sample() for column, sampler in samplers.items()}


def _require_columns(line: ReleaseLine, batch: pd.DataFrame, snapshot: SnapshotId) -> None:
    missing = [name for name in line.text_columns if name not in batch.columns]
    if missing:
        message = (
            f"{line.name} snapshot {snapshot.partition}: expected the text columns"
            f" {list(line.text_columns)}, found none of {missing}. Let the line's assemble function"
            " keep them, or take them out of text_columns."
        )
        raise InputError(message)


def _keys(line: ReleaseLine, batch: pd.DataFrame) -> list[str]:
    columns = [batch[key].astype(str).tolist() for key in line.keys]
    return ["\0".join(parts) for parts in zip(*columns, strict=True)]


def _texts(column: pd.Series) -> Iterator[str | None]:
    for value, known in zip(column.tolist(), column.notna().tolist(), strict=True):
        yield str(value) if known else None
