"""Train a candidate on a window of features and publish it as a code-free artefact."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.day_spans import held_by_any
from ml_release.domain.identity import canonical_json, check_digest, digest_of_json
from ml_release.domain.provenance import CandidateRecord, KeptOut, record_from_json
from ml_release.errors import InputError, NotFoundError
from ml_release.workflows.attribution_evidence import require_attributor
from ml_release.workflows.candidate_run import shown_metrics, shown_params, shown_tags
from ml_release.workflows.columns import days_of, floats_of, values_of
from ml_release.workflows.feature_building import FEATURES_TABLE, require_current_features
from ml_release.workflows.fitting import algorithm_of, require_labels
from ml_release.workflows.model_artefact import artefact_files, holdout_answers
from ml_release.workflows.model_choice import choose_model
from ml_release.workflows.recorded_pictures import TRAINING_PICTURES, record_pictures
from ml_release.workflows.snapshots import SNAPSHOT_TABLE
from ml_release.workflows.text_reference import text_files
from ml_release.workflows.training_partitions import partitions_of_window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import numpy.typing as npt

    from ml_release.domain.day_spans import DaySpan
    from ml_release.domain.features import Columns
    from ml_release.domain.identity import SnapshotId
    from ml_release.domain.provenance import FeaturesRecord
    from ml_release.domain.training_plan import TrainingPolicy
    from ml_release.domain.training_reason import TrainingReason
    from ml_release.ports import (
        Attributor,
        EvidenceStore,
        ExperimentRun,
        ModelCompiler,
        ModelStore,
        ParameterSearch,
        Plotter,
        Tables,
        Workplace,
    )
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.parameter_search import Progress

CANDIDATE = "candidate"
ESTIMATOR_ANSWERS = "estimator_answers"
TRAINING_REASON = "training_reason"
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
        Label or NaN, shape (n,): 1 or 0 for a classifier, a number for a regressor.
    holdout_from
        First day of the holdout.
    kept_out
        Days that nothing is fitted on, by name.
    """

    features: Columns
    days: npt.NDArray[np.datetime64]
    target: npt.NDArray[np.float64]
    holdout_from: np.datetime64
    kept_out: Mapping[str, DaySpan] = field(default_factory=dict)

    @property
    def before(self) -> npt.NDArray[np.bool_]:
        """Labelled rows before the holdout."""
        return ~np.isnan(self.target) & (self.days < self.holdout_from)

    @property
    def fit(self) -> npt.NDArray[np.bool_]:
        """Those of them that may be fitted on."""
        return self.before & ~held_by_any(self.kept_out.values(), self.days)

    @property
    def holdout(self) -> npt.NDArray[np.bool_]:
        """Labelled rows of the holdout."""
        return ~np.isnan(self.target) & (self.days >= self.holdout_from)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A candidate's record with the pictures of its training, none without a search."""

    record: CandidateRecord
    plots: Mapping[str, bytes]


