"""How much each feature matters to candidate and champion, by the method the policy declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.gates_attribution import AttributionEvidence
from ml_release.domain.value_codes import encode_values
from ml_release.workflows.quality_evidence import primary_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from ml_release.ports import Attributor, LoadedModel
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.holdout_answers import Answered, Holdout


def require_attributor(line: ReleaseLine, attributor: Attributor) -> None:
    """Before anything is fitted or asked, make sure that what the policy asks for can be measured.

    Raises
    ------
    DeclarationError
        If it asks for Shapley values and what computes them is not installed.
    """
    if line.policies.evaluation.attribution.method == "shap":
        attributor.require_installed()


def attribution_evidence(
    line: ReleaseLine,
    candidate: Answered,
    champion: Answered | None,
    holdout: Holdout,
    *,
    attributor: Attributor,
) -> AttributionEvidence:
    """Importances of candidate and champion by one method, on the same rows and draws."""
    policy = line.policies.evaluation.attribution
    if candidate.model is None or not holdout.n:
        problem = candidate.problem or "there was no row to ask about"
        return AttributionEvidence(
            n=0, candidate={}, champion=None, method=policy.method, problem=problem
        )
    sample = holdout.sample(policy.sample_rows)
    permuted = _permuted(candidate.model, sample, seed=policy.seed)
    other = None if champion is None or champion.problem else champion.model
    if policy.method == "shap":
        measured = holdout.sample(policy.explained_rows)
        background = holdout.sample(policy.background_rows)

        def importances(model: LoadedModel) -> dict[str, float]:
            return _moved(model, measured, background, attributor=attributor, seed=policy.seed)

        own = importances(candidate.model)
        others = None if other is None else importances(other)
    else:
        measured = sample
        own = _lost(line, permuted, sample)
        others = (
            None
            if other is None
            else _lost(line, _permuted(other, sample, seed=policy.seed), sample)
        )
    return AttributionEvidence(
        n=measured.n,
        candidate=own,
        champion=others,
        method=policy.method,
        ignored=tuple(
            name
            for name, after in permuted.features.items()
            if np.array_equal(permuted.answers, after)
        ),
        champion_problem="" if champion is None else champion.problem,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Permuted:
    """One model's answers as the rows are, and with each feature permuted."""

    answers: npt.NDArray[np.float64]
    features: Mapping[str, npt.NDArray[np.float64]]


def _permuted(model: LoadedModel, sample: Holdout, *, seed: int) -> _Permuted:
    # One permutation for every feature of both models: what differs is the model.
    order = np.random.default_rng(seed).permutation(sample.n)
    return _Permuted(
        answers=model.predict(sample.values),
        features={
            name: model.predict({**sample.values, name: sample.values[name][order]})
            for name in model.plan.names
        },
    )


def _lost(line: ReleaseLine, permuted: _Permuted, sample: Holdout) -> dict[str, float]:
    """What the primary score loses when each feature is permuted."""
    primary = primary_of(line, sample)
    before = primary.value(permuted.answers)
    return {
        name: primary.loss(before, primary.value(after))
        for name, after in permuted.features.items()
    }


def _moved(
    model: LoadedModel,
    sample: Holdout,
    background: Holdout,
    *,
    attributor: Attributor,
    seed: int,
) -> dict[str, float]:
    """How far each feature moves an answer: its mean absolute Shapley value over the sample."""
    names = model.plan.names
    codes, (rows, others) = encode_values(names, sample.values, background.values)

    def ask(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return model.predict(codes.decode(matrix))

    values = attributor.shapley_values(ask, rows, others, seed=seed)
    means = np.abs(values).mean(axis=0)
    return {name: float(mean) for name, mean in zip(names, means, strict=True)}
