"""What candidate, champion and anchor answer on the holdout: asked once, used by every gate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import IntegrityError, NotFoundError
from ml_release.workflows.champion import declared_or_lost

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from ml_release.domain.features import Columns, Feature
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.ports import Deployments, LoadedModel, ModelLoader, ModelRegistry, ModelStore
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.training import Window


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holdout:
    """Labelled rows that the candidate was not fitted on.

    Attributes
    ----------
    values
        Readable feature values, shape (n,) each.
    target
        Shape (n,), known in every row.
    days
        Shape (n,): day of each row.
    """

    values: Columns
    target: npt.NDArray[np.float64]
    days: npt.NDArray[np.datetime64]

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.target)

    def sample(self, rows: int) -> Holdout:
        """At most ``rows`` of them, evenly spread over the time they come in."""
        return self.only(
            np.unique(np.linspace(0, self.n - 1, num=min(rows, self.n), dtype=np.intp))
        )

    def only(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Holdout:
        """Some of the rows, by their positions or by a mask of shape (n,)."""
        return Holdout(
            values={name: column[chosen] for name, column in self.values.items()},
            target=self.target[chosen],
            days=self.days[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answered:
    """One model on the holdout.

    Attributes
    ----------
    model
        None with a ``problem`` if it could not be loaded or cannot be asked.
    answers
        Shape (n,): NaN throughout without a model.
    """

    version: int
    model_digest: str
    model: LoadedModel | None
    answers: npt.NDArray[np.float64]
    problem: str = ""


def holdout_of(window: Window) -> Holdout:
    """The holdout of a training window."""
    rows = window.holdout
    return Holdout(
        values={name: column[rows] for name, column in window.features.items()},
        target=window.target[rows],
        days=window.days[rows],
    )


def ask(
    model_digest: str,
    holdout: Holdout,
    *,
    version: int,
    line: ReleaseLine,
    models: ModelStore,
    loader: ModelLoader,
) -> Answered:
    """Load a model by digest and ask it for every row."""
    built = {feature.name: _meaning(feature) for feature in line.features}
    try:
        model = loader.load(models.read(model_digest))
    except (IntegrityError, NotFoundError) as error:
        return _silent(version, model_digest, holdout, str(error))
    lacking = [f.name for f in model.plan.features if built.get(f.name) != _meaning(f)]
    if lacking:
        problem = f"it needs features that are no longer built as it learned them: {lacking}"
        return _silent(version, model_digest, holdout, problem)
    answers = model.predict(holdout.values)
    return Answered(
        version=version,
        model_digest=model_digest,
        model=model,
        answers=answers,
        problem=problem_of(line, answers),
    )


def ask_again(answered: Answered, rows: Holdout, *, line: ReleaseLine) -> Answered:
    """What a model that was loaded before answers to other rows."""
    if answered.model is None:
        return _silent(answered.version, answered.model_digest, rows, answered.problem)
    answers = answered.model.predict(rows.values)
    return replace(answered, answers=answers, problem=problem_of(line, answers))


def problem_of(line: ReleaseLine, answers: npt.NDArray[np.float64]) -> str:
    """Why answers cannot be used; empty if they can."""
    bad = int((~np.isfinite(answers)).sum())
    if bad:
        return f"{bad} of {len(answers)} answers are not finite"
    outside = int(((answers < 0) | (answers > 1)).sum())
    if line.task == "classification" and outside:
        return f"{outside} of {len(answers)} answers are no probabilities from 0 to 1"
    return ""


def _silent(version: int, model_digest: str, holdout: Holdout, problem: str) -> Answered:
    """A model that cannot be asked."""
    return Answered(
        version=version,
        model_digest=model_digest,
        model=None,
        answers=np.full(holdout.n, np.nan),
        problem=problem,
    )


def ask_champion(
    line: ReleaseLine,
    environment: str,
    holdout: Holdout,
    *,
    models: ModelStore,
    loader: ModelLoader,
    deployments: Deployments,
    registry: ModelRegistry,
) -> Answered | None:
    """The declared champion on the holdout; None if no version was ever declared."""
    # What was edited by hand since does not serve, and is nobody to compare with.
    declaration = deployments.sealed(line.name, environment)
    if declaration is None:
        declaration, problem = declared_or_lost(
            line, environment, deployments=deployments, registry=registry
        )
        if problem:
            return _silent(0, "unknown", holdout, problem)
    if declaration is None:
        return None
    variant = declaration.state.champion
    return ask(
        variant.model_digest,
        holdout,
        version=variant.version,
        line=line,
        models=models,
        loader=loader,
    )


def ask_anchor(
    line: ReleaseLine,
    environment: str,
    candidate: CandidateRecord,
    holdout: Holdout,
    *,
    asked: Mapping[str, Answered],
    models: ModelStore,
    loader: ModelLoader,
    deployments: Deployments,
    registry: ModelRegistry,
) -> Answered | None:
    """The fixed older version on the holdout; None if there is none beside the candidate.

    Parameters
    ----------
    asked
        Models that have answered already, by digest: none is asked twice.
    """
    policy = line.policies.evaluation.quality
    if policy.anchor_margin is None:
        return None
    versions = {v.number: v for v in registry.versions(line.name)}
    declaration = deployments.sealed(line.name, environment)
    withdrawn = () if declaration is None else declaration.state.withdrawn
    wanted = policy.anchor_version
    if wanted is None:
        standing = [
            number
            for number, version in versions.items()
            if number not in withdrawn and version.model_digest != candidate.model_digest
        ]
        if not standing:
            return None
        wanted = min(standing)
    if wanted not in versions:
        problem = f"the declared anchor is not registered; known versions: {sorted(versions)}"
        return _silent(wanted, "unknown", holdout, problem)
    digest = versions[wanted].model_digest
    known = asked.get(digest)
    if known is not None:
        return known
    return ask(digest, holdout, version=wanted, line=line, models=models, loader=loader)


def _meaning(feature: Feature) -> dict[str, object]:
    """What decides the readable values of a feature."""
    return feature.model_dump(exclude={"description", "limit"})
