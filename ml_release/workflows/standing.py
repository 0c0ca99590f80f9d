"""Where a version stands on its way, and which of its gates are open: gathered, nothing changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ml_release.domain.drill import drill_finding
from ml_release.domain.identity import digest_of_json
from ml_release.domain.rollout import Gate, Standing, place_of
from ml_release.domain.verdict import Finding, Outcome, require_evidence
from ml_release.errors import RefusedError
from ml_release.workflows.approving import approvals_of, standing_rejection
from ml_release.workflows.budget_freeze import promotion_freeze
from ml_release.workflows.drill_record import recorded_drill
from ml_release.workflows.release_gate import require_releasable
from ml_release.workflows.stage_verdicts import (
    CANARY_VERDICT,
    SHADOW_VERDICT,
    recorded_verdict,
    stage_finding,
)
from ml_release.workflows.staging_record import champion_digest_of, require_staging

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import BaseModel

    from ml_release.domain.approvals import Approvals
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.identity import ModelVersion
    from ml_release.ports import EvidenceStore, ModelRegistry, ModelStore
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.release_gate import Releasable

VERDICT_LASTS = timedelta(hours=1)
"""A verdict on live traffic that is older says nothing of the present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A version's standing with what it was gathered from.

    ``found`` and ``approvals`` are None where the evidence does not let the version go on.
    """

    standing: Standing
    found: Releasable | None
    approvals: Approvals | None


def gather_standing(
    line: ReleaseLine,
    version: ModelVersion,
    before: Declaration | None,
    *,
    act: str,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    now: datetime,
) -> Gathered:
    """Ask every gate of a version, also those that only a later move needs.

    Parameters
    ----------
    before
        What production declares.

    Raises
    ------
    IntegrityError
        If a record or a file was changed.
    NotFoundError
        If the candidate or its artefact is gone.
    """
    state = None if before is None else before.state
    champion_digest = champion_digest_of(before)
    subject = f"version {version.number}"
    gates: dict[Gate, Finding] = {}
    found = approvals = None
    try:
        found = require_releasable(
            line,
            version.model_digest,
            act=act,
            evidence=evidence,
            models=models,
            registry=registry,
            now=now,
        )
        require_evidence(found.verdict, act=act, champion_digest=champion_digest)
        gates["evidence"] = _open("evidence_lets_it_go_on", subject, "read again, with its digests")
    except RefusedError as error:
        gates["evidence"] = _shut("evidence_lets_it_go_on", subject, str(error))
    policy = line.policies.rollout
    try:
        staged = require_staging(
            line,
            version,
            policy=policy.staging,
            champion_digest=champion_digest,
            act=act,
            evidence=evidence,
            registry=registry,
        )
        gates["staging"] = _open("staging_was_passed", subject, f"judged by {staged.judge}")
    except RefusedError as error:
        gates["staging"] = _shut("staging_was_passed", subject, str(error))
    if found is not None:
        was_lifted = state is not None and version.number in state.lifted
        approvals = approvals_of(
            line, version, found, evidence=evidence, now=now, was_lifted=was_lifted
        )
        gates["approval"] = approvals.finding
    elif (rejected := standing_rejection(line, version, evidence=evidence, now=now)) is not None:
        gates["approval"] = rejected
    if policy.drill_max_age_days is not None and state is not None:
        gates["drill"] = drill_finding(
            recorded_drill(line, environment=state.environment, evidence=evidence),
            policy.drill,
            subject=subject,
            maximum_age_days=policy.drill_max_age_days,
            now=now,
        )
    kinds: tuple[tuple[Gate, str, BaseModel], ...] = (
        ("shadow", SHADOW_VERDICT, policy.shadow),
        ("canary", CANARY_VERDICT, policy.canary),
    )
    for gate, kind, judged_by in kinds:
        gates[gate] = stage_finding(
            recorded_verdict(line, kind, version.model_digest, evidence=evidence),
            rule=f"{gate}_was_passed",
            subject=subject,
            model_digest=version.model_digest,
            expected={
                "champion_digest": champion_digest,
                "policy_digest": digest_of_json(judged_by.model_dump(mode="json")),
                "declared_commit": "none" if before is None else before.commit,
            },
            now=now,
            fresh_for=VERDICT_LASTS,
        )
    return Gathered(
        standing=_standing(
            line,
            version.number,
            before,
            gates,
            budget=None
            if state is None
            else promotion_freeze(line, version, state, evidence=evidence, now=now),
        ),
        found=found,
        approvals=approvals,
    )


def _open(rule: str, subject: str, detail: str) -> Finding:
    return Finding(rule=rule, subject=subject, outcome=Outcome.PASS, detail=detail)


def _shut(rule: str, subject: str, detail: str) -> Finding:
    return Finding(rule=rule, subject=subject, outcome=Outcome.FAIL, detail=detail)


def _standing(
    line: ReleaseLine,
    number: int,
    before: Declaration | None,
    gates: dict[Gate, Finding],
    *,
    budget: Finding | None,
) -> Standing:
    state = None if before is None else before.state
    was_staged = gates["staging"].outcome is Outcome.PASS
    place = place_of(state, number, was_staged=was_staged)
    rollout = None if state is None else state.rollout
    is_other = rollout is not None and rollout.version != number
    experiment = None if state is None else state.experiment
    warm = None if state is None else state.rollback_target
    return Standing(
        line=line.name,
        version=number,
        place=place,
        champion=None if state is None else state.champion.version,
        under_way=rollout.version if rollout is not None and is_other else None,
        is_watched=rollout is not None and rollout.leg == "watch",
        experiment=None if experiment is None else experiment.name,
        predecessor=None if warm is None else warm.version,
        gates=gates,
        budget=budget,
    )
