"""What the declared state says after each move of a release.

Every move gives a whole new state. Whether it is allowed is asked in `ml_release.domain.rollout`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.declared_rollout import Evidence, Rollout
from ml_release.domain.deployment import DeclaredState, Shadow, Variant
from ml_release.errors import RefusedError

if TYPE_CHECKING:
    from datetime import datetime


def shadowed(
    current: DeclaredState,
    *,
    version: Variant,
    evidence: Evidence,
    sample_percent: float,
    release: str,
    now: datetime,
) -> DeclaredState:
    """The state in which ``version`` is asked in secret; everything else stays."""
    _require_not_withdrawn(current, version.version)
    rollout = Rollout(
        version=version.version,
        model_digest=version.model_digest,
        evidence=evidence,
        leg="shadow",
        begun=now,
        since=now,
    )
    others = tuple(shadow for shadow in current.shadows if shadow.version != version.version)
    shadow = Shadow(
        version=version.version,
        model_digest=version.model_digest,
        sample_percent=sample_percent,
    )
    return _changed(current, release=release, shadows=(*others, shadow), rollout=rollout)


def shared(
    current: DeclaredState,
    *,
    version: Variant,
    evidence: Evidence,
    step: int,
    weight_percent: float,
    release: str,
    now: datetime,
) -> DeclaredState:
    """The state in which ``version`` answers a share as canary, the champion all the rest."""
    _require_not_withdrawn(current, version.version)
    before = current.rollout
    is_same = before is not None and before.version == version.version
    rollout = Rollout(
        version=version.version,
        model_digest=version.model_digest,
        evidence=evidence,
        leg="canary",
        step=step,
        begun=before.begun if is_same and before is not None else now,
        since=now,
    )
    canary = version.model_copy(update={"role": "canary", "weight_percent": weight_percent})
    champion = current.champion.model_copy(update={"weight_percent": 100.0 - weight_percent})
    return _changed(
        current,
        release=release,
        variants=(champion, canary),
        shadows=tuple(s for s in current.shadows if s.version != version.version),
        rollout=rollout,
    )


def promoted(
    current: DeclaredState | None,
    *,
    line: str,
    environment: str,
    version: Variant,
    release: str,
    evidence: Evidence,
    threshold: float | None = None,
    watched_from: datetime | None = None,
) -> DeclaredState:
    """The state after ``version`` has taken all traffic, its predecessor kept for a rollback.

    Shadows and an experiment beside the predecessor end with it; its kill switch stays.

    Parameters
    ----------
    watched_from
        When the release goes under watch; None for one that is not watched.

    Raises
    ------
    RefusedError
        If the version was withdrawn.
    """
    if current is not None:
        _require_not_withdrawn(current, version.version)
    withdrawn = () if current is None else current.withdrawn
    predecessor = None if current is None else current.champion
    if predecessor is not None and predecessor.version == version.version:
        predecessor = None if current is None else current.rollback_target
    if predecessor is not None and predecessor.version in withdrawn:
        predecessor = None
    if predecessor is not None:
        predecessor = predecessor.model_copy(update={"weight_percent": 100.0})
    before = None if current is None else current.rollout
    rollout = None
    if watched_from is not None:
        is_same = before is not None and before.version == version.version
        rollout = Rollout(
            version=version.version,
            model_digest=version.model_digest,
            evidence=evidence,
            leg="watch",
            begun=before.begun if is_same and before is not None else watched_from,
            since=watched_from,
        )
    return DeclaredState(
        line=line,
        environment="staging" if environment == "staging" else "production",
        release=release,
        variants=(version.model_copy(update={"role": "champion", "weight_percent": 100.0}),),
        evidence=evidence,
        rollback_target=predecessor,
        withdrawn=withdrawn,
        lifted=() if current is None else current.lifted,
        # A switch that somebody pulled is released by a person, not by a promotion.
        kill_switch=None if current is None else current.kill_switch,
        threshold=threshold,
        rollout=rollout,
    )


def settled(current: DeclaredState) -> DeclaredState:
    """The state after the watch has ended well; the predecessor stays warm until the next one."""
    return _changed(current, release=current.release, rollout=None)


def aborted(current: DeclaredState, *, release: str) -> DeclaredState:
    """The state after a shadow or a canary was taken back and withdrawn.

    The champion, which never left, answers everybody. An experiment goes on only if none of its
    arms was the version taken back.

    Raises
    ------
    RefusedError
        If nothing is on its way.
    """
    rollout = current.rollout
    if rollout is None or rollout.leg == "watch":
        message = f"{current.line}: expected a shadow or a canary to take back, found none"
        raise RefusedError(message)
    experiment = current.experiment
    if experiment is not None and rollout.version in experiment.versions:
        experiment = None
    arms = frozenset() if experiment is None else experiment.versions
    others = tuple(
        variant
        for variant in current.variants
        if variant.role == "treatment"
        and variant.version in arms
        and variant.version != rollout.version
    )
    rest = 100.0 - sum(variant.weight_percent for variant in others)
    champion = current.champion.model_copy(update={"weight_percent": rest})
    return _changed(
        current,
        release=release,
        variants=(champion, *others),
        shadows=tuple(s for s in current.shadows if s.version != rollout.version),
        experiment=experiment,
        withdrawn=tuple(sorted({*current.withdrawn, rollout.version})),
        rollout=None,
    )


def _changed(current: DeclaredState, **changes: object) -> DeclaredState:
    """The state with other values, validated as a whole."""
    held = {name: getattr(current, name) for name in DeclaredState.model_fields}
    return DeclaredState.model_validate({**held, **changes})


def _require_not_withdrawn(current: DeclaredState, version: int) -> None:
    if version in current.withdrawn:
        message = (
            f"promotion of {current.line} version {version} refused: it was withdrawn after a"
            " rollback. Train and release a new version."
        )
        raise RefusedError(message)
