"""Who answers, by what Git declares, and whether the registry agrees that nobody does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_release.domain.deployment import Declaration
    from ml_release.ports import Deployments, ModelRegistry
    from ml_release.spec.release_line import ReleaseLine

CHAMPION_ALIAS = "champion"


def declared_or_lost(
    line: ReleaseLine, environment: str, *, deployments: Deployments, registry: ModelRegistry
) -> tuple[Declaration | None, str]:
    """The declaration, and what is wrong if there is none although the registry has a champion.

    A deployments repository that was lost or emptied must not look like a first release: it holds
    the champion to compare with and the versions that were withdrawn.
    """
    declaration = deployments.read(line.name, environment)
    if declaration is not None:
        return declaration, ""
    known = registry.named(line.name, CHAMPION_ALIAS)
    if known is None:
        return None, ""
    return None, (
        f"nothing is declared for {line.name} in {environment}, but the registry names version"
        f" {known} {CHAMPION_ALIAS}: the deployments repository may be lost. Restore it; if this is"
        f" a new start, remove the alias {CHAMPION_ALIAS} from {line.name} in the registry"
    )
