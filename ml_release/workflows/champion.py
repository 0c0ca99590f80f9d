"""Who answers, by what Git declares, and whether the registry agrees that nobody does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.sealing import refusal

if TYPE_CHECKING:
    from ml_release.domain.deployment import Declaration
    from ml_release.ports import Deployments, ModelRegistry
    from ml_release.spec.release_line import ReleaseLine

CHAMPION_ALIAS = "champion"


def declared_or_lost(
    line: ReleaseLine, environment: str, *, deployments: Deployments, registry: ModelRegistry
) -> tuple[Declaration | None, str]:
    """The declaration, and why nobody may build on it.

    It may be none although the registry has a champion, or have been edited by hand: what stands
    is then None. A deployments repository that was lost or emptied must not look like a first
    release: it holds the champion to compare with and the versions that were withdrawn.
    """
    declaration = deployments.read(line.name, environment)
    if declaration is not None and declaration.seal_problem:
        return None, seal_refusal(declaration, deployments=deployments)
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


def seal_refusal(declaration: Declaration, *, deployments: Deployments) -> str:
    """Why nobody acts on a declaration with a seal problem, what was edited, and what to do."""
    found = declaration.state
    last = deployments.sealed(found.line, found.environment)
    return refusal(
        declaration.seal_problem,
        line=found.line,
        sealed=None if last is None else last.state,
        found=found,
    )
