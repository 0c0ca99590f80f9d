"""Which split each commit of the deployments repository declares between canary and control."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ml_release.domain.canary_tally import CanaryUnderWay
    from ml_release.domain.deployment import DeclaredState
    from ml_release.ports import Deployments
    from ml_release.spec.release_line import ReleaseLine


def declared_shares(
    line: ReleaseLine,
    under_way: CanaryUnderWay,
    known: Mapping[str, float | None],
    commits: Iterable[str],
    *,
    environment: str,
    deployments: Deployments,
) -> dict[str, float | None]:
    """Declared share of the canary by commit; the history is read for commits that are new only."""
    shares = dict(known)
    missing = {str(commit) for commit in commits} - set(shares)
    if missing:
        for declaration in deployments.history(line.name, environment):
            if declaration.commit in missing:
                shares[declaration.commit] = _canary_share(declaration.state, under_way)
    return shares


def _canary_share(state: DeclaredState, under_way: CanaryUnderWay) -> float | None:
    weights = {variant.version: variant.weight_percent for variant in state.variants}
    canary = weights.get(under_way.canary_version, 0.0)
    control = weights.get(under_way.control_version, 0.0)
    return canary / (canary + control) if canary > 0 and control > 0 else None
