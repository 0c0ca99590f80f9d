"""Train a candidate on a window of features and publish it as a code-free artefact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.domain.artefact import (
    EXAMPLE_FILE,
    MODEL_FILE,
    PLAN_FILE,
    REFERENCE_FILE,
    SIGNATURE_FILE,
    signature_of,
)
from ml_release.domain.drift import fit_profile
from ml_release.domain.features import encode, fit_plan
from ml_release.domain.identity import canonical_json, check_digest, digest_of_json
from ml_release.domain.provenance import CandidateRecord, record_from_json
from ml_release.domain.quarantine import judge_coverage
from ml_release.domain.verdict import Outcome
from ml_release.errors import NotFoundError, RefusedError
from ml_release.workflows.columns import columns_of, days_of, floats_of, values_of
from ml_release.workflows.feature_building import FEATURES_TABLE, require_current_features
from ml_release.workflows.quarantine import partitions_that_go_on
from ml_release.workflows.snapshots import SNAPSHOT_TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy.typing as npt

    from ml_release.domain.features import Columns, FeaturePlan
    from ml_release.domain.identity import SnapshotId
    from ml_release.domain.provenance import FeaturesRecord
    from ml_release.ports import EvidenceStore, ExperimentRun, ModelCompiler, ModelStore, Tables
    from ml_release.spec.release_line import ReleaseLine

CANDIDATE = "candidate"
ESTIMATOR_ANSWERS = "estimator_answers"
CANDIDATE_TAG = "ml_release.candidate_digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Rows of a training window, split by time.

    Attributes
    ----------
    features
        Per feature an array of shape (n,).
    days
        Day of each row, shape (n,).
    target
        1, 0 or NaN, shape (n,).
    holdout_from
        First day of the holdout.
    """

    features: Columns
    days: npt.NDArray[np.datetime64]
    target: npt.NDArray[np.float64]
    holdout_from: np.datetime64

    @property
    def fit(self) -> npt.NDArray[np.bool_]:
        """Labelled rows before the holdout."""
        return ~np.isnan(self.target) & (self.days < self.holdout_from)

    @property
    def holdout(self) -> npt.NDArray[np.bool_]:
        """Labelled rows of the holdout."""
        return ~np.isnan(self.target) & (self.days >= self.holdout_from)


def train_candidate(
    line: ReleaseLine,
    *,
    first: str | None,
    last: str | None,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    compiler: ModelCompiler,
    run: ExperimentRun,
    now: datetime,
) -> CandidateRecord:
    """Fit on all but the last days of a window; record what the candidate was built from.

    Parameters
    ----------
    first, last
        Partitions, both included; None for the oldest or newest that has features.

    Raises
    ------
    RefusedError
        If the window is empty or has a gap, if more of it is set aside than the policy allows, if
        anything it is built from is not current and fit, or if either part of the split lacks one
        of the classes.
    """
    partitions, left_out = _partitions(
        line, first=first, last=last, tables=tables, evidence=evidence
    )
    records = [
        require_current_features(
            line, features, tables=tables, evidence=evidence, act="training a candidate"
        )
        for features in partitions
    ]
    window = read_window(line, partitions, tables=tables)
    _require_both_classes(line, window)
    policy = line.policies.evaluation

    fitted_on = {name: column[window.fit] for name, column in window.features.items()}
    plan = fit_plan(line.features, fitted_on)
    estimator = line.build_estimator(line.parameters, line.seed)
    estimator.fit(encode(plan, fitted_on), window.target[window.fit].astype(np.int64))
    files = {
        MODEL_FILE: compiler.compile(estimator),
        PLAN_FILE: canonical_json(plan.model_dump(mode="json")),
        SIGNATURE_FILE: signature_of(line.name, plan, output=line.output).to_json(),
        REFERENCE_FILE: fit_profile(window.features, window.days).model_dump_json().encode(),
        EXAMPLE_FILE: _example(line, plan, records[-1], tables=tables),
    }
    model_digest = models.publish(files)
    record = CandidateRecord(
        line=line.name,
        model_digest=model_digest,
        run_id=run.run_id,
        partitions={features.partition: features.digest for features in partitions},
        snapshots={name: digest for r in records for name, digest in r.snapshots.items()},
        left_out=left_out,
        feature_version=plan.version,
        policy_digest=digest_of_json(policy.model_dump(mode="json")),
        seed=line.seed,
        parameters=dict(line.parameters),
        window_from=str(window.days.min()),
        holdout_from=str(window.holdout_from),
        window_to=str(window.days.max()),
        train_rows=int(window.fit.sum()),
        holdout_rows=int(window.holdout.sum()),
        trained_at=now.isoformat(),
    )
    answers = _answers(estimator, plan, window)
    evidence.record(line.name, ESTIMATOR_ANSWERS, model_digest, canonical_json(answers.tolist()))
    evidence.record(line.name, CANDIDATE, model_digest, record.to_json())
    run.log(
        params={
            **line.parameters,
            "seed": line.seed,
            "window": f"{record.window_from} to {record.window_to}",
            "holdout_from": record.holdout_from,
            "left_out": ", ".join(left_out) or "none",
        },
        metrics={"train_rows": record.train_rows, "holdout_rows": record.holdout_rows},
    )
    run.tag(
        {
            "ml_release.line": line.name,
            "ml_release.model_digest": model_digest,
            "ml_release.data_digest": record.data_digest,
            "ml_release.feature_version": record.feature_version,
            # An act compares this tag with the recorded candidate.
            CANDIDATE_TAG: record.digest,
        }
    )
    run.keep("model", files)
    return record


