"""Let the registry's alias follow what Git declares, where somebody has moved it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.errors import MlReleaseError
from ml_release.workflows.champion import CHAMPION_ALIAS

if TYPE_CHECKING:
    from ml_release.ports import Deployments, ModelRegistry
    from ml_release.spec.release_line import ReleaseLine


_PRODUCTION = "production"


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """What the alias named and names now.

    Attributes
    ----------
    before, after
        Version numbers; None for nothing, or where nobody could be asked.
    problem
        Why the alias was left as it is although it does not follow Git; "" otherwise.
    """

    before: int | None
    after: int | None
    problem: str = ""

    @property
    def changed(self) -> bool:
        """Whether the alias was moved."""
        return self.before != self.after


def heal_alias(
    line: ReleaseLine, *, environment: str, registry: ModelRegistry, deployments: Deployments
) -> Healed:
    """Point the alias at the champion of the newest sealed declaration; asked again, nothing.

    Where nothing sealed is declared the alias stays: it may be all that is left of a deployments
    repository that was lost. What cannot be done is said, and raises nothing.
    """
    before = None
    if environment != _PRODUCTION:
        problem = "the alias follows production"
        return Healed(before=None, after=None, problem=problem)
    try:
        before = registry.named(line.name, CHAMPION_ALIAS)
        declaration = deployments.sealed(line.name, environment)
        if declaration is None:
            return Healed(before=before, after=before, problem="nothing sealed is declared")
        wanted = declaration.state.champion.version
        if before != wanted:
            registry.point_alias(line.name, CHAMPION_ALIAS, wanted)
        return Healed(before=before, after=wanted)
    except MlReleaseError as error:
        return Healed(before=before, after=before, problem=str(error))
