"""Which commits of a history of declared states took a version out of service, and which one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.deployment import Declaration, DeclaredState

Method = Literal[
    "shadow taken back",
    "canary taken back",
    "experiment arm taken back",
    "version pin restored",
    "Git revert",
]
_COMMIT_LETTERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """One commit that took a version out of service.

    Attributes
    ----------
    version, model_digest
        Of the version that was taken back.
    release
        Names the attempt that had brought it in.
    before, after
        The declaration it was taken from, and the one that did it.
    declared
        Every declaration of this attempt that named the version, oldest first; the last of them is
        ``before``.
    declared_again_at
        ISO time of the first later declaration that names the version again, after somebody lifted
        it; None if there is none.
    """

    version: int
    model_digest: str
    release: str
    method: Method
    before: Declaration
    after: Declaration
    declared: tuple[Declaration, ...]
    declared_again_at: str | None = None

    @property
    def incident_id(self) -> str:
        """The release and the commit that took it back."""
        return f"{self.release}@{self.after.commit[:_COMMIT_LETTERS]}"

    @property
    def legs(self) -> tuple[str, ...]:
        """Where it has been on its way, each once, in order: its part in every declared state."""
        return tuple(dict.fromkeys(part_of(one.state, self.version) for one in self.declared))


def taken_back(history: Sequence[Declaration]) -> tuple[TakenBack, ...]:
    """Every rollback in a history, oldest first.

    That is a declaration that withdraws a version which the one before had as variant or shadow, or
    one that repeats an earlier file, as ``git revert`` does, and by it replaces the champion by one
    of a lower number. A version that is withdrawn while it serves nobody is none. Declarations
    without a good seal do not count, as for the server.

    Parameters
    ----------
    history
        Oldest first.
    """
    sealed = [one for one in history if not one.seal_problem]
    found = []
    for place, (before, after) in enumerate(pairwise(sealed)):
        for version in _gone(before, after):
            declared = _declared(sealed[: place + 1], version)
            again = next(
                (one for one in sealed[place + 2 :] if part_of(one.state, version)),
                None,
            )
            found.append(
                TakenBack(
                    version=version,
                    model_digest=_digest(before.state, version),
                    release=_release(declared, version),
                    method=_method(before.state, after, version),
                    before=before,
                    after=after,
                    declared=declared,
                    declared_again_at=None if again is None else again.committed_at,
                )
            )
    return tuple(found)


def part_of(state: DeclaredState, version: int) -> str:
    """What a version is in a declared state: a role, ``shadow``, or "" for nothing."""
    roles = [variant.role for variant in state.variants if variant.version == version]
    if roles:
        return roles[0]
    return "shadow" if version in {shadow.version for shadow in state.shadows} else ""


def _gone(before: Declaration, after: Declaration) -> list[int]:
    withdrawn = set(after.state.withdrawn) - set(before.state.withdrawn)
    served = sorted(version for version in withdrawn if part_of(before.state, version))
    bad, restored = before.state.champion.version, after.state.champion.version
    if not served and after.revert_of and restored < bad:
        return [bad]
    return served


def _declared(history: Sequence[Declaration], version: int) -> tuple[Declaration, ...]:
    """Declarations of a version since it was last withdrawn, if it ever was."""
    found: list[Declaration] = []
    for one in history:
        if version in one.state.withdrawn:
            found = []
        elif part_of(one.state, version):
            found.append(one)
    return tuple(found)


def _release(declared: Sequence[Declaration], version: int) -> str:
    """Of the first declaration that released it, not one that had it as an arm beside another."""
    for one in declared:
        rollout = one.state.rollout
        if one.state.champion.version == version or (
            rollout is not None and rollout.version == version
        ):
            return one.state.release
    return declared[0].state.release


def _digest(state: DeclaredState, version: int) -> str:
    digests = {one.version: one.model_digest for one in state.shadows}
    digests |= {one.version: one.model_digest for one in state.variants}
    return digests[version]


def _method(before: DeclaredState, after: Declaration, version: int) -> Method:
    part = part_of(before, version)
    if part == "shadow":
        return "shadow taken back"
    if part == "canary":
        return "canary taken back"
    if part == "treatment":
        return "experiment arm taken back"
    return "Git revert" if after.revert_of else "version pin restored"
