"""Begin an experiment and end it: one commit each, refused or done as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ml_release.domain.deployment import Variant
from ml_release.domain.experiment import Experiment
from ml_release.domain.experiment_design import (
    digest_of_experiment,
    plan_experiment,
    plan_from_json,
)
from ml_release.domain.experiment_moves import back_to_control, require_room, with_experiment
from ml_release.domain.rollout import frozen_by, gates_to_answer, held_by
from ml_release.errors import InputError, NotFoundError, RefusedError
from ml_release.workflows.champion import declared_or_lost, seal_refusal
from ml_release.workflows.experiments import EXPERIMENT_PLAN
from ml_release.workflows.promotion import NOBODY, Moved, Request, find_version
from ml_release.workflows.standing import gather_standing

if TYPE_CHECKING:
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.experiment import Allocation
    from ml_release.domain.experiment_design import Baseline, ExperimentPlan
    from ml_release.domain.experiment_policy import ExperimentPolicy
    from ml_release.ports import Clock, Deployments, EvidenceStore, ModelRegistry, ModelStore
    from ml_release.spec.release_line import ReleaseLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An experiment that is wanted.

    Attributes
    ----------
    name
        Not used before: answers and rewards are counted under it.
    versions
        To try beside the control, which is the version that answers.
    share_percent
        Of the units, that take part.
    weights_percent
        Of the control and then of ``versions``; None for equal parts.
    floor_percent
        The least part of each arm under ``thompson``.
    """

    name: str
    versions: tuple[int, ...]
    share_percent: float = 100.0
    weights_percent: tuple[float, ...] | None = None
    allocation: Allocation = "fixed"
    floor_percent: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What is declared now and by which plan; ``changed`` is False if it was so already."""

    experiment: Experiment
    plan: ExperimentPlan
    declaration: Declaration
    changed: bool


def draft_experiment(line: ReleaseLine, draft: Draft, *, control: int) -> Experiment:
    """The experiment as it would be declared.

    Raises
    ------
    InputError
        Listing what is wrong with it.
    """
    versions = (control, *draft.versions)
    weights = draft.weights_percent or tuple(100 / len(versions) for _ in versions)
    if len(weights) != len(versions):
        message = (
            f"experiment {draft.name}: expected a weight for each of versions {list(versions)},"
            f" the control's first, found {len(weights)}"
        )
        raise InputError(message)
    try:
        return Experiment.model_validate(
            {
                "name": draft.name,
                # Of the name alone, so that asking again asks for the same split.
                "salt": f"{line.name}-{draft.name}",
                "share_percent": float(draft.share_percent),
                "arms": tuple(
                    {"version": version, "weight_percent": float(weight)}
                    for version, weight in zip(versions, weights, strict=True)
                ),
                "allocation": draft.allocation,
                "floor_percent": float(draft.floor_percent),
            }
        )
    except ValidationError as error:
        rows = "\n".join(
            f"  - {'.'.join(str(part) for part in problem['loc']) or 'arms'}: {problem['msg']}"
            for problem in error.errors()
        )
        message = f"experiment {draft.name!r} of {line.name} is not valid.\n{rows}"
        raise InputError(message) from error


def begin_experiment(
    line: ReleaseLine,
    draft: Draft,
    *,
    baseline: Baseline,
    policy: ExperimentPolicy,
    environment: str,
    request: Request,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    deployments: Deployments,
    clock: Clock,
) -> Begun:
    """Plan it, record the plan, and declare it beside the version that answers.

    Asking for the experiment that is declared already changes nothing, its plan included.

    Raises
    ------
    InputError
        If the draft or its plan is not usable.
    NotFoundError
        If a version is not registered, or nothing is declared to compare with.
    RefusedError
        If a rollout or another experiment is under way, the name was used before, or a version was
        withdrawn, was not staged or approved where the policy asks for it, has no evidence that
        lets it answer, or was judged against another champion.
    IntegrityError
        If a record or a file was changed.
    """
    before, problem = declared_or_lost(
        line, environment, deployments=deployments, registry=registry
    )
    if before is None:
        message = problem or f"nothing is declared for {line.name} in {environment}"
        message = f"experiment {draft.name} refused: {message}; promote a version first."
        raise NotFoundError(message)
    champion = before.state.champion
    experiment = draft_experiment(line, draft, control=champion.version)
    digest = digest_of_experiment(experiment)
    known = evidence.find(line.name, EXPERIMENT_PLAN, digest)
    if before.state.experiment == experiment and known is not None:
        return Begun(
            experiment=experiment,
            plan=plan_from_json(known),
            declaration=before,
            changed=False,
        )
    require_room(before.state, experiment)
    _require_new_name(line, experiment, environment=environment, deployments=deployments)
    treatments, approved_by = [], list[str]()
    now = clock.now()
    gates = gates_to_answer(line.policies.rollout.path)
    for number in draft.versions:
        version = find_version(line, number, registry=registry)
        act = f"experiment {draft.name} with version {number}"
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
        frozen = frozen_by(gathered.standing)
        reasons = (*held_by(gates, gathered.standing), *(() if frozen is None else (frozen,)))
        if reasons:
            message = f"{act} refused: {'; '.join(reasons)}"
            raise RefusedError(message)
        if gathered.approvals is not None:
            approved_by += [word.by for word in gathered.approvals.counted]
        treatments.append(
            Variant(
                role="treatment",
                version=number,
                model_digest=version.model_digest,
                weight_percent=0.0,
            )
        )
    plan = plan_experiment(experiment, baseline, policy, begun_at=now.isoformat())
    # Before the commit: an experiment is never there without the plan it is judged by.
    evidence.record(line.name, EXPERIMENT_PLAN, digest, plan.to_json())
    declaration = deployments.declare(
        with_experiment(before.state, experiment, treatments),
        expected_commit=before.commit,
        trailers={
            **_trailers(before, request, f"begin experiment {experiment.name}", plan.digest),
            "Approved-By": ", ".join(dict.fromkeys(approved_by)) or NOBODY,
        },
        at=now,
    )
    return Begun(experiment=experiment, plan=plan, declaration=declaration, changed=True)


def end_experiment(
    line: ReleaseLine,
    name: str | None = None,
    *,
    environment: str,
    request: Request,
    deployments: Deployments,
    clock: Clock,
) -> Moved:
    """Back to control: the champion answers all units again, in one commit.

    Needs neither registry nor evidence nor log: they may be down when it matters. An arm that was
    better is promoted by a move of its own. Asking again changes nothing.

    Parameters
    ----------
    name
        Of the experiment that is to end; None for whichever is declared.

    Raises
    ------
    NotFoundError
        If nothing is declared for the line at all.
    RefusedError
        If another experiment than the named one is declared, what is declared was edited by hand,
        or somebody else declared meanwhile.
    """
    before = deployments.read(line.name, environment)
    if before is not None and before.seal_problem:
        reason = seal_refusal(before, deployments=deployments)
        message = f"end of an experiment of {line.name} refused: {reason}."
        raise RefusedError(message)
    if before is None:
        message = (
            f"end of an experiment of {line.name} refused: expected a declared line, found nothing"
            f" declared in {environment}"
        )
        raise NotFoundError(message)
    if before.seal_problem:
        reason = seal_refusal(before, deployments=deployments)
        message = f"end of an experiment of {line.name} refused: {reason}."
        raise RefusedError(message)
    experiment = before.state.experiment
    if experiment is None:
        return Moved(declaration=before, before=before, changed=False)
    if name not in (None, experiment.name):
        message = (
            f"end of experiment {name} of {line.name} refused: expected it to be declared, found"
            f" {experiment.name}. Name that one if it is meant."
        )
        raise RefusedError(message)
    declaration = deployments.declare(
        back_to_control(before.state),
        expected_commit=before.commit,
        trailers=_trailers(
            before,
            request,
            f"end experiment {experiment.name}",
            before.state.evidence.verdict_digest,
        ),
        at=clock.now(),
    )
    return Moved(declaration=declaration, before=before, changed=True)


def _require_new_name(
    line: ReleaseLine, experiment: Experiment, *, environment: str, deployments: Deployments
) -> None:
    for declaration in deployments.history(line.name, environment):
        known = declaration.state.experiment
        if known is not None and known.name == experiment.name:
            message = (
                f"experiment {experiment.name} of {line.name} refused: its name was used before"
                f" (commit {declaration.commit[:12]}), and answers and rewards are counted under"
                " it. Take another name."
            )
            raise RefusedError(message)


def _trailers(
    before: Declaration, request: Request, what: str, evidence_digest: str
) -> dict[str, str]:
    return {
        "Actor": request.by,
        "Reason": f"{what}: {request.reason}",
        "Run-Id": request.run_id,
        "Release": before.state.release,
        "Evidence-Digest": evidence_digest,
        "Approved-By": NOBODY,
    }
