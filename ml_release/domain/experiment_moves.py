"""The declared state with an experiment, and back to its control."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.deployment import DeclaredState, Variant
from ml_release.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.experiment import Experiment


def require_room(state: DeclaredState, experiment: Experiment) -> None:
    """Refuse an experiment beside a rollout, beside another one, or with a version that may not.

    Raises
    ------
    RefusedError
        Naming what stands in the way and what to do.
    """
    problems = []
    if is_under_way(state):
        problems.append("a rollout is under way: let it end, or abort it")
    if state.experiment is not None and state.experiment != experiment:
        problems.append(f"experiment {state.experiment.name} is under way: end it first")
    if bad := sorted(experiment.versions & set(state.withdrawn)):
        problems.append(f"versions {bad} were withdrawn: train and release new ones")
    control = experiment.arms[0].version
    if control != state.champion.version:
        problems.append(
            f"the control is version {control}, but version {state.champion.version} answers: name"
            " that one first"
        )
    if bad := sorted(experiment.versions & {shadow.version for shadow in state.shadows}):
        problems.append(f"versions {bad} are shadows: declare them without")
    if problems:
        message = (
            f"experiment {experiment.name} of {state.line} refused: " + "; ".join(problems) + "."
        )
        raise RefusedError(message)


def is_under_way(state: DeclaredState) -> bool:
    """Whether some version is on its way to all traffic."""
    # A canary may have been declared by hand; a shadow and the watch show in the field alone.
    return state.rollout is not None or any(v.role == "canary" for v in state.variants)


def with_experiment(
    state: DeclaredState, experiment: Experiment, treatments: Sequence[Variant]
) -> DeclaredState:
    """The same state with the experiment; its other arms answer nobody outside of it.

    The release stays what it is, so that no unit outside of the experiment changes its variant.
    """
    return DeclaredState.model_validate(
        {
            **dict(state),
            "variants": (
                state.champion.model_copy(update={"weight_percent": 100.0}),
                *(
                    variant.model_copy(update={"role": "treatment", "weight_percent": 0.0})
                    for variant in treatments
                ),
            ),
            "experiment": experiment,
        }
    )


def back_to_control(state: DeclaredState) -> DeclaredState:
    """The state without its experiment: the champion takes over what its other arms answered."""
    others = tuple(
        variant for variant in state.variants if variant.role not in {"champion", "treatment"}
    )
    left = 100.0 - sum(variant.weight_percent for variant in others)
    return DeclaredState.model_validate(
        {
            **dict(state),
            "variants": (
                state.champion.model_copy(update={"weight_percent": left}),
                *others,
            ),
            "experiment": None,
        }
    )
