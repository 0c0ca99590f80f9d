"""Which version to go back to, by which means, and what the declared state then says."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ml_release.domain.deployment import DeclaredState
from ml_release.domain.good_watches import good_watches
from ml_release.domain.withdrawals import known_to, served_by
from ml_release.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def is_rollback(history: Sequence[DeclaredState]) -> bool:
    """Whether what answers at present, by the last state, is what a rollback has left.

    A rollback that is asked for again, by a retried run or a second person, has to do nothing
    twice; going further back takes the name of a version. It is the newest change of traffic that
    counts, and every rollback withdraws something. Declarations that left champion and shares as
    they were count for nothing: a kill switch, or the withdrawal of a version that did not serve.
    """
    for before, after in reversed(list(pairwise(history))):
        if (before.variants, before.shadows) != (after.variants, after.shadows):
            return set(after.withdrawn) > set(before.withdrawn)
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


def choose_rollback(
    history: Sequence[DeclaredState],
    *,
    wanted: int | None,
    unfit: Mapping[int, str] | None = None,
) -> RollbackChoice:
    """The declared state to restore: the newest whose champion came through its watch.

    If none that may serve again did, the newest of those that have served at all. A version that a
    person names is taken either way. One that was withdrawn and lifted counts by what it served
    since.

    Parameters
    ----------
    history
        Declared states, oldest first; the last one is the present.
    wanted
        The version to go back to, None for the newest good one before the present.
    unfit
        Versions that were tried and cannot take over now, with the reason; none for None.

    Raises
    ------
    RefusedError
        If there is none, with every reason: nothing is declared, nothing else ever served, the
        wanted version never served, or it was withdrawn, or none of them is fit.
    """
    unfit = unfit or {}
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
        if _may_serve_again(state, present)
        and state.champion.version not in unfit
        and wanted in (None, state.champion.version)
    ]
    if fit:
        target = next((state for state in fit if state.champion.version in good), fit[0])
        return _choice(target, good, wanted=wanted, newest=fit[0].champion.version, unfit=unfit)
    found = sorted({state.champion.version for state in history} - {serving})
    message = (
        f"rollback of {present.line} refused: expected"
        f" {'an earlier version' if wanted is None else f'version {wanted}'} that has served and"
        f" was not withdrawn, found {found or 'none'} (withdrawn:"
        f" {list(present.withdrawn) or 'none'})"
    )
    if unfit:
        message += f" {_in_words(unfit)}. Pull the kill switch if the present version does harm."
    raise RefusedError(message)


def _may_serve_again(state: DeclaredState, present: DeclaredState) -> bool:
    version = state.champion.version
    turn = known_to(present).turns.get(version, 0)
    # A state from before the version was lifted was declared on words that count no more.
    return version != present.champion.version and turn == known_to(state).turns.get(version, 0)


def _choice(
    target: DeclaredState,
    good: frozenset[int],
    *,
    wanted: int | None,
    newest: int,
    unfit: Mapping[int, str],
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
    if unfit:
        reason += f"; {_in_words(unfit)}"
    return RollbackChoice(target=target, came_through_watch=is_good, reason=reason)


def _in_words(unfit: Mapping[int, str]) -> str:
    return "; ".join(f"version {version} is not fit: {why}" for version, why in unfit.items())


def methods(before: DeclaredState, after: DeclaredState) -> tuple[str, ...]:
    """By which means a move takes back what was released, in words.

    A version pin puts another version in the place of the champion; a traffic shift takes a
    canary or a shadow back; the plan of features and the data of a version go with it.
    """
    gone = {v.version for v in before.variants if v.role == "canary"}
    gone |= {shadow.version for shadow in before.shadows}
    stay = served_by(after)
    found = {
        "version pin": before.champion.version != after.champion.version,
        "traffic shift": bool(gone - stay),
        "experiment termination": before.experiment is not None and after.experiment is None,
        "feature version": before.evidence.feature_version != after.evidence.feature_version,
        "data version": before.evidence.data_digest != after.evidence.data_digest,
    }
    return tuple(name for name, is_used in found.items() if is_used)


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
        lifted=present.lifted,
        kill_switch=present.kill_switch,
        threshold=target.threshold,
    )
