"""Declare what serves: promote a registered version, or roll back to one that served before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.deployment import Evidence, Variant
from ml_release.domain.rollback import is_rollback, methods, rolled_back
from ml_release.domain.rollout import Stage, next_place, refusals
from ml_release.domain.rollout_moves import aborted, promoted, shadowed, shared
from ml_release.domain.waivers import holding, waivers_digest
from ml_release.errors import InputError, NotFoundError, RefusedError
from ml_release.workflows.champion import CHAMPION_ALIAS, declared_or_lost, seal_refusal
from ml_release.workflows.rollback_target import find_target
from ml_release.workflows.stage_verdicts import STAGING_VERDICT, recorded_verdict
from ml_release.workflows.standing import gather_standing
from ml_release.workflows.waiver_trail import waivers_since_registration

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.domain.identity import ModelVersion
    from ml_release.domain.rollout import Destination
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


NOBODY = "none"
"""Where nobody's approval was needed, a trailer must not claim one."""


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
    way round. ``methods`` are the means of a rollback, see `ml_release.domain.rollback.methods`,
    and ``why`` says why it went back to this version; none and "" for other moves.
    """

    declaration: Declaration
    before: Declaration | None
    changed: bool
    waiver_changes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    why: str = ""


def promote(
    line: ReleaseLine,
    number: int | None,
    *,
    to: Stage | None = Stage.PRODUCTION,
    environment: str,
    request: Request,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    deployments: Deployments,
    clock: Clock,
) -> Moved:
    """Move a registered version, the newest for None, to its next place beside or in production.

    Every gate on the way is asked again. Declaring the version that already answers, or a shadow
    that already is one, changes nothing.

    Parameters
    ----------
    to
        The stage it is to reach, which has to be the next one; None for whichever that is.

    Raises
    ------
    NotFoundError
        If there is no such version.
    RefusedError
        Naming every reason: a stage skipped, evidence that does not let it go on or was judged
        against another champion, too few approvals, no verdict of shadow or canary on the present
        step, another release or an experiment under way, a version that was withdrawn, or somebody
        else who declared meanwhile. Nothing is changed then.
    IntegrityError
        If a record or a file was changed, or a waiver it was registered on was edited.
    """
    version = find_version(line, number, registry=registry)
    act = f"promotion of version {version.number}"
    before, problem = declared_or_lost(
        line, environment, deployments=deployments, registry=registry
    )
    if problem:
        message = f"{act} refused: {problem}."
        raise RefusedError(message)
    if before is not None and _is_there(before.state, version, to):
        _point_champion(line, before.state.champion.version, registry=registry)
        return Moved(declaration=before, before=before, changed=False)
    now = clock.now()
    gathered = gather_standing(
        line,
        version,
        before,
        act=act,
        evidence=evidence,
        models=models,
        registry=registry,
        now=now,
    )
    path = line.policies.rollout.path
    reasons = refusals(gathered.standing, to, path)
    following = next_place(gathered.standing, path)
    found, approvals = gathered.found, gathered.approvals
    if following is not None and following.stage is Stage.STAGING and not reasons:
        reasons = (
            f"it was not staged. Run `ml-release promote {line.name} {version.number} --to"
            " staging` first",
        )
    if reasons or following is None or found is None or approvals is None:
        # Findings have semicolons of their own: several reasons are a list.
        between = " " if len(reasons) == 1 else "\n  - "
        message = between.join((f"{act} refused:", *reasons))
        raise RefusedError(message)
    changes = waivers_since_registration(line, version, found, evidence=evidence)
    staged = recorded_verdict(line, STAGING_VERDICT, version.model_digest, evidence=evidence)
    state = _moved_state(
        line,
        version,
        following,
        before=None if before is None else before.state,
        environment=environment,
        evidence=Evidence(
            verdict_digest=found.verdict.digest,
            policy_digest=found.policy_digest,
            feature_version=found.candidate.feature_version,
            data_digest=found.candidate.data_digest,
            staging_digest=staged.digest if staged is not None and path.has_staging else None,
            approval_digest=approvals.digest,
        ),
        now=now,
    )
    used = holding(found.waived)
    declaration = deployments.declare(
        state,
        expected_commit=None if before is None else before.commit,
        trailers={
            "Actor": request.by,
            "Reason": request.reason,
            "Run-Id": request.run_id,
            "Release": state.release,
            "Evidence-Digest": found.verdict.digest,
            **({"Waivers-Digest": waivers_digest(used)} if used else {}),
            "Approved-By": ", ".join(word.by for word in approvals.counted) or NOBODY,
        },
        at=now,
    )
    _point_champion(line, state.champion.version, registry=registry)
    return Moved(declaration=declaration, before=before, changed=True, waiver_changes=changes)


def _is_there(state: DeclaredState, version: ModelVersion, to: Stage | None) -> bool:
    """Whether the move was made already, by an earlier try or by somebody else."""
    if state.champion.model_digest == version.model_digest:
        return to in (None, Stage.PRODUCTION)
    shadows = {shadow.model_digest for shadow in state.shadows}
    return to is Stage.SHADOW and version.model_digest in shadows


def _moved_state(
    line: ReleaseLine,
    version: ModelVersion,
    following: Destination,
    *,
    before: DeclaredState | None,
    environment: str,
    evidence: Evidence,
    now: datetime,
) -> DeclaredState:
    policy = line.policies.rollout
    variant = Variant(
        role="champion",
        version=version.number,
        model_digest=version.model_digest,
        weight_percent=100.0,
    )
    rollout = None if before is None else before.rollout
    # The shares of one release are cut by one salt, so that nobody who met the canary leaves it
    # when its share grows.
    is_same = before is not None and rollout is not None and rollout.version == version.number
    release = (
        before.release
        if is_same and before is not None
        else f"{line.name}-{version.number}-{now:%Y%m%dT%H%M%SZ}"
    )
    if following.stage is Stage.SHADOW and before is not None:
        return shadowed(
            before,
            version=variant,
            evidence=evidence,
            sample_percent=policy.shadow_sample_percent,
            release=release,
            now=now,
        )
    if following.stage is Stage.CANARY and before is not None and following.step is not None:
        return shared(
            before,
            version=variant,
            evidence=evidence,
            step=following.step,
            weight_percent=policy.canary_steps[following.step].weight_percent,
            release=release,
            now=now,
        )
    return promoted(
        before,
        line=line.name,
        environment=environment,
        version=variant,
        release=release,
        evidence=evidence,
        # The decisions it was judged by are the decisions it gives.
        threshold=None if line.task == "regression" else line.policies.evaluation.quality.threshold,
        watched_from=now if before is not None and policy.is_watched else None,
    )


def roll_back(
    line: ReleaseLine,
    number: int | None,
    *,
    environment: str,
    request: Request,
    models: ModelStore,
    loader: ModelLoader,
    online: OnlineHistory,
    deployments: Deployments,
    clock: Clock,
    bad: int | None = None,
) -> Moved:
    """Restore the newest version that may serve again, or the one named; withdraw the present one.

    A shadow or a canary is taken back and withdrawn before anything else: the champion stays, and
    naming another version is how to go back further. Needs neither the registry nor the experiment
    tracker: they may be down when it matters. The target is tried first, so that nothing is
    declared that cannot answer what clients ask now; one that cannot is passed over for the next
    older one, see `ml_release.workflows.rollback_target`. Asking again changes nothing: neither for
    the version that answers already, nor, without a version, when the present state is a rollback.

    Only sealed declarations count, as for the server. One that was edited by hand is replaced in
    any case: if nothing is to be rolled back, by the last sealed state.

    Parameters
    ----------
    bad
        The version that is to serve no more, the champion or what is on its way; None for
        whichever is on its way, and the champion if nothing is.

    Raises
    ------
    RefusedError
        If there is no version to go back to, or none is fit, with the reason for each.
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

    release = f"{line.name}-rollback-{clock.now():%Y%m%dT%H%M%SZ}"
    rollout = states[-1].rollout if states else None
    is_on_its_way = rollout is not None and rollout.leg != "watch"
    is_done = number is None and bad is None and is_rollback(states)
    if is_on_its_way and number in (None, serving) and (bad is None or bad != serving):
        # The champion never left: nothing has to be loaded to give it back what it had.
        target = states[-1]
        state = aborted(target, release=release)
        why = f"version {serving} never left"
    elif serving is not None and (number == serving or is_done or bad not in (None, serving)):
        return again()
    else:
        try:
            choice = find_target(
                line, states, wanted=number, models=models, loader=loader, online=online
            )
        except RefusedError:
            if number is None and whole and whole[-1].seal_problem:
                return again()
            raise
        target, why = choice.target, choice.reason
        state = rolled_back(states[-1], target, release=release)
    before = history[-1]
    used = methods(before.state, state)
    declaration = deployments.declare(
        state,
        expected_commit=whole[-1].commit,
        trailers={
            "Actor": request.by,
            "Reason": request.reason,
            "Run-Id": request.run_id,
            "Release": release,
            "Evidence-Digest": target.evidence.verdict_digest,
            "Method": ", ".join(used),
            "Chosen": " ".join(why.split()),
            "Feature-Version": state.evidence.feature_version,
            "Data-Digest": state.evidence.data_digest or "unknown",
            "Approved-By": NOBODY,
        },
        at=clock.now(),
    )
    return Moved(declaration=declaration, before=before, changed=True, methods=used, why=why)


def declare_again(
    sealed: Declaration,
    standing: Declaration,
    *,
    request: Request,
    deployments: Deployments,
    clock: Clock,
) -> Moved:
    """Declare a state again in the place of ``standing``; nothing if it stands there, sealed."""
    stands = not standing.seal_problem and not standing.forgotten
    if sealed.state == standing.state and stands:
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
