"""Which version to go back to, and what the declared state then says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.deployment import DeclaredState, Variant
from ml_release.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence


def promoted(
    current: DeclaredState | None,
    *,
    line: str,
    environment: str,
    version: Variant,
    release: str,
    evidence: object,
    threshold: float | None = None,
) -> DeclaredState:
    """The state after ``version`` has taken all traffic, its predecessor kept for a rollback.

    Shadows and an experiment beside the predecessor end with it; its kill switch stays.

    Raises
    ------
    RefusedError
        If the version was withdrawn.
    """
    withdrawn = () if current is None else current.withdrawn
    if version.version in withdrawn:
        message = (
            f"promotion of {line} version {version.version} refused: it was withdrawn after a"
            " rollback. Train and release a new version."
        )
        raise RefusedError(message)
    predecessor = None if current is None else current.champion
    if predecessor is not None and predecessor.version == version.version:
        predecessor = None if current is None else current.rollback_target
    if predecessor is not None and predecessor.version in withdrawn:
        predecessor = None
    return DeclaredState.model_validate(
        {
            "line": line,
            "environment": environment,
            "release": release,
            "variants": (version,),
            "evidence": evidence,
            "rollback_target": predecessor,
            "withdrawn": withdrawn,
            # A switch that somebody pulled is released by a person, not by a promotion.
            "kill_switch": None if current is None else current.kill_switch,
            "threshold": threshold,
        }
    )


def is_rollback(history: Sequence[DeclaredState]) -> bool:
    """Whether the present champion, the last one, answers because of a rollback.

    A rollback that is asked for again, by a retried run or a second person, has to do nothing
    twice; going further back takes the name of a version. Declarations that left the champion as
    it was, a kill switch for one, count for nothing.
    """
    for state in reversed(history):
        present = history[-1]
        if state.champion.version != present.champion.version:
            return state.champion.version in present.withdrawn
    return False


def choose_target(history: Sequence[DeclaredState], *, wanted: int | None) -> DeclaredState:
    """The declared state to restore, newest first among those whose champion may serve again.

    Parameters
    ----------
    history
        Declared states, oldest first; the last one is the present.
    wanted
        The version to go back to, None for the newest one before the present.

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
    for state in reversed(history):
        version = state.champion.version
        if version == serving or version in present.withdrawn:
            continue
        if wanted is None or version == wanted:
            return state
    found = sorted({state.champion.version for state in history} - {serving})
    message = (
        f"rollback of {present.line} refused: expected"
        f" {'an earlier version' if wanted is None else f'version {wanted}'} that has served and"
        f" was not withdrawn, found {found or 'none'} (withdrawn:"
        f" {list(present.withdrawn) or 'none'})"
    )
    raise RefusedError(message)


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
