"""Whether a model looks at what the champion looked at, and at what its author expects.

A candidate with the champion's score and other reasons is another model: a leak, a broken join or
a feature that lost its meaning shows here before it shows in a score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.rank_stability import MINIMUM_NAMES, rank_stability
from ml_release.domain.verdict import Finding, Outcome, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

RULE = "attributions_are_stable"
DESCRIPTIONS = {
    RULE: "Features matter about as much as to the champion, and those expected do matter.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""


AttributionMethod = Literal["permutation", "shap"]
IMPORTANCE: Mapping[AttributionMethod, str] = {
    "permutation": "score lost when the feature's values are permuted among the rows",
    "shap": "mean absolute Shapley value: how far the feature moves an answer",
}
"""What an importance is, by the method that measured it."""
_UNITS: Mapping[AttributionMethod, str] = {
    "permutation": "rank correlation of importances",
    "shap": "rank correlation of mean absolute Shapley values",
}
_PLACE: Mapping[AttributionMethod, str] = {
    "permutation": "permuting it costs {:.4g} of the score",
    "shap": "it moves an answer by {:.4g} on average",
}


class AttributionPolicy(BaseModel):
    """Limits on how features may matter.

    Attributes
    ----------
    method
        How the importance of a feature is measured. ``permutation``: what the primary score loses
        when its values are permuted among the rows (Breiman 2001, Machine Learning 45; Fisher,
        Rudin and Dominici 2019, JMLR 20); in the unit of the score. ``shap``: the mean of its
        absolute Shapley values (Lundberg and Lee 2017, NeurIPS 30); in the unit of the answer, a
        probability or that of the target; needs the extra ``shap``.
    rank_correlation_floor
        Least Spearman correlation with the champion's importances.
    core_features
        Features that have to be among the ``core_top`` most important ones, and to matter at all.
        One that is tied with others takes the last of their places.
    single_share_limit
        Largest share of one feature in the sum of all positive importances; 1 judges nothing.
    heeded_share
        A feature with at least this share of the champion's positive importances may not be without
        any effect: a vocabulary that was lost, or a column that arrives empty.
    sample_rows
        Rows of the holdout, evenly spread over it, that are permuted.
    explained_rows, background_rows
        With ``shap``, rows of the holdout, evenly spread over it, that are explained, and against
        which. Each of them is asked for with each of the others.
    seed
        Of the permutations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: AttributionMethod = "permutation"
    rank_correlation_floor: Annotated[float, Field(ge=-1, le=1)] = 0.5
    core_features: tuple[str, ...] = ()
    core_top: Annotated[int, Field(ge=1)] = 5
    single_share_limit: Annotated[float, Field(gt=0, le=1)] = 1.0
    heeded_share: Annotated[float, Field(gt=0, le=1)] = 0.01
    sample_rows: Annotated[int, Field(ge=100)] = 5000
    explained_rows: Annotated[int, Field(ge=20, le=10_000)] = 200
    background_rows: Annotated[int, Field(ge=10, le=1000)] = 100
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionEvidence:
    """Importances on the same rows.

    Attributes
    ----------
    n
        Rows that were permuted or explained.
    candidate, champion
        Feature to importance, both by ``method``; None where there is no champion, or with a
        ``champion_problem`` where it could not answer.
    method
        How the importances were measured.
    ignored
        Features whose values change no answer of the candidate.
    problem
        Why there are none of the candidate; empty if there are.
    """

    n: int
    candidate: Mapping[str, float]
    champion: Mapping[str, float] | None
    method: AttributionMethod = "permutation"
    ignored: tuple[str, ...] = ()
    champion_problem: str = ""
    problem: str = ""


