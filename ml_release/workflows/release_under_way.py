"""The release under way as a status tells it: where it stands and what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from ml_release.domain.rollout import frozen_by, next_place
from ml_release.domain.verdict import Outcome
from ml_release.errors import MlReleaseError
from ml_release.workflows.promotion import find_version
from ml_release.workflows.stage_verdicts import (
    CANARY_VERDICT,
    SHADOW_VERDICT,
    WATCH_VERDICT,
    recorded_verdict,
)
from ml_release.workflows.standing import gather_standing

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.declared_rollout import Rollout
    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import EvidenceStore, ModelRegistry, ModelStore
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.standing import Gathered

_KINDS = {"shadow": SHADOW_VERDICT, "canary": CANARY_VERDICT, "watch": WATCH_VERDICT}


class ReleaseUnderWay(BaseModel):
    """A release between staging and the end of its watch.

    Attributes
    ----------
    leg, step, steps
        ``shadow``, ``canary`` or ``watch``; the step of the canary, counted from 1, and how many
        there are, both None on the other legs.
    begun, since
        When it was first put beside production, and when its present step began, ISO 8601.
    shares
        Who answers which share, and who is asked in secret, in words.
    verdict
        What was seen last of the present leg, in a sentence.
    approvals
        Whether enough people let it through, in a sentence.
    waits_for
        In words; empty if it goes on by itself at the next tick.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    leg: str
    step: int | None
    steps: int | None
    begun: str
    since: str
    shares: tuple[str, ...]
    verdict: str
    approvals: str
    waits_for: str


def release_under_way(
    line: ReleaseLine,
    declaration: Declaration | None,
    *,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    now: datetime,
) -> ReleaseUnderWay | None:
    """The release under way by a sealed declaration; None if there is none.

    Records that cannot be read are named in what it waits for: a status is told in any case.
    """
    rollout = None if declaration is None else declaration.state.rollout
    if declaration is None or rollout is None:
        return None
    policy = line.policies.rollout
    gathered, verdict, problem = None, None, ""
    try:
        verdict = recorded_verdict(
            line, _KINDS[rollout.leg], rollout.model_digest, evidence=evidence
        )
        gathered = gather_standing(
            line,
            find_version(line, rollout.version, registry=registry),
            declaration,
            act=f"promotion of version {rollout.version}",
            evidence=evidence,
            models=models,
            registry=registry,
            now=now,
        )
    except MlReleaseError as error:
        problem = str(error)
    is_canary = rollout.leg == "canary"
    approval = None if gathered is None else gathered.standing.gates.get("approval")
    return ReleaseUnderWay(
        version=rollout.version,
        leg=rollout.leg,
        step=rollout.step + 1 if is_canary else None,
        steps=len(policy.path.weights_percent) if is_canary else None,
        begun=rollout.begun.isoformat(),
        since=rollout.since.isoformat(),
        shares=_shares(declaration.state),
        verdict=_said(verdict, declaration),
        approvals="not known" if approval is None else approval.sentence(),
        waits_for=problem or _waits_for(line, rollout, declaration, gathered, verdict),
    )


def _shares(state: DeclaredState) -> tuple[str, ...]:
    return (
        *(f"{v.role} version {v.version}: {v.weight_percent:g} %" for v in state.variants),
        *(f"shadow version {s.version}: asked {s.sample_percent:g} %" for s in state.shadows),
    )


def _said(verdict: Verdict | None, declaration: Declaration) -> str:
    if verdict is None or not _is_of_now(verdict, declaration):
        return "nothing was judged yet"
    objections = "; ".join(finding.sentence() for finding in verdict.objections[:1])
    more = len(verdict.objections) - 1
    tail = f" (and {more} more)" if more > 0 else ""
    answer = verdict.evidence.get("answer")
    head = verdict.outcome.value if answer is None else f"{answer}, {verdict.outcome.value}"
    return f"{head}: {objections or 'every rule that votes passes'}{tail}"


def _is_of_now(verdict: Verdict, declaration: Declaration) -> bool:
    """What was seen on another step says nothing of this one."""
    return verdict.evidence.get("declared_commit") == declaration.commit


def _waits_for(
    line: ReleaseLine,
    rollout: Rollout,
    declaration: Declaration,
    gathered: Gathered | None,
    verdict: Verdict | None,
) -> str:
    """What keeps automation from going on, in the order in which it asks."""
    switch = declaration.state.kill_switch
    if switch is not None and switch.engaged:
        return "a person to release the kill switch"
    if verdict is None or not _is_of_now(verdict, declaration):
        return f"the first verdict of its {rollout.leg}"
    policy = line.policies.rollout
    if gathered is not None and rollout.leg != "watch":
        if next_place(gathered.standing, policy.path) is None:
            return "a person to roll it back: the policy no longer declares where it stands"
        shut = [
            f
            for name, f in gathered.standing.gates.items()
            if name in {"evidence", "staging", "approval"} and f.outcome is not Outcome.PASS
        ]
        frozen = frozen_by(gathered.standing)
        if shut or frozen is not None:
            told = [finding.sentence() for finding in shut]
            return "; ".join(told if frozen is None else [*told, frozen])
    if verdict.outcome is not Outcome.PASS:
        said = "; ".join(finding.sentence() for finding in verdict.objections[:1])
        return f"its {rollout.leg}: {said or 'nothing was found out'}"
    is_driven = not policy.automatic and rollout.leg != "watch"
    return "a person to promote it" if is_driven else ""
