"""Read the whole history of a line and its evidence again, and say what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ml_release.domain.audit import audit_history
from ml_release.domain.audited_evidence import KeptEvidence
from ml_release.domain.audited_moves import AuditRules
from ml_release.domain.identity import check_digest
from ml_release.domain.verdict import verdict_from_json
from ml_release.errors import MlReleaseError, NotFoundError
from ml_release.workflows.approving import recorded_approvals
from ml_release.workflows.evaluation_records import EVALUATION_VERDICT
from ml_release.workflows.seen_commits import remember_commits
from ml_release.workflows.stage_verdicts import STAGING_VERDICT
from ml_release.workflows.training import find_candidate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.audit import Audit
    from ml_release.ports import Deployments, EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

_PRODUCTION = "production"
_T = TypeVar("_T")


def audit_line(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore, deployments: Deployments
) -> Audit:
    """Every declaration with its seal, every version's evidence, and every violation.

    Which commits were seen is recorded, so that the next audit notices if one is gone.

    Raises
    ------
    NotFoundError
        If nothing is declared, and nothing ever was seen to be.
    IntegrityError
        If the record of the commits that were seen was edited.
    """
    history = deployments.history(line.name, environment)
    seen = remember_commits(line.name, environment, history, evidence=evidence)
    if not history and not seen:
        message = (
            f"audit of {line.name} in {environment}: expected something declared, found nothing."
            f" Run `ml-release promote {line.name}` first."
        )
        raise NotFoundError(message)
    digests = {
        digest
        for one in history
        for digest in (
            one.state.champion.model_digest,
            *(() if one.state.rollout is None else (one.state.rollout.model_digest,)),
        )
    }
    policy = line.policies.rollout
    return audit_history(
        history,
        line=line.name,
        environment=environment,
        kept={digest: kept_evidence(line, digest, evidence=evidence) for digest in digests},
        seen=seen,
        rules=AuditRules(
            path=policy.path if environment == _PRODUCTION else None, approval=policy.approval
        ),
    )


def kept_evidence(line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore) -> KeptEvidence:
    """What is on record of a model; what cannot be read is named among the problems."""
    problems: list[str] = []

    def read(name: str, look: Callable[[], _T]) -> _T | None:
        try:
            return look()
        except MlReleaseError as error:
            problems.append(f"{name}: {error}")
            return None

    def digest_of(kind: str) -> str | None:
        content = evidence.find(line.name, kind, model_digest)
        if content is None:
            return None
        verdict = verdict_from_json(content)
        check_digest("verdict", expected=model_digest, found=verdict.subject_digest)
        return verdict.digest

    candidate = read("candidate", lambda: find_candidate(line, model_digest, evidence=evidence))
    words = read("approvals", lambda: recorded_approvals(line, model_digest, evidence=evidence))
    return KeptEvidence(
        verdict_digest=read("verdict", lambda: digest_of(EVALUATION_VERDICT)),
        data_digest=None if candidate is None else candidate.data_digest,
        staging_digest=read("staging verdict", lambda: digest_of(STAGING_VERDICT)),
        trained_by=None if candidate is None else candidate.trained_by,
        approvals=words or (),
        problems=tuple(problems),
    )
