"""The recorded verdict of staging, read again by every act that rests on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.identity import check_digest
from ml_release.domain.staging_gates import JUDGE
from ml_release.domain.verdict import require_evidence, require_pass, verdict_from_json
from ml_release.errors import IntegrityError, RefusedError
from ml_release.workflows.evaluation_records import EVALUATION_VERDICT
from ml_release.workflows.stage_verdicts import STAGING_VERDICT
from ml_release.workflows.training import find_candidate

if TYPE_CHECKING:
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.identity import ModelVersion
    from ml_release.domain.staging_gates import StagingPolicy
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import EvidenceStore, ModelRegistry
    from ml_release.spec.release_line import ReleaseLine

STAGING_TAG = "ml_release.staging_verdict_digest"
NO_CHAMPION = "none"
"""In the place of a digest, where nothing answers in production yet."""


def champion_digest_of(production: Declaration | None) -> str:
    """Digest of who answers in production, as verdicts name it."""
    return NO_CHAMPION if production is None else production.state.champion.model_digest


def require_staging(
    line: ReleaseLine,
    version: ModelVersion,
    *,
    policy: StagingPolicy,
    champion_digest: str,
    act: str,
    evidence: EvidenceStore,
    registry: ModelRegistry,
) -> Verdict:
    """Read the recorded verdict of staging again, before an act that rests on it.

    Parameters
    ----------
    champion_digest
        Of who answers in production now, as `champion_digest_of` has it.

    Raises
    ------
    RefusedError
        If there is none or it does not pass, it was given by other rules, under another policy,
        beside another champion or on another evaluation, or it was edited since.
    """
    subject = f"{line.name} version {version.number}"
    again = f"Materialize {line.name}/staging_endpoint for it again."
    content = evidence.find(line.name, STAGING_VERDICT, version.model_digest)
    if content is None:
        message = (
            f"{act} of {subject} refused: expected a recorded passing verdict of staging, found"
            f" none. {again}"
        )
        raise RefusedError(message)
    try:
        verdict = verdict_from_json(content)
        check_digest(
            f"staging verdict on {subject}",
            expected=version.model_digest,
            found=verdict.subject_digest,
        )
    except IntegrityError as error:
        message = f"{act} of {subject} refused: {error} {again}"
        raise RefusedError(message) from error
    candidate = find_candidate(line, version.model_digest, evidence=evidence)
    tagged = registry.run_tags(candidate.run_id).get(STAGING_TAG)
    if tagged != verdict.digest:
        message = (
            f"{act} of {subject} refused: the recorded verdict of staging is {verdict.digest[:19]},"
            f" its experiment run {candidate.run_id} carries {tagged[:19] if tagged else 'none'}."
            f" One of them was changed. {again}"
        )
        raise RefusedError(message)
    require_pass(verdict, act=act, subject=subject)
    if verdict.judge != JUDGE:
        message = (
            f"{act} of {subject} refused: it was judged by {verdict.judge}, the rules are now those"
            f" of {JUDGE}. {again}"
        )
        raise RefusedError(message)
    evaluation = evidence.find(line.name, EVALUATION_VERDICT, version.model_digest)
    require_evidence(
        verdict,
        act=f"{act} of {subject}",
        policy_digest=policy.digest,
        champion_digest=champion_digest,
        verdict_digest="none" if evaluation is None else verdict_from_json(evaluation).digest,
    )
    return verdict
