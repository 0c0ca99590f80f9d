"""What automation does about the release under way: judge, decide, and act on the decision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_release.domain.rollout import refusals
from ml_release.domain.rollout_decision import RolloutDecision, decide_rollout
from ml_release.domain.rollout_moves import settled
from ml_release.errors import RefusedError
from ml_release.workflows.champion import seal_refusal
from ml_release.workflows.promotion import NOBODY, Moved, find_version, promote, roll_back
from ml_release.workflows.rollout_judging import judge_rollout
from ml_release.workflows.standing import gather_standing

if TYPE_CHECKING:
    from ml_release.domain.verdict import Finding
    from ml_release.ports import (
        Clock,
        Deployments,
        EvidenceStore,
        InferenceLog,
        ModelLoader,
        ModelRegistry,
        ModelStore,
        OnlineHistory,
        Plotter,
        Tables,
    )
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.promotion import Request
    from ml_release.workflows.rollout_judging import LegJudgement


AUTOMATION = "rollout"
"""Who signs the moves that follow from a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What one look at a release has led to.

    Attributes
    ----------
    moved
        None where nothing was done.
    approval
        Whether enough people let the version through; None where that was not asked.
    """

    decision: RolloutDecision
    judged: LegJudgement | None
    moved: Moved | None = None
    approval: Finding | None = None


def look_at_rollout(
    line: ReleaseLine,
    *,
    environment: str,
    inference_log: InferenceLog,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    deployments: Deployments,
    clock: Clock,
    plotter: Plotter | None = None,
) -> Tick:
    """Judge the release under way and say what is to be done; nothing is moved.

    Raises
    ------
    IntegrityError
        If a record or a file was changed.
    """
    now = clock.now()
    judged = judge_rollout(
        line,
        environment=environment,
        inference_log=inference_log,
        deployments=deployments,
        tables=tables,
        evidence=evidence,
        plotter=plotter,
        now=now,
    )
    standing = deployments.read(line.name, environment)
    rollout = None if standing is None else standing.state.rollout
    if judged is None or standing is None or rollout is None:
        problem = "" if standing is None else standing.seal_problem
        decision = decide_rollout(
            None, answer=None, said="", approval=None, refusals=(), automatic=True
        )
        if problem:
            decision = RolloutDecision(act="nothing", reason=f"held: {problem}")
        return Tick(decision=decision, judged=None)
    approval: Finding | None = None
    reasons: tuple[str, ...] = ()
    if judged.answer != "roll_back":
        # Taking back asks nobody: registry and experiments may be down when it matters.
        version = find_version(line, rollout.version, registry=registry)
        gathered = gather_standing(
            line,
            version,
            standing,
            act=f"promotion of version {version.number}",
            evidence=evidence,
            models=models,
            registry=registry,
            now=now,
        )
        approval = gathered.standing.gates.get("approval")
        if rollout.leg != "watch":
            reasons = refusals(gathered.standing, None, line.policies.rollout.path)
    switch = standing.state.kill_switch
    decision = decide_rollout(
        rollout,
        answer=judged.answer,
        said=judged.said,
        approval=approval,
        refusals=reasons,
        automatic=line.policies.rollout.automatic,
        is_switched_off=switch is not None and switch.engaged,
    )
    return Tick(
        decision=decision,
        judged=judged,
        approval=approval,
    )


def act_on_rollout(
    line: ReleaseLine,
    *,
    environment: str,
    run_request: Request,
    inference_log: InferenceLog,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    loader: ModelLoader,
    online: OnlineHistory,
    registry: ModelRegistry,
    deployments: Deployments,
    urgent: Deployments,
    plotter: Plotter,
    clock: Clock,
) -> Tick:
    """Look again, and do what the decision says; a second run of the same does nothing more.

    Parameters
    ----------
    run_request
        Who acts; its reason is replaced by that of the decision.
    urgent
        The same deployments for what must not wait: taking back.

    Raises
    ------
    RefusedError, StaleWriteError
        If the move is refused, or somebody else declared meanwhile; the next tick looks again.
    IntegrityError
        If a record or a file was changed.
    """
    tick = look_at_rollout(
        line,
        environment=environment,
        inference_log=inference_log,
        tables=tables,
        evidence=evidence,
        models=models,
        registry=registry,
        deployments=deployments,
        plotter=plotter,
        clock=clock,
    )
    if tick.judged is None or tick.decision.act == "nothing":
        return tick
    request = type(run_request)(
        by=run_request.by, reason=one_line(tick.decision.reason), run_id=run_request.run_id
    )
    if tick.decision.act == "roll_back":
        moved = roll_back(
            line,
            None,
            environment=environment,
            request=request,
            models=models,
            loader=loader,
            online=online,
            deployments=urgent,
            clock=clock,
        )
    elif tick.decision.act == "settle":
        moved = settle(
            line, environment=environment, request=request, deployments=deployments, clock=clock
        )
    else:
        moved = promote(
            line,
            tick.judged.version,
            to=None,
            environment=environment,
            request=request,
            evidence=evidence,
            models=models,
            registry=registry,
            deployments=deployments,
            clock=clock,
        )
    return replace(tick, moved=moved)


def settle(
    line: ReleaseLine,
    *,
    environment: str,
    request: Request,
    deployments: Deployments,
    clock: Clock,
) -> Moved:
    """End a watch that found no harm: one commit, after which the version counts as a good one.

    Raises
    ------
    RefusedError
        If no release is under watch, what is declared was edited by hand, or somebody else declared
        meanwhile.
    """
    before = deployments.read(line.name, environment)
    if before is not None and before.seal_problem:
        # What is declared next is sealed: it would make good what somebody has edited.
        reason = seal_refusal(before, deployments=deployments)
        message = f"end of the watch of {line.name} refused: {reason}."
        raise RefusedError(message)
    rollout = None if before is None else before.state.rollout
    if before is None or rollout is None or rollout.leg != "watch":
        message = f"{line.name}: expected a release under watch to settle, found none"
        raise RefusedError(message)
    if before.seal_problem:
        reason = seal_refusal(before, deployments=deployments)
        message = f"end of the watch of {line.name} refused: {reason}."
        raise RefusedError(message)
    declaration = deployments.declare(
        settled(before.state),
        expected_commit=before.commit,
        trailers={
            "Actor": request.by,
            "Reason": request.reason,
            "Run-Id": request.run_id,
            "Release": before.state.release,
            "Evidence-Digest": rollout.evidence.verdict_digest,
            "Approved-By": NOBODY,
        },
        at=clock.now(),
    )
    return Moved(declaration=declaration, before=before, changed=True)


def one_line(text: str) -> str:
    """A reason as a trailer of a commit takes it."""
    return " ".join(text.split())
