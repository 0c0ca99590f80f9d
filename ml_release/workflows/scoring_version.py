"""Which version scores a batch: the one that Git declares, or another whose evidence lets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.kill_switch import static_answer
from ml_release.errors import RefusedError
from ml_release.workflows.promotion import find_version
from ml_release.workflows.release_gate import require_releasable

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.deployment import Declaration
    from ml_release.ports import (
        Deployments,
        EvidenceStore,
        ModelRegistry,
        ModelStore,
        Switches,
    )
    from ml_release.spec.release_line import ReleaseLine


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringVersion:
    """The version with the threshold of its decisions, and the commit that declares it, if any."""

    version: int
    model_digest: str
    threshold: float | None
    route_commit: str | None


def choose_scoring_version(
    line: ReleaseLine,
    number: int | None,
    *,
    environment: str,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    deployments: Deployments,
    switches: Switches,
    now: datetime,
) -> ScoringVersion:
    """The champion for None or its own number; another version on its evidence, read again.

    The champion needs neither the registry nor the experiment tracker.

    Raises
    ------
    RefusedError
        If nothing is declared and no version named, the kill switch is pulled, or the version was
        withdrawn or its evidence does not let it.
    NotFoundError
        If there is no such version.
    """
    act = "batch scoring" if number is None else f"batch scoring with version {number}"
    declaration = deployments.sealed(line.name, environment)
    _require_released(line, declaration, environment=environment, switches=switches, act=act)
    if declaration is not None and number in (None, declaration.state.champion.version):
        return ScoringVersion(
            version=declaration.state.champion.version,
            model_digest=declaration.state.champion.model_digest,
            threshold=declaration.state.threshold,
            route_commit=declaration.commit,
        )
    if number is None:
        message = (
            f"{act} of {line.name} refused: expected a version declared in {environment}, found"
            f" nothing declared. Run `ml-release promote {line.name}` first, or name a version."
        )
        raise RefusedError(message)
    if declaration is not None and number in declaration.state.withdrawn:
        message = f"{act} of {line.name} refused: version {number} was withdrawn in {environment}."
        raise RefusedError(message)
    version = find_version(line, number, registry=registry)
    require_releasable(
        line,
        version.model_digest,
        act=act,
        evidence=evidence,
        models=models,
        registry=registry,
        now=now,
    )
    return ScoringVersion(
        version=number,
        model_digest=version.model_digest,
        # The decisions it was judged by are the decisions it gives.
        threshold=None if line.task == "regression" else line.policies.evaluation.quality.threshold,
        route_commit=None,
    )


def _require_released(
    line: ReleaseLine,
    declaration: Declaration | None,
    *,
    environment: str,
    switches: Switches,
    act: str,
) -> None:
    """Refuse while the kill switch lets no model answer."""
    declared = None if declaration is None else declaration.state.kill_switch
    pulled = switches.read(line.name, environment)
    if static_answer(declared, pulled) is None:
        return
    said = (
        f"pulled by {pulled.by}: {pulled.reason}"
        if pulled is not None and pulled.engaged
        else "declared in Git"
    )
    message = (
        f"{act} of {line.name} refused: the kill switch is engaged ({said}), no model is to answer."
        f" Release it with `ml-release kill-switch {line.name} off` first."
    )
    raise RefusedError(message)
