"""Rebuild a registered version from what it was recorded to be built from, and compare.

Landing, records and artefacts are read; all that is made goes to scratch tables and a scratch model
store. What the present checkout declares is what is rebuilt, for that is how a divergence is found;
only parameters that a search has chosen are taken from the record. Gates judge and change no byte,
so they are not repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ml_release.domain.divergence import PredictionGap, Rebuilt
from ml_release.domain.identity import digest_of_json
from ml_release.domain.provenance import FeaturesRecord, record_from_json
from ml_release.domain.rebuild import TOLERANCE, Rebuild, judge_rebuild
from ml_release.errors import DeclarationError, InputError, NotFoundError, RefusedError
from ml_release.workflows.feature_building import (
    FEATURES_RECORD,
    FEATURES_TABLE,
    declaration_digest,
    feature_rows,
)
from ml_release.workflows.fitting import require_labels
from ml_release.workflows.holdout_answers import ask, holdout_of
from ml_release.workflows.model_artefact import artefact_files, holdout_answers
from ml_release.workflows.model_choice import fit_again
from ml_release.workflows.promotion import find_version
from ml_release.workflows.snapshots import SNAPSHOT_TABLE, read_landed
from ml_release.workflows.text_reference import text_files
from ml_release.workflows.training import find_candidate, modules_of, read_window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.identity import SnapshotId
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.search import Scalar
    from ml_release.domain.training_plan import TrainingPolicy
    from ml_release.ports import (
        EvidenceStore,
        Landing,
        ModelCompiler,
        ModelLoader,
        ModelRegistry,
        ModelStore,
        Tables,
        Workplace,
    )
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.training import Window


class Steps(Protocol):
    """Told what begins, how many steps are done, and how many there are."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """Where a rebuild writes: tables and models of its own, and the way to write a model."""

    tables: Tables
    models: ModelStore
    compiler: ModelCompiler


@dataclass(frozen=True, slots=True, kw_only=True)
class _Landed:
    """What has landed for the recorded partitions: snapshots, and why others cannot be read."""

    snapshots: Mapping[str, SnapshotId]
    missing: Mapping[str, str] = field(default_factory=dict)


def rebuild_version(
    line: ReleaseLine,
    number: int,
    *,
    landing: Landing,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    loader: ModelLoader,
    workplace: Workplace,
    scratch: Scratch,
    tolerance: float = TOLERANCE,
    progress: Steps = lambda step, done, total: None,  # noqa: ARG005 (nobody is told)
) -> Rebuild:
    """Snapshots, features, fit, calibration and artefact again, in scratch; then the comparison.

    Raises
    ------
    NotFoundError
        If there is no such version, or no record of what it or its features were built from.
    IntegrityError
        If a record was changed.
    """
    candidate, records = _recorded(line, number, evidence=evidence, registry=registry)
    total = len(candidate.snapshots) + len(records) + 2
    landed = _landed(line, candidate, landing=landing, scratch=scratch, progress=progress)
    search = candidate.search
    policy = line.policies.training.with_budget(
        trials=0 if search is None else search.trials_asked,
        seconds=None if search is None else search.seconds_asked,
    )
    rebuilt = Rebuilt(
        build=workplace.build(modules_of(line)),
        snapshots={name: snapshot.digest for name, snapshot in landed.snapshots.items()},
        missing=landed.missing,
        built_from={name: tuple(sorted(record.snapshots)) for name, record in records.items()},
        declarations={name: record.declaration for name, record in records.items()},
        declaration=declaration_digest(line.features),
        seed=line.seed,
        parameters=_parameters(line, candidate),
        policy_digest=digest_of_json(line.policies.evaluation.model_dump(mode="json")),
        training_policy_digest=digest_of_json(policy.model_dump(mode="json")),
    )
    if landed.missing:
        names = ", ".join(sorted(landed.missing))
        problem = f"the landing zone no longer holds what the version was built from: {names}"
        return judge_rebuild(
            candidate, replace(rebuilt, problem=problem), version=number, tolerance=tolerance
        )
    try:
        features: dict[str, SnapshotId] = {}
        for done, (name, record) in enumerate(records.items(), start=len(candidate.snapshots)):
            progress(f"features {name}", done, total)
            needed = [landed.snapshots[partition] for partition in sorted(record.snapshots)]
            rows = feature_rows(line, needed, tables=scratch.tables)
            features[name] = scratch.tables.write(line.name, FEATURES_TABLE, name, rows)
        rebuilt = replace(rebuilt, features={n: f.digest for n, f in features.items()})
        window = read_window(line, tuple(features.values()), tables=scratch.tables)
        rebuilt = replace(rebuilt, holdout_from=str(window.holdout_from))
        progress("fit", total - 2, total)
        fit = _Fit(
            window=window,
            policy=policy,
            snapshots=tuple(landed.snapshots[name] for name in sorted(candidate.partitions)),
            scratch=scratch,
        )
        digest, version = fit.published(line, rebuilt.parameters)
    except (DeclarationError, InputError, RefusedError) as error:
        # What has landed, or what is declared now, can no longer be trained on.
        rebuilt = replace(rebuilt, problem=str(error))
    else:
        rebuilt = replace(rebuilt, model_digest=digest, feature_version=version)
        if digest != candidate.model_digest:
            progress("compare predictions", total - 1, total)
            rebuilt = replace(
                rebuilt,
                gap=_gap(
                    line, candidate, digest, window, models=models, loader=loader, scratch=scratch
                ),
                digest_as_recorded=_as_recorded(line, candidate, rebuilt, fit),
            )
    progress("compare", total, total)
    return judge_rebuild(candidate, rebuilt, version=number, tolerance=tolerance)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """A window to fit on with its snapshots, oldest first, and where the model goes."""

    window: Window
    policy: TrainingPolicy
    snapshots: tuple[SnapshotId, ...]
    scratch: Scratch

    def published(self, line: ReleaseLine, parameters: Mapping[str, Scalar]) -> tuple[str, str]:
        """Model digest and feature version of the line, fitted with some parameters."""
        for part, rows in (("training", self.window.fit), ("holdout", self.window.holdout)):
            require_labels(line, self.window.target[rows], part=f"{part} part")
        chosen = fit_again(line, self.window, self.policy, parameters)
        tables = self.scratch.tables
        files = {
            **artefact_files(
                line,
                chosen,
                self.window,
                self.snapshots[-1],
                answers=holdout_answers(line, chosen, self.window),
                compiler=self.scratch.compiler,
                tables=tables,
            ),
            **text_files(line, self.snapshots, tables=tables),
        }
        return self.scratch.models.publish(files), chosen.plan.version


def _recorded(
    line: ReleaseLine, number: int, *, evidence: EvidenceStore, registry: ModelRegistry
) -> tuple[CandidateRecord, dict[str, FeaturesRecord]]:
    """The record of a version's candidate, and those of its features, oldest partition first."""
    version = find_version(line, number, registry=registry)
    subject = f"{line.name} version {number}"
    try:
        candidate = find_candidate(line, version.model_digest, evidence=evidence)
    except NotFoundError as error:
        message = (
            f"{subject}: expected the record of the candidate {version.model_digest[:19]} that it"
            " was registered from, found none in the evidence. Without it nothing says what the"
            " version was built from; restore the evidence of this home."
        )
        raise NotFoundError(message) from error
    records = {}
    for partition, digest in sorted(candidate.partitions.items()):
        content = evidence.find(line.name, FEATURES_RECORD, digest)
        if content is None:
            message = (
                f"{subject}: expected the record of its features of {partition} ({digest[:19]}),"
                " found none in the evidence. Without it nothing says which snapshots they were"
                " built from; restore the evidence of this home."
            )
            raise NotFoundError(message)
        records[partition] = record_from_json(FeaturesRecord, content)
    return candidate, records