def find_candidate(
    line: ReleaseLine, model_digest: str | None, *, evidence: EvidenceStore
) -> CandidateRecord:
    """The record of a candidate, the newest one for None.

    Raises
    ------
    NotFoundError
        If there is none.
    IntegrityError
        If the record is not one, or is that of another candidate.
    """
    digest = model_digest or evidence.newest_subject(line.name, CANDIDATE)
    content = None if digest is None else evidence.find(line.name, CANDIDATE, digest)
    if digest is None or content is None:
        message = (
            f"{line.name}: expected a trained candidate {model_digest or ''}, found none."
            f" Run `ml-release train {line.name}` or materialize {line.name}/candidate."
        )
        raise NotFoundError(message)
    record = record_from_json(CandidateRecord, content)
    check_digest(
        f"record of {line.name} candidate {digest[:19]}",
        expected=digest,
        found=record.model_digest,
    )
    return record


def read_window(
    line: ReleaseLine,
    partitions: Sequence[SnapshotId],
    *,
    tables: Tables,
    holdout_from: str | None = None,
) -> Window:
    """The rows of feature partitions; the holdout is the policy's last days, or as given."""
    import pandas as pd

    frame = pd.concat(
        [tables.read(features, FEATURES_TABLE) for features in partitions], ignore_index=True
    )
    days = days_of(frame[line.event_day])
    length = np.timedelta64(line.policies.evaluation.holdout_days - 1, "D")
    return Window(
        features=values_of(frame, line.features),
        days=days,
        target=floats_of(frame[line.target]),
        holdout_from=days.max() - length
        if holdout_from is None
        else np.datetime64(holdout_from, "D"),
    )


def _partitions(
    line: ReleaseLine,
    *,
    first: str | None,
    last: str | None,
    tables: Tables,
    evidence: EvidenceStore,
) -> tuple[tuple[SnapshotId, ...], dict[str, str]]:
    """Features of the window, and what is left out of it, with the reason."""
    known = {s.partition: s for s in tables.current(line.name, FEATURES_TABLE)}
    chosen = [
        name
        for name in known
        if (first is None or name >= first) and (last is None or name <= last)
    ]
    begin, end = first or min(chosen, default=""), last or max(chosen, default="")
    wanted = line.landing.between(begin, end) if begin and end else ()
    fit, left_out = partitions_that_go_on(line, wanted, tables=tables, evidence=evidence)
    missing = [name for name in fit if name not in known]
    if not wanted or missing:
        message = (
            f"training of {line.name} refused: expected features of"
            f" {first or 'the oldest partition'} to {last or 'the newest partition'} without a gap,"
            f" found {sorted(known) or 'none'}"
            + (f"; missing {missing}" if missing else "")
            + f". Materialize {line.name}/snapshot and {line.name}/features for them first."
        )
        raise RefusedError(message)
    coverage = judge_coverage(fit, left_out, line.policies.quarantine)
    if coverage.outcome is not Outcome.PASS:
        message = (
            f"training of {line.name} refused: too much of the window is set aside.\n"
            f"  - {coverage.sentence()}\n"
            "Let the partitions arrive again, choose another window, or declare a lower"
            " quarantine.minimum_coverage in policy.yaml."
        )
        raise RefusedError(message)
    return tuple(known[name] for name in fit), left_out


def _require_both_classes(line: ReleaseLine, window: Window) -> None:
    for name, rows in (("training", window.fit), ("holdout", window.holdout)):
        labels = window.target[rows]
        positives = int(labels.sum())
        if positives == 0 or positives == len(labels):
            message = (
                f"training of {line.name} refused: expected labels 0 and 1 in the {name} part"
                f" (holdout from {window.holdout_from}), found {positives} positive of"
                f" {len(labels)}. Choose a longer window."
            )
            raise RefusedError(message)


def _answers(estimator: Any, plan: FeaturePlan, window: Window) -> npt.NDArray[np.float64]:  # noqa: ANN401 (any estimator)
    """The estimator's own answers on the holdout: what the artefact is compared with later."""
    rows = {name: column[window.holdout] for name, column in window.features.items()}
    answers: npt.NDArray[np.float64] = estimator.predict_proba(encode(plan, rows))[:, 1]
    return answers


def _example(
    line: ReleaseLine, plan: FeaturePlan, record: FeaturesRecord, *, tables: Tables
) -> bytes:
    """One real request, in the form of MLflow's scoring protocol."""
    (snapshot,) = (
        s
        for s in tables.current(line.name, SNAPSHOT_TABLE)
        if s.partition == record.partition and s.digest == record.snapshots[record.partition]
    )
    row = tables.read(snapshot, SNAPSHOT_TABLE).head(1)
    columns = columns_of(row, plan.request_fields(), subject=line.name)
    return canonical_json({"dataframe_records": plain_records(columns)})


def plain_records(columns: Columns) -> list[dict[str, str | float | None]]:
    """Raw columns as JSON records, one per row."""
    listed = [[_plain(value) for value in column] for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*listed, strict=True)]


def _plain(value: object) -> str | float | None:
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value.astype("datetime64[s]"))
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return None if value is None else str(value)
