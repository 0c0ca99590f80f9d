"""Declare the last sealed state again, after somebody edited declared state by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.errors import NotFoundError, RefusedError
from ml_release.workflows.champion import seal_refusal
from ml_release.workflows.promotion import declare_again

if TYPE_CHECKING:
    from ml_release.ports import Clock, Deployments
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.promotion import Moved, Request

_SHORTEST = 7


def restore(
    line: ReleaseLine,
    *,
    environment: str,
    request: Request,
    deployments: Deployments,
    clock: Clock,
    adopt: str | None = None,
) -> Moved:
    """Declare the last sealed state as a new commit; nothing if it stands already.

    Parameters
    ----------
    adopt
        Commit of the present declaration, or its first 7 digits or more: seal what it declares
        instead. Only where no declaration is sealed at all, as in a repository from before seals.

    Raises
    ------
    NotFoundError
        If nothing is declared.
    RefusedError
        If nothing was ever sealed and the present declaration is not to be adopted, if another
        commit stands than the one to adopt, or if there is a sealed state to restore instead.
    DeclarationError
        If the file never was a declared state.
    """
    standing = deployments.read(line.name, environment)
    if standing is None:
        message = (
            f"restoring {line.name} in {environment}: expected something declared, found nothing."
            f" Run `ml-release promote {line.name}` first."
        )
        raise NotFoundError(message)
    sealed = deployments.sealed(line.name, environment)
    act = f"restoring {line.name} in {environment} refused"
    if adopt is None:
        if sealed is None:
            message = f"{act}: {seal_refusal(standing, deployments=deployments)}."
            raise RefusedError(message)
    elif sealed is not None and sealed.commit != standing.commit:
        message = (
            f"{act}: expected to adopt commit {adopt} because none is sealed, but"
            f" {sealed.commit[:12]} is. Leave out --adopt, which restores that one."
        )
        raise RefusedError(message)
    elif len(adopt) < _SHORTEST or not standing.commit.startswith(adopt):
        message = (
            f"{act}: expected to adopt the present declaration, commit {standing.commit}, found"
            f" {adopt!r}. Read what it declares, then name it."
        )
        raise RefusedError(message)
    return declare_again(
        sealed or standing, standing, request=request, deployments=deployments, clock=clock
    )