def judge_attribution(
    evidence: AttributionEvidence, policy: AttributionPolicy
) -> tuple[Finding, ...]:
    """Hold importances against the policy and the champion's."""
    unknown = sorted(name for name, value in evidence.candidate.items() if not isfinite(value))
    problem = evidence.problem
    if evidence.method != policy.method:
        problem = f"importances were measured by {evidence.method}, asked for is {policy.method}"
    if problem or unknown or not evidence.candidate:
        detail = problem or f"no importance could be measured of {unknown or 'any feature'}"
        return (
            Finding(rule=RULE, subject="importances", outcome=Outcome.INCONCLUSIVE, detail=detail),
        )
    return (
        _against_champion(evidence, policy),
        *_ignored(evidence, policy),
        *_core(evidence, policy),
        *_single(evidence, policy),
    )


def _against_champion(evidence: AttributionEvidence, policy: AttributionPolicy) -> Finding:
    if evidence.champion is None:
        # Without a champion there is nothing to be stable against; a lost one cannot tell.
        detail = evidence.champion_problem or "no version is declared yet"
        outcome = Outcome.INCONCLUSIVE if evidence.champion_problem else Outcome.PASS
        return Finding(rule=RULE, subject="against the champion", outcome=outcome, detail=detail)
    stability = rank_stability(evidence.champion, evidence.candidate, k=policy.core_top)
    words = []
    if not isfinite(stability.correlation):
        words.append(
            f"{stability.n} features of both models cannot be ranked: it takes {MINIMUM_NAMES},"
            " importances that are known, and not all alike"
        )
    # The correlation is blind to what only one of them has.
    for role, names in (("champion", stability.only_first), ("candidate", stability.only_second)):
        if names:
            words.append(f"only the {role} has {', '.join(names)}")
    return compare(
        rule=RULE,
        subject="against the champion",
        observed=stability.correlation,
        limit=policy.rank_correlation_floor,
        bound="at least",
        unit=_UNITS[policy.method],
        n=stability.n,
        minimum_n=MINIMUM_NAMES,
        detail="; ".join(words),
    )


def _ignored(evidence: AttributionEvidence, policy: AttributionPolicy) -> tuple[Finding, ...]:
    """Features that mattered to the champion and have no effect at all any more."""
    if evidence.champion is None:
        return ()
    total = sum(max(0.0, value) for value in evidence.champion.values())
    lost = [
        name
        for name in evidence.ignored
        if total > 0 and evidence.champion.get(name, 0.0) / total >= policy.heeded_share
    ]
    return (
        compare(
            rule=RULE,
            subject="features that matter to the champion",
            observed=float(len(lost)),
            limit=0,
            bound="at most",
            unit="features without any effect",
            n=evidence.n,
            detail=", ".join(lost),
        ),
    )


def _core(evidence: AttributionEvidence, policy: AttributionPolicy) -> tuple[Finding, ...]:
    found = []
    for name in policy.core_features:
        importance = evidence.candidate.get(name)
        place = None
        if importance is not None:
            place = sum(other >= importance for other in evidence.candidate.values())
        finding = compare(
            rule=RULE,
            subject=f"core feature {name}",
            observed=place,
            limit=policy.core_top,
            bound="at most",
            unit="place by importance",
            n=evidence.n,
            detail="the model does not have it"
            if importance is None
            else _PLACE[policy.method].format(importance),
        )
        # Among few features, or where none matters, a place alone says nothing.
        if importance is not None and importance <= 0 and finding.outcome is Outcome.PASS:
            finding = replace(finding, outcome=Outcome.FAIL)
        found.append(finding)
    return tuple(found)


def _single(evidence: AttributionEvidence, policy: AttributionPolicy) -> tuple[Finding, ...]:
    if policy.single_share_limit == 1:
        return ()
    positive = {name: max(0.0, value) for name, value in evidence.candidate.items()}
    total = sum(positive.values())
    first = max(positive, key=lambda name: positive[name])
    return (
        compare(
            rule=RULE,
            subject=f"most important feature {first}",
            observed=positive[first] / total if total > 0 else None,
            limit=policy.single_share_limit,
            bound="at most",
            unit="share of all importance",
            n=evidence.n,
            detail="" if total > 0 else "no feature matters",
        ),
    )
