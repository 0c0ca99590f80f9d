"""Register a candidate as a model version, if its recorded evidence lets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.workflows.release_gate import Releasable, require_releasable
from ml_release.workflows.waiver_trail import keep_waivers

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.identity import ModelVersion
    from ml_release.ports import EvidenceStore, ModelRegistry, ModelStore
    from ml_release.spec.release_line import ReleaseLine

CANDIDATE_ALIAS = "candidate"


def register_version(
    line: ReleaseLine,
    *,
    model_digest: str | None = None,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    now: datetime,
) -> tuple[ModelVersion, Releasable]:
    """Register the newest candidate, or the one named; the same candidate again is one version.

    Raises
    ------
    RefusedError, IntegrityError, NotFoundError
        As `require_releasable` says; nothing is registered then.
    """
    found = require_releasable(
        line,
        model_digest,
        act="registration",
        evidence=evidence,
        models=models,
        registry=registry,
        now=now,
    )
    candidate = found.candidate
    version = registry.register(
        line.name,
        model_digest=candidate.model_digest,
        run_id=candidate.run_id,
        tags={
            "verdict_digest": found.verdict.digest,
            "policy_digest": found.policy_digest,
            "data_digest": candidate.data_digest,
            "feature_version": candidate.feature_version,
            **keep_waivers(line, found, evidence=evidence),
        },
    )
    registry.point_alias(line.name, CANDIDATE_ALIAS, version.number)
    return version, found