def train_candidate(
    line: ReleaseLine,
    *,
    first: str | None,
    last: str | None,
    trials: int | None = None,
    search_seconds: float | None = None,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    compiler: ModelCompiler,
    search: ParameterSearch,
    plotter: Plotter,
    attributor: Attributor,
    workplace: Workplace,
    run: ExperimentRun,
    now: datetime,
    by: str | None = None,
    asked: TrainingReason | None = None,
    progress: Progress = lambda _done, _total, _best: None,
) -> Trained:
    """Search, fit on all but the last days of a window, calibrate, record what it was built from.

    Parameters
    ----------
    first, last
        Partitions, both included; None for the oldest or newest that has features.
    trials, search_seconds
        Budget of the search; None for that of the policy.
    by
        Who asks for it.
    asked
        Why, as run and card keep it; None if nobody said.
    progress
        Told after every trial: trials done, trials asked for, the best value so far.

    Raises
    ------
    RefusedError
        If the window is empty or has a gap, if more of it is set aside than the policy allows, if
        anything it is built from is not current and fit, if it is too short for its folds, or if
        any part of a split lacks one of the classes.
    InputError
        If the budget is out of range, or a search is asked for and the line declares no space.
    DeclarationError
        If no trial ends with a value, the model cannot be written without code, or its evaluation
        would ask for Shapley values and what computes them is not installed.
    """
    require_attributor(line, attributor)
    policy = _applied_policy(line, trials=trials, search_seconds=search_seconds)
    partitions, left_out = partitions_of_window(
        line, first=first, last=last, tables=tables, evidence=evidence
    )
    records = [
        require_current_features(
            line, features, tables=tables, evidence=evidence, act="training a candidate"
        )
        for features in partitions
    ]
    window = read_window(line, partitions, tables=tables)
    for part, rows in (("training", window.fit), ("holdout", window.holdout)):
        require_labels(
            line, window.target[rows], part=f"{part} part (holdout from {window.holdout_from})"
        )
    chosen = choose_model(
        line, window, policy, search=search, plotter=plotter, run=run, progress=progress
    )
    answers = holdout_answers(line, chosen, window)
    snapshots = [_snapshot_below(line, one, tables=tables) for one in records]
    files = {
        **artefact_files(
            line,
            chosen,
            window,
            snapshots[-1],
            answers=answers,
            compiler=compiler,
            tables=tables,
        ),
        **text_files(line, snapshots, tables=tables),
    }
    model_digest = models.publish(files)
    record = CandidateRecord(
        line=line.name,
        model_digest=model_digest,
        run_id=run.run_id,
        partitions={features.partition: features.digest for features in partitions},
        snapshots={name: digest for r in records for name, digest in r.snapshots.items()},
        left_out=left_out,
        kept_out={
            name: KeptOut(
                first_day=span.first_day,
                last_day=span.last_day,
                rows=int((window.before & span.holds(window.days)).sum()),
            )
            for name, span in window.kept_out.items()
        },
        feature_version=chosen.plan.version,
        policy_digest=digest_of_json(line.policies.evaluation.model_dump(mode="json")),
        training_policy_digest=digest_of_json(policy.model_dump(mode="json")),
        seed=line.seed,
        algorithm=algorithm_of(chosen.model),
        parameters=dict(chosen.parameters),
        build=workplace.build(modules_of(line)),
        search=chosen.search,
        calibration=chosen.calibration,
        window_from=str(window.days.min()),
        holdout_from=str(window.holdout_from),
        window_to=str(window.days.max()),
        train_rows=int(window.fit.sum()),
        holdout_rows=int(window.holdout.sum()),
        trained_at=now.isoformat(),
        trained_by=by,
    )
    evidence.record(
        line.name,
        ESTIMATOR_ANSWERS,
        model_digest,
        # What the artefact is compared with later.
        canonical_json(answers.tolist()),
    )
    record_pictures(line, TRAINING_PICTURES, model_digest, chosen.plots, evidence=evidence)
    evidence.record(line.name, CANDIDATE, model_digest, record.to_json())
    if asked is not None:
        evidence.record(line.name, TRAINING_REASON, model_digest, asked.to_json())
    run.log(params=shown_params(record), metrics=shown_metrics(record))
    run.tag(
        {
            "ml_release.line": line.name,
            "ml_release.model_digest": model_digest,
            "ml_release.data_digest": record.data_digest,
            "ml_release.feature_version": record.feature_version,
            **shown_tags(record),
            **({} if asked is None else asked.tags()),
            # An act compares this tag with the recorded candidate.
            CANDIDATE_TAG: record.digest,
        }
    )
    run.keep("model", files)
    if chosen.plots:
        run.keep("search", chosen.plots)
    return Trained(record=record, plots=chosen.plots)


def _applied_policy(
    line: ReleaseLine, *, trials: int | None, search_seconds: float | None
) -> TrainingPolicy:
    policy = line.policies.training.with_budget(trials=trials, seconds=search_seconds)
    if policy.search_trials and not line.search_space:
        message = (
            f"training of {line.name}: expected a search space to try {policy.search_trials} sets"
            " of parameters in, found none. Declare search_space in the line."
        )
        raise InputError(message)
    return policy


def modules_of(line: ReleaseLine) -> tuple[str, ...]:
    """Modules of the functions a line declares, by name."""
    declared = (line.assemble, line.schema_of, line.build_estimator)
    found = {getattr(function, "__module__", None) for function in declared}
    return tuple(sorted(name for name in found if name))


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
    """The rows of feature partitions, without the policy's kept out days in what is fitted on.

    The holdout is the policy's last days, or as given.
    """
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
        kept_out=line.policies.evaluation.kept_out,
    )


def _snapshot_below(line: ReleaseLine, record: FeaturesRecord, *, tables: Tables) -> SnapshotId:
    """The snapshot of a partition that its features were built from."""
    (snapshot,) = (
        s
        for s in tables.current(line.name, SNAPSHOT_TABLE)
        if s.partition == record.partition and s.digest == record.snapshots[record.partition]
    )
    return snapshot
