"""Score every row of a partition with a released version, batch by batch.

The artefact is the one the endpoint server loads and the features are those training learned from,
so that a row is answered alike wherever it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.answering import require_answers
from ml_release.domain.artefact import SIGNATURE_FILE, signature_from_json
from ml_release.domain.batch_scoring import (
    DECISION,
    MODEL_DIGEST,
    PREDICTION,
    PREDICTION_COLUMNS,
    VERSION,
    PredictionsRecord,
    empty_spread,
)
from ml_release.domain.identity import canonical_json
from ml_release.errors import DeclarationError, IntegrityError, RefusedError
from ml_release.workflows.columns import values_of
from ml_release.workflows.feature_building import (
    FEATURES_TABLE,
    declaration_digest,
    require_current_features,
)
from ml_release.workflows.snapshots import SNAPSHOT_TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.answering import LoadedModel
    from ml_release.domain.artefact import OutputKind
    from ml_release.domain.batch_scoring import ScoreSpread
    from ml_release.domain.identity import SnapshotId
    from ml_release.ports import EvidenceStore, ModelLoader, ModelStore, Tables
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.scoring_version import ScoringVersion

PREDICTIONS_TABLE = "predictions"
PREDICTIONS_RECORD = "predictions"
ROWS_PER_BATCH = 50_000
"""A batch of flights takes some 20 MB on its way; more rows at a time are not faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Predictions of one partition.

    Attributes
    ----------
    seconds
        From the first row read to the last one written.
    missing_shares
        Per feature the share of rows without a value, from 0 to 1.
    """

    predictions: SnapshotId
    record: PredictionsRecord
    seconds: float
    spread: ScoreSpread
    missing_shares: Mapping[str, float]

    @property
    def rows_per_second(self) -> float:
        """Reading, scoring and writing together."""
        return self.predictions.rows / self.seconds


def score_partition(
    line: ReleaseLine,
    partition: str,
    chosen: ScoringVersion,
    *,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    loader: ModelLoader,
    rows_per_batch: int = ROWS_PER_BATCH,
    on_progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Score and keep every row of a partition; the same rows and version again write nothing.

    One batch is held at a time, whatever the size of the partition.

    Parameters
    ----------
    on_progress
        Called with rows done and in all, after every batch.

    Raises
    ------
    RefusedError
        If the partition has no features, they are not current, a snapshot they were built from is
        not fit, or the version was fitted on other features.
    IntegrityError
        If the artefact or rows were changed, or an answer is not of the kind that the signature
        promises; nothing is written then.
    DeclarationError
        If a key of the line has the name of a column of the predictions.
    """
    act = f"scoring {partition} with version {chosen.version}"
    _check_names(line)
    features = _current_features(line, partition, tables=tables, evidence=evidence, act=act)
    model, kind = _load(line, chosen, models=models, loader=loader)
    if declaration_digest(model.plan.features) != declaration_digest(line.features):
        message = (
            f"{act} of {line.name} refused: the version was fitted on the features"
            f" {list(model.plan.names)} as they were declared then, the line now declares others"
            " and has built those. Train and promote a version, or score with the sources of then."
        )
        raise RefusedError(message)
    scoring = _Scoring(
        line=line,
        chosen=chosen,
        model=model,
        kind=kind,
        total=features.rows,
        on_progress=on_progress,
        missing=dict.fromkeys(model.plan.names, 0),
    )
    begun = perf_counter()
    rows = tables.scan(features, FEATURES_TABLE, rows_per_batch=rows_per_batch)
    predictions = tables.write_batches(
        line.name, PREDICTIONS_TABLE, partition, scoring.score_all(rows)
    )
    seconds = perf_counter() - begun
    spread = scoring.spread
    if spread is None or predictions.rows != features.rows:
        message = (
            f"{act} of {line.name}: expected {features.rows} predictions, one per row, found"
            f" {predictions.rows}. Score again."
        )
        raise IntegrityError(message)
    record = PredictionsRecord(
        line=line.name,
        partition=partition,
        predictions_digest=predictions.digest,
        features_digest=features.digest,
        version=chosen.version,
        model_digest=chosen.model_digest,
        threshold=chosen.threshold,
        route_commit=chosen.route_commit,
    )
    evidence.record(
        line.name,
        PREDICTIONS_RECORD,
        predictions.digest,
        canonical_json(record.model_dump(mode="json")),
    )
    return Scored(
        predictions=predictions,
        record=record,
        seconds=seconds,
        spread=spread,
        missing_shares={name: count / features.rows for name, count in scoring.missing.items()},
    )


