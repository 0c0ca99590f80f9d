"""What the declared state says after a version was withdrawn, or lifted, by a named person."""

from __future__ import annotations

from ml_release.domain.deployment import DeclaredState
from ml_release.errors import RefusedError


def without(current: DeclaredState, version: int) -> DeclaredState:
    """The state that withdraws a version beside the champion, which answers in its place.

    A shadow, a canary or an arm is taken back; an experiment ends with one of its arms. The
    version to go back to is kept warm no longer if it is this one.

    Raises
    ------
    RefusedError
        If it is the champion: that is a rollback.
    """
    if version == current.champion.version:
        message = (
            f"withdrawal of {current.line} version {version} refused: it answers everybody; roll"
            " back instead"
        )
        raise RefusedError(message)
    experiment = current.experiment
    if experiment is not None and version in experiment.versions:
        experiment = None
    arms = frozenset() if experiment is None else experiment.versions
    others = tuple(
        variant
        for variant in current.variants
        if variant.role != "champion"
        and variant.version != version
        and (variant.role != "treatment" or variant.version in arms)
    )
    rest = 100.0 - sum(variant.weight_percent for variant in others)
    target, rollout = current.rollback_target, current.rollout
    return _changed(
        current,
        variants=(current.champion.model_copy(update={"weight_percent": rest}), *others),
        shadows=tuple(shadow for shadow in current.shadows if shadow.version != version),
        experiment=experiment,
        rollout=None if rollout is not None and rollout.version == version else rollout,
        rollback_target=None if target is not None and target.version == version else target,
        withdrawn=tuple(sorted({*current.withdrawn, version})),
    )


def lifted(current: DeclaredState, version: int) -> DeclaredState:
    """The state in which a version is withdrawn no more; it serves nobody by that.

    Raises
    ------
    RefusedError
        If it is not withdrawn.
    """
    if version not in current.withdrawn:
        message = (
            f"lift of {current.line} version {version} refused: expected a version that is"
            f" withdrawn, found {list(current.withdrawn) or 'none'} withdrawn"
        )
        raise RefusedError(message)
    return _changed(
        current,
        withdrawn=tuple(one for one in current.withdrawn if one != version),
        lifted=tuple(sorted((*current.lifted, version))),
    )


def _changed(current: DeclaredState, **changes: object) -> DeclaredState:
    held = {name: getattr(current, name) for name in DeclaredState.model_fields}
    return DeclaredState.model_validate({**held, **changes})
