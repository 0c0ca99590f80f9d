"""Whether one declaration was a move that was allowed: approvals, withdrawals, stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.audited_evidence import NOBODY, approval_problems

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.approvals import ApprovalPolicy
    from ml_release.domain.audited_evidence import KeptEvidence
    from ml_release.domain.declared_rollout import Evidence
    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.domain.rollout import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRules:
    """What the line's present policy asks of a history; ``path`` is None where there are no stages.

    Attributes
    ----------
    path
        The stages on the way to production.
    approval
        Who has to agree.
    """

    path: Path | None
    approval: ApprovalPolicy


def rests_on(state: DeclaredState) -> list[tuple[int, str, Evidence]]:
    """Version, model digest and evidence of all that a state was declared on."""
    found = [(state.champion.version, state.champion.model_digest, state.evidence)]
    if state.rollout is not None:
        rollout = state.rollout
        found.append((rollout.version, rollout.model_digest, rollout.evidence))
    return found


def approvals(
    one: Declaration,
    before: DeclaredState | None,
    kept: Mapping[str, KeptEvidence],
    rules: AuditRules,
) -> list[str]:
    """Problems of the approvals of a version that this commit gives traffic for the first time."""
    had = set() if before is None else {v.version for v in before.variants}
    went_back = before is not None and set(one.state.withdrawn) > set(before.withdrawn)
    if went_back or rules.path is None:
        # Taking back asks nobody, and staging answers nobody.
        return []
    return [
        f"version {number}: {said}"
        for number, digest, evidence in rests_on(one.state)
        if number not in had and any(v.version == number for v in one.state.variants)
        for said in approval_problems(
            evidence,
            kept.get(digest),
            rules.approval,
            names=one.trailers.get("Approved-By", ""),
        )
    ]


def came_back(before: DeclaredState | None, one: Declaration) -> list[str]:
    """Withdrawn versions that this very commit both lifts and declares."""
    if before is None:
        return []
    state = one.state
    target = () if state.rollback_target is None else (state.rollback_target.version,)
    present = {v.version for v in state.variants} | {s.version for s in state.shadows} | set(target)
    lifted = set(before.withdrawn) - set(state.withdrawn)
    found = [
        f"version {number} was withdrawn, and is declared again without having been lifted before"
        for number in sorted(present & set(before.withdrawn))
    ]
    nobody = one.actor.strip().casefold() in (*NOBODY, "rollout")
    found += [
        f"version {number} was lifted by {one.actor or 'nobody'}; only a named person may"
        for number in sorted(lifted - present)
        if nobody
    ]
    return found


def skipped(one: Declaration, past: Sequence[DeclaredState], rules: AuditRules) -> list[str]:
    """Stages of the path that a version had not gone through when this commit moved it on."""
    path, state = rules.path, one.state
    before = past[-1] if past else None
    went_back = before is not None and set(state.withdrawn) > set(before.withdrawn)
    if path is None or one.revert_of or went_back:
        return []
    had = {} if before is None else {v.version: v.role for v in before.variants}
    served = {s.champion.version for s in past}
    moved = [
        v
        for v in state.variants
        if had.get(v.version) != v.role and v.version not in served and v.role != "treatment"
    ]
    staged = {number: e.staging_digest is not None for number, _, e in rests_on(state)}
    found = [
        f"version {v.version} was given traffic without staging"
        for v in moved
        if path.has_staging and not staged.get(v.version, True)
    ]
    if before is None:
        # Nobody is there to be a shadow or a canary beside.
        return found
    for variant in moved:
        number = variant.version
        own = [s.rollout for s in past if s.rollout is not None and s.rollout.version == number]
        if path.has_shadow and not any(rollout.leg == "shadow" for rollout in own):
            found.append(f"version {number} was given traffic without having been a shadow")
        steps = {rollout.step for rollout in own if rollout.leg == "canary"}
        left = sorted(set(range(len(path.weights_percent))) - steps)
        if variant.role == "champion" and left:
            names = ", ".join(str(step + 1) for step in left)
            found.append(f"version {number} answers everybody without the canary's step {names}")
    return found
