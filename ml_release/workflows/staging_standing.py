"""Which version goes to staging, beside whom, and the state that declares it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.deployment import DeclaredState, Environment, Evidence, Variant
from ml_release.errors import RefusedError
from ml_release.workflows.champion import declared_or_lost
from ml_release.workflows.promotion import find_version
from ml_release.workflows.release_gate import require_releasable
from ml_release.workflows.staging_record import champion_digest_of

if TYPE_CHECKING:
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.identity import ModelVersion
    from ml_release.ports import Clock, Deployments, EvidenceStore, ModelRegistry, ModelStore
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.release_gate import Releasable

STAGING: Environment = "staging"
PRODUCTION: Environment = "production"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A version whose evidence lets it go on, and what stands in production."""

    version: ModelVersion
    found: Releasable
    production: Declaration | None

    @property
    def champion_digest(self) -> str:
        """Of who answers in production, as verdicts name it."""
        return champion_digest_of(self.production)


def standing_of(
    line: ReleaseLine,
    number: int | None,
    *,
    act: str,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    deployments: Deployments,
    clock: Clock,
) -> Standing:
    """A registered version, the newest for None, with its evidence read again.

    Raises
    ------
    NotFoundError
        If there is no such version.
    RefusedError
        If its evidence does not let it, it was withdrawn in production, or it cannot be told who
        answers there.
    """
    version = find_version(line, number, registry=registry)
    act = f"{act} of version {version.number}"
    production, problem = declared_or_lost(
        line, PRODUCTION, deployments=deployments, registry=registry
    )
    if problem:
        message = f"{act} refused: {problem}."
        raise RefusedError(message)
    if production is not None and version.number in production.state.withdrawn:
        message = f"{act} refused: it was withdrawn in production. Let a named person lift it."
        raise RefusedError(message)
    found = require_releasable(
        line,
        version.model_digest,
        act=act,
        evidence=evidence,
        models=models,
        registry=registry,
        now=clock.now(),
    )
    return Standing(version=version, found=found, production=production)


def staged(line: ReleaseLine, standing: Standing, *, release: str) -> DeclaredState:
    """The version with all traffic, the champion of production ready beside it."""
    version, production = standing.version, standing.production
    return DeclaredState(
        line=line.name,
        environment=STAGING,
        release=release,
        variants=(
            Variant(
                role="champion",
                version=version.number,
                model_digest=version.model_digest,
                weight_percent=100.0,
            ),
        ),
        evidence=Evidence(
            verdict_digest=standing.found.verdict.digest,
            policy_digest=standing.found.policy_digest,
            feature_version=standing.found.candidate.feature_version,
        ),
        rollback_target=None
        if production is None
        else production.state.champion.model_copy(update={"weight_percent": 100.0}),
        withdrawn=() if production is None else production.state.withdrawn,
        lifted=() if production is None else production.state.lifted,
        # The decisions it was judged by are the decisions it gives.
        threshold=None if line.task == "regression" else line.policies.evaluation.quality.threshold,
    )
