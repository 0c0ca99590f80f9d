"""Declare what serves: promote a registered version, or roll back to one that served before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.deployment import Evidence, Variant
from ml_release.domain.rollback import choose_target, is_rollback, promoted, rolled_back
from ml_release.domain.verdict import require_evidence
from ml_release.domain.waivers import holding, waivers_digest
from ml_release.errors import InputError, NotFoundError, RefusedError
from ml_release.workflows.champion import CHAMPION_ALIAS, declared_or_lost, seal_refusal
from ml_release.workflows.release_gate import require_releasable
from ml_release.workflows.waiver_trail import waivers_since_registration

if TYPE_CHECKING:
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.identity import ModelVersion
    from ml_release.ports import (
        Clock,
        Deployments,
        EvidenceStore,
        ModelLoader,
        ModelRegistry,
        ModelStore,
    )
    from ml_release.spec.release_line import ReleaseLine


NOBODY = "none"
"""Approvals are not asked for yet, and a trailer must not claim one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Who asks for a move and why; ``run_id`` is the orchestrator's run that carries it out."""

    by: str
    reason: str
    run_id: str

    def __post_init__(self) -> None:
        """Refuse a move nobody answers for."""
        for name in ("by", "reason"):
            if not getattr(self, name).strip():
                message = f"move refused: expected who asks and why, found an empty {name!r}"
                raise InputError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What is declared now, what was before, and whether anything changed.

    ``waiver_changes`` are waivers it went on that the version was not registered on, and the other
    way round.
    """

    declaration: Declaration
    before: Declaration | None
    changed: bool
    waiver_changes: tuple[str, ...] = ()


def promote(
    line: ReleaseLine,
    number: int | None,
    *,
    environment: str,
    request: Request,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    deployments: Deployments,
    clock: Clock,
) -> Moved:
    """Give a registered version, the newest for None, all traffic; its predecessor stays warm.

    Declaring the version that already answers changes nothing.

    Raises
    ------
    NotFoundError
        If there is no such version.
    RefusedError
        If its evidence does not let it, it was judged against another champion than the present
        one, it was withdrawn, or somebody else declared meanwhile.
    IntegrityError
        If a record or a file was changed, or a waiver it was registered on was edited.
    """
    version = find_version(line, number, registry=registry)
    before, problem = declared_or_lost(
        line, environment, deployments=deployments, registry=registry
    )
    if problem:
        message = f"promotion of version {version.number} refused: {problem}."
        raise RefusedError(message)
    if before is not None and before.state.champion.model_digest == version.model_digest:
        _point_champion(line, version.number, registry=registry)
        return Moved(declaration=before, before=before, changed=False)
    act = f"promotion of version {version.number}"
    found = require_releasable(
        line,
        version.model_digest,
        act=act,
        evidence=evidence,
        models=models,
        registry=registry,
        now=clock.now(),
    )
    require_evidence(
        found.verdict,
        act=act,
        champion_digest="none" if before is None else before.state.champion.model_digest,
    )
    changes = waivers_since_registration(line, version, found, evidence=evidence)
    used = holding(found.waived)
    release = f"{line.name}-{version.number}-{clock.now():%Y%m%dT%H%M%SZ}"
    state = promoted(
        None if before is None else before.state,
        line=line.name,
        environment=environment,
        version=Variant(
            role="champion",
            version=version.number,
            model_digest=version.model_digest,
            weight_percent=100.0,
        ),
        release=release,
        evidence=Evidence(
            verdict_digest=found.verdict.digest,
            policy_digest=found.policy_digest,
            feature_version=found.candidate.feature_version,
        ),
        # The decisions it was judged by are the decisions it gives.
        threshold=None if line.task == "regression" else line.policies.evaluation.quality.threshold,
    )
    declaration = deployments.declare(
        state,
        expected_commit=None if before is None else before.commit,
        trailers={
            "Actor": request.by,
            "Reason": request.reason,
            "Run-Id": request.run_id,
            "Release": release,
            "Evidence-Digest": found.verdict.digest,
            **({"Waivers-Digest": waivers_digest(used)} if used else {}),
            "Approved-By": NOBODY,
        },
        at=clock.now(),
    )
    _point_champion(line, version.number, registry=registry)
    return Moved(declaration=declaration, before=before, changed=True, waiver_changes=changes)


def roll_back(
    line: ReleaseLine,
    number: int | None,
    *,
    environment: str,
    request: Request,
    models: ModelStore,
    loader: ModelLoader,
    deployments: Deployments,
    clock: Clock,
) -> Moved:
    """Restore the newest version that may serve again, or the one named; withdraw the present one.

    Needs neither the registry nor the experiment tracker: they may be down when it matters. The
    target is loaded first, so that nothing is declared that cannot answer. Asking again changes
    nothing: neither for the version that answers already, nor, without a version, when the present
    state is a rollback.

    Only sealed declarations count, as for the server. One that was edited by hand is replaced in
    any case: if nothing is to be rolled back, by the last sealed state.

    Raises
    ------
    RefusedError
        If there is no version to go back to.
    IntegrityError, NotFoundError
        If the target's artefact cannot be loaded.
    """
    whole = deployments.history(line.name, environment)
    history = [declaration for declaration in whole if not declaration.seal_problem]
    if whole and not history:
        reason = seal_refusal(whole[-1], deployments=deployments)
        message = f"rollback of {line.name} refused: {reason}."
        raise RefusedError(message)
    states = [declaration.state for declaration in history]
    serving = states[-1].champion.version if states else None

    def again() -> Moved:
        return declare_again(
            history[-1], whole[-1], request=request, deployments=deployments, clock=clock
        )

    if serving is not None and (number == serving or (number is None and is_rollback(states))):
        return again()
    try:
        target = choose_target(states, wanted=number)
    except RefusedError:
        if number is None and whole and whole[-1].seal_problem:
            return again()
        raise
    loader.load(models.read(target.champion.model_digest))
    before = history[-1]
    release = f"{line.name}-rollback-{clock.now():%Y%m%dT%H%M%SZ}"
    state = rolled_back(before.state, target, release=release)
    declaration = deployments.declare(
        state,
        expected_commit=whole[-1].commit,
        trailers={
            "Actor": request.by,
            "Reason": request.reason,
            "Run-Id": request.run_id,
            "Release": release,
            "Evidence-Digest": target.evidence.verdict_digest,
            "Approved-By": NOBODY,
        },
        at=clock.now(),
    )
    return Moved(declaration=declaration, before=before, changed=True)


def declare_again(
    sealed: Declaration,
    standing: Declaration,
    *,
    request: Request,
    deployments: Deployments,
    clock: Clock,
) -> Moved:
    """Declare a state again in the place of ``standing``; nothing if it stands there, sealed."""
    if sealed.state == standing.state and not standing.seal_problem:
        return Moved(declaration=standing, before=standing, changed=False)
    declaration = deployments.declare(
        sealed.state,
        expected_commit=standing.commit,
        trailers={
            "Actor": request.by,
            "Reason": request.reason,
            "Run-Id": request.run_id,
            "Release": sealed.state.release,
            "Evidence-Digest": sealed.state.evidence.verdict_digest,
            "Restores": sealed.commit,
            "Approved-By": NOBODY,
        },
        at=clock.now(),
    )
    return Moved(declaration=declaration, before=sealed, changed=True)


def find_version(line: ReleaseLine, number: int | None, *, registry: ModelRegistry) -> ModelVersion:
    """A registered version, the newest for None; `NotFoundError` if there is none."""
    versions = registry.versions(line.name)
    for version in reversed(versions):
        if number is None or version.number == number:
            return version
    known = [version.number for version in versions]
    message = (
        f"{line.name}: expected {'a registered version' if number is None else f'version {number}'}"
        " in the registry, found"
        f" {known or 'none'}. Run `ml-release train {line.name}` first."
    )
    raise NotFoundError(message)


def _point_champion(line: ReleaseLine, number: int, *, registry: ModelRegistry) -> None:
    registry.point_alias(line.name, CHAMPION_ALIAS, number)
