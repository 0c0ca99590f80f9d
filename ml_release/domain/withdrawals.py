"""Which versions are withdrawn, by everything that was ever declared and sealed.

The newest file alone does not decide: an old one that is put back, by a revert or a pushed commit,
would let a withdrawn version serve again. So every sealed state counts, in whatever order it is
met. Each version is withdrawn and lifted by turns, and a state says of every version which turn it
knows: 0 never withdrawn, 1 withdrawn, 2 lifted, 3 withdrawn again. The latest turn that any sealed
state knows is the one that holds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_release.domain.deployment import DeclaredState
from ml_release.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawals:
    """The latest turn of every version that was ever withdrawn.

    Attributes
    ----------
    turns
        Version to its turn, from 1 on; odd while it is withdrawn. Others are at turn 0.
    """

    turns: Mapping[int, int] = field(default_factory=dict)

    @property
    def withdrawn(self) -> tuple[int, ...]:
        """The versions that may not serve, in order."""
        return tuple(sorted(version for version, turn in self.turns.items() if turn % 2))

    @property
    def lifted(self) -> tuple[int, ...]:
        """As `DeclaredState.lifted`: every version as often as it was lifted, in order."""
        return tuple(
            version for version, turn in sorted(self.turns.items()) for _ in range(turn // 2)
        )

    def joined(self, other: Withdrawals) -> Withdrawals:
        """What both know together; the order does not matter, and neither does repetition."""
        versions = self.turns.keys() | other.turns.keys()
        return Withdrawals(
            turns={v: max(self.turns.get(v, 0), other.turns.get(v, 0)) for v in versions}
        )


def known_to(state: DeclaredState) -> Withdrawals:
    """What one state knows."""
    return turns_of(state.withdrawn, state.lifted)


def turns_of(withdrawn: Iterable[int], lifted: Iterable[int]) -> Withdrawals:
    """The turns that two lists of a declared state stand for.

    >>> turns_of([2, 4], [2, 3]).turns
    {2: 3, 3: 2, 4: 1}
    """
    times, out = Counter(lifted), set(withdrawn)
    return Withdrawals(
        turns={version: 2 * times[version] + (version in out) for version in sorted({*times, *out})}
    )


def known_to_all(states: Iterable[DeclaredState]) -> Withdrawals:
    """What some states know together."""
    found = Withdrawals()
    for state in states:
        found = found.joined(known_to(state))
    return found


def served_by(state: DeclaredState) -> frozenset[int]:
    """Versions that a state lets answer or be asked in secret."""
    secretly = {shadow.version for shadow in state.shadows}
    return frozenset(secretly | {variant.version for variant in state.variants})


def outdated(state: DeclaredState, known: Withdrawals) -> tuple[int, ...]:
    """Versions that a state serves and that were withdrawn since, in order; also if lifted since.

    A version that was lifted serves by a new release, not by a file from before.
    """
    own = known_to(state).turns
    return tuple(
        version
        for version in sorted(served_by(state))
        if known.turns.get(version, 0) > own.get(version, 0)
    )


def forgotten(state: DeclaredState, known: Withdrawals) -> tuple[int, ...]:
    """Versions of whose last withdrawal, or lift, a state says nothing, in order."""
    own = known_to(state).turns
    return tuple(sorted(v for v, turn in known.turns.items() if turn > own.get(v, 0)))


def keeping(state: DeclaredState, known: Withdrawals) -> DeclaredState:
    """The state with all that is known; a version that may not serve is not kept warm either.

    Raises
    ------
    RefusedError
        If it serves a version that was withdrawn, or that was lifted after this was written.
    """
    if bad := outdated(state, known):
        message = (
            f"{state.line} in {state.environment}: expected no version that was withdrawn, found"
            f" {in_words(bad, known)}. Nothing was declared. Read what is declared and decide"
            " again."
        )
        raise RefusedError(message)
    if not forgotten(state, known):
        return state
    both = known.joined(known_to(state))
    target = state.rollback_target
    if target is not None and target.version in both.withdrawn:
        target = None
    held = {name: getattr(state, name) for name in DeclaredState.model_fields}
    return DeclaredState.model_validate(
        {**held, "withdrawn": both.withdrawn, "lifted": both.lifted, "rollback_target": target}
    )


def in_words(versions: Iterable[int], known: Withdrawals) -> str:
    """Why versions of `outdated` may not serve.

    >>> in_words((2, 3), turns_of([2], [3]))
    'version 2, which is withdrawn; version 3 as of before it was withdrawn and lifted'
    """
    return "; ".join(
        f"version {version}, which is withdrawn"
        if known.turns.get(version, 0) % 2
        else f"version {version} as of before it was withdrawn and lifted"
        for version in versions
    )