def _landed(
    line: ReleaseLine,
    candidate: CandidateRecord,
    *,
    landing: Landing,
    scratch: Scratch,
    progress: Steps,
) -> _Landed:
    snapshots: dict[str, SnapshotId] = {}
    missing: dict[str, str] = {}
    total = len(candidate.snapshots) + len(candidate.partitions) + 2
    for done, partition in enumerate(sorted(candidate.snapshots)):
        progress(f"snapshot {partition}", done, total)
        try:
            rows = read_landed(line, partition, landing=landing)
            snapshots[partition] = scratch.tables.write(line.name, SNAPSHOT_TABLE, partition, rows)
        except InputError as error:
            missing[partition] = str(error)
    return _Landed(snapshots=snapshots, missing=missing)


def _parameters(line: ReleaseLine, candidate: CandidateRecord) -> dict[str, Scalar]:
    """The declared parameters, with what the recorded search has chosen in its place."""
    if candidate.search is None:
        return dict(line.parameters)
    searched = {n: v for n, v in candidate.parameters.items() if n in line.search_space}
    return {**line.parameters, **searched}


def _as_recorded(
    line: ReleaseLine, candidate: CandidateRecord, rebuilt: Rebuilt, fit: _Fit
) -> str | None:
    """The model with the recorded seed and parameters: whether they alone are what diverged."""
    if (line.seed, dict(rebuilt.parameters)) == (candidate.seed, dict(candidate.parameters)):
        return None
    try:
        digest, _ = fit.published(
            line.model_copy(update={"seed": candidate.seed}), candidate.parameters
        )
    except (DeclarationError, RefusedError):
        return None
    return digest


def _gap(
    line: ReleaseLine,
    candidate: CandidateRecord,
    rebuilt_digest: str,
    window: Window,
    *,
    models: ModelStore,
    loader: ModelLoader,
    scratch: Scratch,
) -> PredictionGap:
    """Both models on the rows of the recorded holdout."""
    holdout = holdout_of(replace(window, holdout_from=np.datetime64(candidate.holdout_from, "D")))
    answered = [
        ask(digest, holdout, version=0, line=line, models=store, loader=loader)
        for digest, store in ((candidate.model_digest, models), (rebuilt_digest, scratch.models))
    ]
    problems = [
        f"{which} model: {one.problem}"
        for which, one in zip(("recorded", "rebuilt"), answered, strict=True)
        if one.problem
    ]
    if problems or not holdout.n:
        problem = "; ".join(problems) or "the recorded holdout has no rows"
        return PredictionGap(rows=holdout.n, largest=None, problem=problem)
    largest = float(np.abs(answered[0].answers - answered[1].answers).max())
    return PredictionGap(rows=holdout.n, largest=largest)
