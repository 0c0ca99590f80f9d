"""Which version to go back to, and what the declared state then says."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ml_release.domain.deployment import DeclaredState
from ml_release.domain.good_watches import good_watches
from ml_release.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence


def is_rollback(history: Sequence[DeclaredState]) -> bool:
    """Whether what answers at present, by the last state, is what a rollback has left.

    A rollback that is asked for again, by a retried run or a second person, has to do nothing
    twice; going further back takes the name of a version. It is the newest change of traffic that
    counts, and every rollback withdraws something. Declarations that left champion and shares as
    they were, a kill switch for one, count for nothing.
    """
    for before, after in reversed(list(pairwise(history))):
        if set(after.withdrawn) > set(before.withdrawn):
            return True
        if (before.variants, before.shadows) != (after.variants, after.shadows):
            return False
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackChoice:
    """The declared state to restore, and why this one in words.

    Attributes
    ----------
    came_through_watch
        Whether its champion has completed a watch, see `good_watches`.
    """

    target: DeclaredState
    came_through_watch: bool
    reason: str


def choose_target(history: Sequence[DeclaredState], *, wanted: int | None) -> DeclaredState:
    """The declared state to restore; see `choose_rollback`, which says why as well."""
    return choose_rollback(history, wanted=wanted).target


def choose_rollback(history: Sequence[DeclaredState], *, wanted: int | None) -> RollbackChoice:
    """The declared state to restore: the newest whose champion came through its watch.

    If none that may serve again did, the newest of those that have served at all. A version that a
    person names is taken either way.

    Parameters
    ----------
    history
        Declared states, oldest first; the last one is the present.
    wanted
        The version to go back to, None for the newest good one before the present.

    Raises
    ------
    RefusedError
        If there is none: nothing is declared, nothing else ever served, the wanted version never
        served, or it was withdrawn.
    """
    if not history:
        message = "rollback refused: nothing is declared, so there is nothing to roll back"
        raise RefusedError(message)
    present = history[-1]
    serving = present.champion.version
    if wanted is not None and wanted in present.withdrawn:
        message = f"rollback to version {wanted} refused: it was withdrawn after an earlier one"
        raise RefusedError(message)
    good = good_watches(history)
    fit = [
        state
        for state in reversed(history)
        if state.champion.version != serving
        and state.champion.version not in present.withdrawn
        and wanted in (None, state.champion.version)
    ]
    if fit:
        target = next((state for state in fit if state.champion.version in good), fit[0])
        return _choice(target, good, wanted=wanted, newest=fit[0].champion.version)
    found = sorted({state.champion.version for state in history} - {serving})
    message = (
        f"rollback of {present.line} refused: expected"
        f" {'an earlier version' if wanted is None else f'version {wanted}'} that has served and"
        f" was not withdrawn, found {found or 'none'} (withdrawn:"
        f" {list(present.withdrawn) or 'none'})"
    )
    raise RefusedError(message)


def _choice(
    target: DeclaredState, good: frozenset[int], *, wanted: int | None, newest: int
) -> RollbackChoice:
    version = target.champion.version
    is_good = version in good
    if wanted is not None:
        watched = "has come through its watch" if is_good else "has not come through a watch"
        reason = f"version {version} was asked for; it {watched}"
    elif not is_good:
        reason = (
            f"version {version} is the newest that served and was not withdrawn; no such version"
            " has come through a watch"
        )
    else:
        reason = f"version {version} is the newest that has come through its watch"
        if version != newest:
            reason += f"; version {newest}, which served after it, has not"
    return RollbackChoice(target=target, came_through_watch=is_good, reason=reason)


def rolled_back(present: DeclaredState, target: DeclaredState, *, release: str) -> DeclaredState:
    """The state that restores ``target``'s champion with all traffic and withdraws the present one.

    ``target`` may have shared its traffic with a canary, an experiment or shadows; what is
    restored shares it with none. The kill switch stays as it is.
    """
    bad = present.champion.version
    return DeclaredState(
        line=present.line,
        environment=present.environment,
        release=release,
        variants=(target.champion.model_copy(update={"weight_percent": 100.0}),),
        evidence=target.evidence,
        rollback_target=None,
        withdrawn=tuple(sorted({*present.withdrawn, bad})),
        kill_switch=present.kill_switch,
        threshold=target.threshold,
    )
