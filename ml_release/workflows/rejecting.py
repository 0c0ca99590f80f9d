"""Reject a version: record who and why, and take it out of service if it is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.errors import RefusedError
from ml_release.workflows.approving import record_rejection
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
        The rollback it led to; None if the version got no traffic.
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

    The word stands even where there is nothing to go back to: it keeps the version from every
    later move.

    Raises
    ------
    IntegrityError
        If the approvals on record were edited.
    StaleWriteError
        If somebody else declared meanwhile; the rejection is recorded and can be repeated.
    """
    word = record_rejection(line, version, request, evidence=evidence, now=clock.now())
    history = deployments.history(line.name, environment)
    # As for the server, what was edited by hand does not count.
    states = [declaration.state for declaration in history if not declaration.seal_problem]
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


def _serves(state: DeclaredState, version: int) -> bool:
    rollout = state.rollout
    return state.champion.version == version or (rollout is not None and rollout.version == version)
