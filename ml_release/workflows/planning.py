"""What a promotion would go through: gathered and shown, nothing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.rollout_plan import per_minute, plan_rollout
from ml_release.errors import RefusedError
from ml_release.workflows.champion import declared_or_lost
from ml_release.workflows.monitoring import newest_window
from ml_release.workflows.promotion import find_version
from ml_release.workflows.standing import gather_standing

if TYPE_CHECKING:
    from ml_release.domain.rollout_plan import RolloutPlan
    from ml_release.ports import Clock, Deployments, EvidenceStore, ModelRegistry, ModelStore
    from ml_release.spec.release_line import ReleaseLine


def plan_promotion(
    line: ReleaseLine,
    number: int | None,
    *,
    environment: str,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    deployments: Deployments,
    clock: Clock,
) -> RolloutPlan:
    """The way that is left to a registered version, the newest for None.

    Raises
    ------
    NotFoundError
        If there is no such version.
    RefusedError
        If the deployments repository seems to be lost.
    IntegrityError
        If a record or a file was changed.
    """
    version = find_version(line, number, registry=registry)
    before, problem = declared_or_lost(
        line, environment, deployments=deployments, registry=registry
    )
    if problem:
        message = f"plan for version {version.number} refused: {problem}."
        raise RefusedError(message)
    gathered = gather_standing(
        line,
        version,
        before,
        act=f"promotion of version {version.number}",
        evidence=evidence,
        models=models,
        registry=registry,
        now=clock.now(),
    )
    window = newest_window(line, environment=environment, evidence=evidence)
    return plan_rollout(
        gathered.standing,
        line.policies.rollout,
        requests_per_minute=None if window is None else per_minute(window.rows, window.days),
    )
