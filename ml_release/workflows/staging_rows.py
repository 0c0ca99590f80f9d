"""Real rows to ask a server, with what the artefact answers to them in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.features import feature_values
from ml_release.domain.history_table import look_up
from ml_release.errors import RefusedError
from ml_release.workflows.columns import columns_of, days_of
from ml_release.workflows.model_artefact import plain_records
from ml_release.workflows.snapshots import SNAPSHOT_TABLE, require_fit_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.history_table import HistoryTable
    from ml_release.domain.identity import SnapshotId
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.ports import EvidenceStore, LoadedModel, Tables
    from ml_release.spec.release_line import ReleaseLine


@dataclass(frozen=True, slots=True, kw_only=True)
class RealRows:
    """Rows of one snapshot as a client would send them.

    Attributes
    ----------
    expected
        Per row what the artefact answers in process: one number, or one per class.
    """

    snapshot: SnapshotId
    records: tuple[Mapping[str, object], ...]
    expected: tuple[tuple[float, ...], ...]

    def body(self, *positions: int) -> bytes:
        """A request for some of the rows, in MLflow's scoring format."""
        records = [self.records[position] for position in positions]
        return json.dumps({"dataframe_records": records}, allow_nan=False).encode()


def real_rows(
    line: ReleaseLine,
    candidate: CandidateRecord,
    model: LoadedModel,
    history: HistoryTable | None,
    *,
    wanted: int,
    act: str,
    tables: Tables,
    evidence: EvidenceStore,
) -> RealRows:
    """At most ``wanted`` rows of the newest good snapshot, evenly spread over it.

    Those that the candidate was not fitted on, where there are any. A row without a value that the
    signature asks for is left out: the server would refuse it, and rightly.

    Raises
    ------
    RefusedError
        If no snapshot is good.
    InputError
        If the rows lack a column that the model needs.
    """
    snapshot = _newest_good(line, act=act, tables=tables, evidence=evidence)
    rows = tables.read(snapshot, SNAPSHOT_TABLE)
    unseen = days_of(rows[line.event_day]) >= np.datetime64(candidate.holdout_from)
    if unseen.any():
        rows = rows[unseen]
    fields = model.plan.request_fields()
    rows = rows[_is_complete(rows, [field.name for field in fields if not field.nullable])]
    chosen = np.unique(np.linspace(0, max(len(rows) - 1, 0), num=min(wanted, len(rows)))).astype(
        np.intp
    )
    columns = columns_of(rows.iloc[chosen], fields, subject=line.name)
    found, _ = look_up(model.plan.history_features, history, columns)
    answers = model.predict(feature_values(model.plan.features, {**columns, **found}))
    return RealRows(
        snapshot=snapshot,
        records=tuple(plain_records(columns)),
        expected=tuple(
            tuple(row) for row in answers.reshape(len(answers), -1).astype(np.float64).tolist()
        ),
    )


def _newest_good(
    line: ReleaseLine, *, act: str, tables: Tables, evidence: EvidenceStore
) -> SnapshotId:
    refused = "there is no snapshot"
    for snapshot in reversed(tables.current(line.name, SNAPSHOT_TABLE)):
        try:
            require_fit_snapshot(
                line,
                partition=snapshot.partition,
                digest=snapshot.digest,
                evidence=evidence,
                act=act,
            )
        except RefusedError as error:
            refused = str(error)
            continue
        return snapshot
    message = (
        f"{act} refused: expected real rows of a snapshot that passed its gate, found none"
        f" ({refused}). Materialize {line.name}/snapshot."
    )
    raise RefusedError(message)


def _is_complete(rows: pd.DataFrame, names: list[str]) -> npt.NDArray[np.bool_]:
    known = [name for name in names if name in rows]
    return np.asarray(rows[known].notna().to_numpy().all(axis=1), dtype=np.bool_)
