"""Every use case on a house, so that a test names only what is special in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.workflows.evaluation import Evaluated, evaluate_candidate
from ml_release.workflows.feature_building import FeaturesBuilt, build_features
from ml_release.workflows.labels import LabelsGathered, gather_labels
from ml_release.workflows.model_cards import WrittenCard, write_card
from ml_release.workflows.promotion import Moved, Request, promote, roll_back
from ml_release.workflows.registration import register_version
from ml_release.workflows.release_gate import Releasable, require_releasable
from ml_release.workflows.release_reports import WrittenReport, write_report
from ml_release.workflows.snapshots import SnapshotTaken, take_snapshot
from ml_release.workflows.training import train_candidate
from ml_release_tests.small_line import MONTHS, trips

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from ml_release.domain.identity import ModelVersion, SnapshotId
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.spec.release_line import ReleaseLine
    from ml_release_tests.small_line import House

LINE = "small_line"
REQUEST = Request(by="Ada", reason="passed its gates", run_id="run-of-the-job")
NOWHERE = "sha256:" + "0" * 64


def snapshot(house: House, month: str) -> SnapshotTaken:
    return take_snapshot(
        house.line,
        month,
        landing=house.landing,
        tables=house.tables,
        evidence=house.evidence,
        now=house.clock.now(),
    )


def features(house: House, month: str) -> FeaturesBuilt:
    return build_features(house.line, month, tables=house.tables, evidence=house.evidence)


def prepare(house: House, *months: str) -> None:
    """Snapshots, then features."""
    for month in months:
        snapshot(house, month)
    for month in months:
        features(house, month)


def train(
    house: House,
    first: str | None = None,
    last: str | None = None,
    *,
    trials: int | None = None,
    search_seconds: float | None = None,
) -> CandidateRecord:
    return train_candidate(
        house.line,
        first=first,
        last=last,
        trials=trials,
        search_seconds=search_seconds,
        tables=house.tables,
        evidence=house.evidence,
        models=house.models,
        compiler=house.compiler,
        search=house.search,
        plotter=house.plotter,
        attributor=house.attributor,
        workplace=house.workplace,
        run=house.experiments.start(),
        now=house.clock.now(),
    ).record


def evaluate(house: House, model_digest: str | None = None) -> Evaluated:
    """Evaluate, and write the model card that every act asks for."""
    found = evaluate_only(house, model_digest)
    card(house, model_digest)
    return found


def evaluate_only(house: House, model_digest: str | None = None) -> Evaluated:
    return evaluate_candidate(
        house.line,
        model_digest=model_digest,
        environment=house.environment,
        landing=house.landing,
        tables=house.tables,
        evidence=house.evidence,
        models=house.models,
        loader=house.loader,
        probe=house.probe,
        deployments=house.deployments,
        registry=house.registry,
        experiments=house.experiments,
        plotter=house.plotter,
        attributor=house.attributor,
        now=house.clock.now(),
    )


def card(house: House, model_digest: str | None = None) -> WrittenCard:
    return write_card(
        house.line,
        model_digest=model_digest,
        evidence=house.evidence,
        experiments=house.experiments,
        registry=house.registry,
        reports=house.reports,
        now=house.clock.now(),
    )


def report(house: House, model_digest: str | None = None) -> WrittenReport:
    return write_report(
        house.line,
        model_digest=model_digest,
        tables=house.tables,
        evidence=house.evidence,
        experiments=house.experiments,
        reports=house.reports,
        now=house.clock.now(),
    )


def gather(house: House) -> LabelsGathered:
    return gather_labels(
        house.line,
        environment=house.environment,
        inference_log=house.inference_log,
        landing=house.landing,
        tables=house.tables,
        evidence=house.evidence,
        plotter=house.plotter,
        now=house.clock.now(),
    )


def register(house: House, model_digest: str | None = None) -> ModelVersion:
    version, _ = register_version(
        house.line,
        model_digest=model_digest,
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        now=house.clock.now(),
    )
    return version


def gate(house: House, model_digest: str | None = None) -> Releasable:
    return require_releasable(
        house.line,
        model_digest,
        act="the act",
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        now=house.clock.now(),
    )


def declare(house: House, number: int | None = None, *, request: Request = REQUEST) -> Moved:
    """Promote."""
    return promote(
        house.line,
        number,
        environment=house.environment,
        request=request,
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        deployments=house.deployments,
        clock=house.clock,
    )


def go_back(house: House, number: int | None = None, *, request: Request = REQUEST) -> Moved:
    """Roll back; neither the registry nor the experiments are at hand."""
    return roll_back(
        house.line,
        number,
        environment=house.environment,
        request=request,
        models=house.models,
        loader=house.loader,
        online=house.online,
        deployments=house.deployments,
        clock=house.clock,
    )


def release(house: House, first: str | None = None, last: str | None = None) -> ModelVersion:
    """Train, evaluate, register and promote."""
    train(house, first, last)
    evaluate(house)
    version = register(house)
    declare(house)
    return version


def with_policy(line: ReleaseLine, name: str, **changes: Any) -> ReleaseLine:
    """The line with other limits in one of its policies."""
    policies = line.policies
    policy = getattr(policies, name).model_copy(update=changes)
    return line.model_copy(update={"policies": policies.model_copy(update={name: policy})})


def with_shuffled_labels(month: str, *, seed: int = 1) -> pd.DataFrame:
    """Trips whose labels say nothing of them."""
    rows = trips(month)
    rows["is_late"] = np.random.default_rng(seed).permutation(rows["is_late"].to_numpy())
    return rows


def with_nulls(month: str, *, share: float) -> pd.DataFrame:
    """Trips whose route, and so whose distance, is not known for a share of the rows."""
    rows = trips(month)
    rows.loc[rows.index[: int(share * len(rows))], "route"] = -1
    return rows


def untrained(house: House) -> None:
    """Let every month arrive again with labels that say nothing, and train on them."""
    for month in MONTHS:
        house.land(month, with_shuffled_labels(month))
    prepare(house, *MONTHS)
    train(house)


def edit(house: House, kind: str, subject: str, change: Callable[[Any], Any]) -> None:
    """Change a recorded document behind everybody's back."""
    key = (LINE, kind, subject)
    document = json.loads(house.evidence._documents[key])
    change(document)
    house.evidence._documents[key] = json.dumps(document).encode()


def forget(house: House, kind: str, subject: str) -> None:
    """Remove a recorded document."""
    del house.evidence._documents[LINE, kind, subject]


def tamper(house: House, model_digest: str, name: str = "model.onnx") -> None:
    """Change one byte of an artefact's file."""
    content = bytearray(house.models.artefacts[model_digest][name])
    content[len(content) // 2] ^= 1
    house.models.artefacts[model_digest][name] = bytes(content)


def current(house: House, table: str) -> dict[str, SnapshotId]:
    """The current rows of a table by partition."""
    return {found.partition: found for found in house.tables.current(LINE, table)}