@dataclass(slots=True, kw_only=True)
class _Scoring:
    """One pass over the rows, with what is counted on the way."""

    line: ReleaseLine
    chosen: ScoringVersion
    model: LoadedModel
    kind: OutputKind
    total: int
    on_progress: Callable[[int, int], None] | None
    missing: dict[str, int]
    spread: ScoreSpread | None = None

    def score_all(self, batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        done = 0
        for rows in batches:
            yield self._score(rows)
            done += len(rows)
            if self.on_progress is not None:
                self.on_progress(done, self.total)

    def _score(self, rows: pd.DataFrame) -> pd.DataFrame:
        values = values_of(rows, self.model.plan.features)
        predictions = self.model.predict(values)
        require_answers(self.chosen.model_digest, predictions, self.kind)
        for name, column in values.items():
            self.missing[name] += _missing(column)
        if self.spread is None:
            self.spread = empty_spread(predictions, is_probability=self.kind == "probability")
        self.spread = self.spread.with_more(predictions)
        kept = rows[list(dict.fromkeys((*self.line.keys, self.line.event_time)))]
        answers: dict[str, npt.NDArray[np.generic] | int | str] = {PREDICTION: predictions}
        if self.chosen.threshold is not None:
            answers[DECISION] = (predictions >= self.chosen.threshold).astype(np.int8)
        answers |= {VERSION: self.chosen.version, MODEL_DIGEST: self.chosen.model_digest}
        return kept.assign(**answers)


def _missing(column: npt.NDArray[np.generic]) -> int:
    """Values that are not there: None among words, NaN among numbers."""
    if column.dtype == object:
        return sum(word is None for word in column)
    return int(np.count_nonzero(np.isnan(column.astype(np.float64, copy=False))))


def _check_names(line: ReleaseLine) -> None:
    taken = sorted({*line.keys, line.event_time} & set(PREDICTION_COLUMNS))
    if taken:
        message = (
            f"predictions of {line.name}: expected keys and event time of other names than"
            f" {taken}, which hold the predictions. Rename them in the line's assemble function."
        )
        raise DeclarationError(message)


def _current_features(
    line: ReleaseLine, partition: str, *, tables: Tables, evidence: EvidenceStore, act: str
) -> SnapshotId:
    """The features of every row of the partition's snapshot."""
    found = {s.partition: s for s in tables.current(line.name, FEATURES_TABLE)}.get(partition)
    if found is None:
        message = (
            f"{act} refused: expected features of {line.name} {partition}, found none. Materialize"
            f" {line.name}/snapshot and {line.name}/features for it first."
        )
        raise RefusedError(message)
    require_current_features(line, found, tables=tables, evidence=evidence, act=act)
    # What they were built from is current, so the snapshot is there.
    rows = {s.partition: s.rows for s in tables.current(line.name, SNAPSHOT_TABLE)}[partition]
    if rows != found.rows:
        message = (
            f"{act} refused: expected features of all {rows} rows of snapshot {partition}, found"
            f" {found.rows}. Materialize {line.name}/features for it again."
        )
        raise RefusedError(message)
    return found


def _load(
    line: ReleaseLine, chosen: ScoringVersion, *, models: ModelStore, loader: ModelLoader
) -> tuple[LoadedModel, OutputKind]:
    files = models.read(chosen.model_digest)
    model = loader.load(files)
    signature = signature_from_json(files[SIGNATURE_FILE])
    if signature.line != line.name:
        message = (
            f"model {chosen.model_digest}: expected a model of line {line.name}, found one of"
            f" {signature.line}"
        )
        raise IntegrityError(message)
    if signature.classes:
        message = (
            f"scoring with version {chosen.version} of {line.name} refused: expected a version that"
            f" answers one number per row, found one that answers the probabilities of"
            f" {len(signature.classes)} classes. Ask it at the endpoint."
        )
        raise RefusedError(message)
    return model, signature.output_kind
