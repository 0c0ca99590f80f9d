"""Approve or reject a version, on the evidence as it is, by name.

Nothing is moved here: an approval is asked for again by every move that gives the version
traffic. Taking a rejected version out of service is done in `ml_release.workflows.rejecting`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ml_release.domain.approvals import (
    LONGEST_TEXT,
    Approval,
    Approvals,
    approvals_from_json,
    approvals_to_json,
    judge_approvals,
)
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.verdict import Outcome
from ml_release.domain.waivers import holding, waivers_digest
from ml_release.errors import InputError, RefusedError
from ml_release.workflows.release_gate import require_releasable
from ml_release.workflows.stage_verdicts import STAGING_VERDICT, recorded_verdict

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.identity import ModelVersion
    from ml_release.domain.verdict import Finding
    from ml_release.ports import Clock, EvidenceStore, ModelRegistry, ModelStore
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.promotion import Request
    from ml_release.workflows.release_gate import Releasable

APPROVALS = "approvals"
LIFT = "lift"
"""What was recorded when a version that was withdrawn was lifted."""


def recorded_approvals(
    line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore
) -> tuple[Approval, ...]:
    """Every word that was given on a version, also those that count no more.

    Raises
    ------
    IntegrityError
        If the record was edited.
    """
    content = evidence.find(line.name, APPROVALS, model_digest)
    return () if content is None else approvals_from_json(content)


def on_the_table(
    line: ReleaseLine, found: Releasable, *, evidence: EvidenceStore, was_lifted: bool = False
) -> dict[str, str]:
    """Name to digest of everything an approval of a version is given on.

    Parameters
    ----------
    was_lifted
        Whether the version is known to have been withdrawn and lifted, so that a record of it has
        to be there.
    """
    digest = found.candidate.model_digest
    staging = recorded_verdict(line, STAGING_VERDICT, digest, evidence=evidence)
    has_staging = line.policies.rollout.path.has_staging
    used = holding(found.waived)
    word = evidence.find(line.name, LIFT, digest)
    # A version that was withdrawn has to be approved again: no earlier word was on its lift.
    lift = digest_of_bytes(word) if word is not None else "not recorded" if was_lifted else None
    return {
        "verdict": found.verdict.digest,
        "candidate": found.candidate.digest,
        "data": found.candidate.data_digest,
        "policy": found.policy_digest,
        "rollout policy": line.policies.rollout.digest,
        **({"lift": lift} if lift is not None else {}),
        **({"waivers": waivers_digest(used)} if used else {}),
        **({"staging": staging.digest} if has_staging and staging is not None else {}),
    }


def approvals_of(
    line: ReleaseLine,
    version: ModelVersion,
    found: Releasable,
    *,
    evidence: EvidenceStore,
    now: datetime,
    was_lifted: bool = False,
) -> Approvals:
    """Whether enough people let a version through, on the evidence as it is now."""
    return judge_approvals(
        recorded_approvals(line, version.model_digest, evidence=evidence),
        line.policies.rollout.approval,
        subject=f"version {version.number}",
        model_digest=version.model_digest,
        evidence=on_the_table(line, found, evidence=evidence, was_lifted=was_lifted),
        author=found.candidate.trained_by,
        now=now,
    )


def standing_rejection(
    line: ReleaseLine,
    version: ModelVersion,
    *,
    evidence: EvidenceStore,
    now: datetime,
) -> Finding | None:
    """Who does not let a version through, whatever its evidence is; None if nobody."""
    judged = judge_approvals(
        recorded_approvals(line, version.model_digest, evidence=evidence),
        line.policies.rollout.approval,
        subject=f"version {version.number}",
        model_digest=version.model_digest,
        evidence={},
        author=None,
        now=now,
    )
    return judged.finding if judged.finding.outcome is Outcome.FAIL else None


def approve(
    line: ReleaseLine,
    version: ModelVersion,
    request: Request,
    *,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    clock: Clock,
) -> Approvals:
    """Record that somebody lets a version through, and say whether that is enough.

    Raises
    ------
    InputError
        If name or reason are longer than a record takes.
    RefusedError
        If its evidence does not let it go on anyway, it was not staged, or this word would not
        count: by its author, by nobody who may. Nothing is recorded then.
    IntegrityError
        If a record or a file was changed.
    """
    act = f"approval of version {version.number}"
    found = require_releasable(
        line,
        version.model_digest,
        act=act,
        evidence=evidence,
        models=models,
        registry=registry,
        now=clock.now(),
    )
    table = on_the_table(line, found, evidence=evidence)
    if line.policies.rollout.path.has_staging and "staging" not in table:
        message = (
            f"{act} refused: expected a verdict of staging to approve it on, found none. Run"
            f" `ml-release promote {line.name} {version.number} --to staging` first."
        )
        raise RefusedError(message)
    word = _word(version, request, "approved", table, now=clock.now())
    known = recorded_approvals(line, version.model_digest, evidence=evidence)
    judged = judge_approvals(
        (*known, word),
        line.policies.rollout.approval,
        subject=f"version {version.number}",
        model_digest=version.model_digest,
        evidence=table,
        author=found.candidate.trained_by,
        now=clock.now(),
    )
    if line.policies.rollout.approval.needed and word not in judged.counted:
        message = f"{act} by {request.by} refused: {judged.finding.detail}."
        raise RefusedError(message)
    evidence.record(line.name, APPROVALS, version.model_digest, approvals_to_json((*known, word)))
    return judged


def record_rejection(
    line: ReleaseLine,
    version: ModelVersion,
    request: Request,
    *,
    evidence: EvidenceStore,
    now: datetime,
) -> Approval:
    """Record that somebody does not let a version through, whatever state its evidence is in.

    Raises
    ------
    InputError
        If name or reason are longer than a record takes.
    IntegrityError
        If the record was edited.
    """
    word = _word(version, request, "rejected", {}, now=now)
    known = recorded_approvals(line, version.model_digest, evidence=evidence)
    evidence.record(line.name, APPROVALS, version.model_digest, approvals_to_json((*known, word)))
    return word


def _word(
    version: ModelVersion,
    request: Request,
    decision: Literal["approved", "rejected"],
    table: dict[str, str],
    *,
    now: datetime,
) -> Approval:
    for name in ("by", "reason"):
        if (found := len(getattr(request, name).strip())) > LONGEST_TEXT:
            message = (
                f"word on version {version.number} refused: expected {name!r} of at most"
                f" {LONGEST_TEXT} characters, found {found}. Say it in fewer."
            )
            raise InputError(message)
    return Approval(
        decision=decision,
        model_digest=version.model_digest,
        by=request.by,
        reason=request.reason,
        at=now,
        evidence=table,
    )
