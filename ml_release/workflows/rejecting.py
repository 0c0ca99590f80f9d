"""Reject a version: record who and why, and take it out of service if it is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.errors import RefusedError
from ml_release.workflows.approving import record_rejection
from ml_release.workflows.experiment_moves import end_experiment
from ml_release.workflows.promotion import roll_back

if TYPE_CHECKING:
    from ml_release.domain.approvals import Approval
    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.identity import ModelVersion
    from ml_release.ports import (
        Clock,
        Deployments,
        EvidenceStore,
        ModelLoader,
        ModelStore,
        OnlineHistory,
    )
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.promotion import Moved, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """What was recorded, and what became of the version.

    Attributes
    ----------
    moved
        The rollback, or the end of the experiment, it led to; None if the version got no traffic.
    problem
        Why it could not be taken out of service although it should have been; empty otherwise.
    """

    word: Approval
    moved: Moved | None
    problem: str = ""


def reject(
    line: ReleaseLine,
    version: ModelVersion,
    request: Request,
    *,
    environment: str,
    evidence: EvidenceStore,
    models: ModelStore,
    loader: ModelLoader,
    online: OnlineHistory,
    deployments: Deployments,
    clock: Clock,
) -> Rejected:
    """Record a rejection; a version that is shadow, canary or champion is rolled back as well.

    An experiment in which it is tried is ended.

    The word stands even where there is nothing to go back to, or somebody else declared meanwhile:
    it keeps the version from every later move, and rejecting again tries again.

    Raises
    ------
    IntegrityError
        If the approvals on record were edited.
    """
    word = record_rejection(line, version, request, evidence=evidence, now=clock.now())
    history = deployments.history(line.name, environment)
    # As for the server, what was edited by hand does not count.
    states = [declaration.state for declaration in history if not declaration.seal_problem]
    if states and _is_tried(states[-1], version.number):
        return _out_of_the_experiment(
            line, word, request, environment=environment, deployments=deployments, clock=clock
        )
    if not states or not _serves(states[-1], version.number):
        return Rejected(word=word, moved=None)
    try:
        moved = roll_back(
            line,
            None,
            bad=version.number,
            environment=environment,
            request=request,
            models=models,
            loader=loader,
            online=online,
            deployments=deployments,
            clock=clock,
        )
    except RefusedError as error:
        return Rejected(word=word, moved=None, problem=str(error))
    return Rejected(word=word, moved=moved)


def _out_of_the_experiment(
    line: ReleaseLine,
    word: Approval,
    request: Request,
    *,
    environment: str,
    deployments: Deployments,
    clock: Clock,
) -> Rejected:
    try:
        moved = end_experiment(
            line, environment=environment, request=request, deployments=deployments, clock=clock
        )
    except RefusedError as error:
        return Rejected(word=word, moved=None, problem=str(error))
    return Rejected(word=word, moved=moved)


def _is_tried(state: DeclaredState, version: int) -> bool:
    experiment = state.experiment
    is_arm = experiment is not None and version in experiment.versions
    return is_arm and state.champion.version != version


def _serves(state: DeclaredState, version: int) -> bool:
    rollout = state.rollout
    return state.champion.version == version or (rollout is not None and rollout.version == version)
