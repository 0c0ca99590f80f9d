"""Withdraw a version for ever, or lift it again: both by a named person, both one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.identity import canonical_json
from ml_release.domain.rollback import methods
from ml_release.domain.withdrawal_moves import lifted, without
from ml_release.domain.withdrawals import served_by
from ml_release.errors import NotFoundError, RefusedError
from ml_release.workflows.approving import LIFT
from ml_release.workflows.champion import seal_refusal
from ml_release.workflows.promotion import NOBODY, Moved, find_version, roll_back

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.ports import (
        Clock,
        Deployments,
        EvidenceStore,
        ModelLoader,
        ModelRegistry,
        ModelStore,
        OnlineHistory,
    )
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.promotion import Request


def withdraw(
    line: ReleaseLine,
    number: int,
    *,
    environment: str,
    request: Request,
    models: ModelStore,
    loader: ModelLoader,
    online: OnlineHistory,
    registry: ModelRegistry,
    deployments: Deployments,
    clock: Clock,
) -> Moved:
    """Let a version serve no more, until a named person lifts it; asked again it changes nothing.

    The champion is rolled back. A shadow, a canary or an arm of an experiment is taken back. Any
    other version is only barred. The registry is asked only for a version that never stood in this
    environment, to tell a slip of the pen.

    Raises
    ------
    NotFoundError
        If nothing is declared, or there is no such version.
    RefusedError
        If it is the champion and there is no version to go back to, what is declared was edited by
        hand, or somebody else declared meanwhile.
    """
    act = f"withdrawal of version {number}"
    before = _standing(line, environment, act=act, deployments=deployments)
    if number in before.state.withdrawn:
        return Moved(declaration=before, before=before, changed=False)
    if number == before.state.champion.version:
        return roll_back(
            line,
            None,
            bad=number,
            environment=environment,
            request=request,
            models=models,
            loader=loader,
            online=online,
            deployments=deployments,
            clock=clock,
        )
    if not _ever_stood(line, number, environment=environment, deployments=deployments):
        find_version(line, number, registry=registry)
    state = without(before.state, number)
    used = methods(before.state, state)
    return _declared(
        state,
        before,
        {"Withdraws": str(number), **({"Method": ", ".join(used)} if used else {})},
        request=request,
        deployments=deployments,
        clock=clock,
    )


def lift(
    line: ReleaseLine,
    number: int,
    *,
    environment: str,
    request: Request,
    evidence: EvidenceStore,
    registry: ModelRegistry,
    deployments: Deployments,
    clock: Clock,
) -> Moved:
    """Let a withdrawn version be released again; it serves nobody by that.

    Every approval of it lapses, and its watch counts no more: it goes the way of a new version.
    Asked again it changes nothing.

    Raises
    ------
    NotFoundError
        If nothing is declared, or there is no such version.
    RefusedError
        If it never was withdrawn, or somebody else declared meanwhile.
    """
    before = _standing(line, environment, act=f"lift of version {number}", deployments=deployments)
    if number not in before.state.withdrawn and number in before.state.lifted:
        return Moved(declaration=before, before=before, changed=False)
    version = find_version(line, number, registry=registry)
    state = lifted(before.state, number)
    word = {
        "environment": environment,
        "lift": state.lifted.count(number),
        "by": request.by,
        "reason": request.reason,
        "at": clock.now().isoformat(),
    }
    # Before the commit: a run that ends between the two leaves the version withdrawn.
    evidence.record(line.name, LIFT, version.model_digest, canonical_json(word))
    return _declared(
        state,
        before,
        {"Lifts": str(number)},
        request=request,
        deployments=deployments,
        clock=clock,
    )


def _standing(
    line: ReleaseLine, environment: str, *, act: str, deployments: Deployments
) -> Declaration:
    found = deployments.read(line.name, environment)
    if found is None:
        message = (
            f"{act} of {line.name} refused: expected something declared in {environment}, found"
            f" nothing. Run `ml-release reject {line.name}`, which keeps a version from every move."
        )
        raise NotFoundError(message)
    if not found.seal_problem:
        return found
    message = f"{act} of {line.name} refused: {seal_refusal(found, deployments=deployments)}."
    raise RefusedError(message)


def _ever_stood(
    line: ReleaseLine, number: int, *, environment: str, deployments: Deployments
) -> bool:
    return any(
        number in served_by(declaration.state)
        for declaration in deployments.history(line.name, environment)
    )


def _declared(
    state: DeclaredState,
    before: Declaration,
    more: Mapping[str, str],
    *,
    request: Request,
    deployments: Deployments,
    clock: Clock,
) -> Moved:
    declaration = deployments.declare(
        state,
        expected_commit=before.commit,
        trailers={
            "Actor": request.by,
            "Reason": request.reason,
            "Run-Id": request.run_id,
            "Release": state.release,
            "Evidence-Digest": state.evidence.verdict_digest,
            **more,
            "Approved-By": NOBODY,
        },
        at=clock.now(),
    )
    return Moved(
        declaration=declaration,
        before=before,
        changed=True,
        methods=methods(before.state, state),
    )
