"""Whether the candidate is fit to release, and no worse than the champion, on later data.

First gates: the score against a floor, calibration, the champion on the same rows, and whether the
artefact that would serve answers like the model that was judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain import quarantine
from ml_release.domain.identity import digest_of_json
from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.scores import Difference

JUDGE = "evaluation_gates/1"
DESCRIPTIONS = {
    "score_is_above_floor": "The lower end of the AUC's confidence interval reaches the floor.",
    "probabilities_are_calibrated": "Predicted probabilities match observed rates.",
    "no_worse_than_champion": "Not worse than the champion by more than the margin, same rows.",
    **quarantine.DESCRIPTIONS,
    "is_servable": "The artefact loads and answers like the estimator, fast enough.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)


class EvaluationPolicy(BaseModel):
    """What a candidate has to reach.

    Attributes
    ----------
    minimum_rows
        Labelled holdout rows below which a score says nothing.
    auc_floor_score
        Lower end of the confidence interval of the AUC.
    calibration_error_limit
        Expected calibration error, a probability.
    champion_margin
        How much AUC below the champion is acceptable: the lower end of the interval of the
        difference must not be below minus this.
    confidence
        Two-sided confidence of the intervals.
    parity_limit
        Largest absolute difference between the artefact's and the estimator's probabilities.
    latency_limit_ms
        Median time for one row of the artefact, features included.
    holdout_days
        Days at the end of the window that are held out for evaluation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_rows: Annotated[int, Field(ge=2)] = 1000
    auc_floor_score: Annotated[float, Field(ge=0.5, le=1)]
    calibration_error_limit: Annotated[float, Field(gt=0, le=1)]
    champion_margin: Annotated[float, Field(ge=0, le=0.5)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    parity_limit: Annotated[float, Field(ge=0)] = 1e-12
    latency_limit_ms: Annotated[float, Field(gt=0)] = 10.0
    holdout_days: Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionComparison:
    """The champion on the same rows.

    ``difference`` is candidate minus champion in AUC; None with a ``problem`` if the champion could
    not be scored.
    """

    version: int
    model_digest: str
    difference: Difference | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationEvidence:
    """What was measured on the holdout.

    Attributes
    ----------
    auc
        With its interval; ``estimate`` is the AUC itself.
    champion
        None if no version is declared: then the floor alone decides, which is the rule for the
        first version.
    coverage
        How much of the training window was fit.
    parity
        Largest absolute difference of artefact and estimator; NaN if the artefact gave no answer.
    digests
        Name to digest of the data, features and policy the candidate was made from.
    """

    line: str
    model_digest: str
    rows: int
    positives: int
    auc: Difference
    calibration_error: float
    champion: ChampionComparison | None
    coverage: Finding
    parity: float
    latency_ms: float
    servable_problem: str
    digests: Mapping[str, str]


def judge_evaluation(evidence: EvaluationEvidence, policy: EvaluationPolicy) -> Verdict:
    """Hold a candidate against the policy and the champion."""
    findings = (
        _floor(evidence, policy),
        compare(
            rule="probabilities_are_calibrated",
            subject="holdout",
            observed=evidence.calibration_error,
            limit=policy.calibration_error_limit,
            bound="at most",
            unit="expected calibration error",
            n=evidence.rows,
            minimum_n=policy.minimum_rows,
        ),
        _champion(evidence, policy),
        evidence.coverage,
        *_servable(evidence, policy),
    )
    champion_digest = evidence.champion.model_digest if evidence.champion else "none"
    return Verdict(
        judge=JUDGE,
        line=evidence.line,
        subject_digest=evidence.model_digest,
        evidence={
            **evidence.digests,
            "champion_digest": champion_digest,
            "policy_digest": digest_of_json(policy.model_dump(mode="json")),
        },
        findings=findings,
    )


def _floor(evidence: EvaluationEvidence, policy: EvaluationPolicy) -> Finding:
    return compare(
        rule="score_is_above_floor",
        subject="holdout",
        observed=_lower_end(evidence.auc, policy),
        limit=policy.auc_floor_score,
        bound="at least",
        unit=f"AUC, lower end of the {policy.confidence * 100:g}% interval",
        n=evidence.auc.n,
        minimum_n=policy.minimum_rows,
        detail=f"AUC {evidence.auc.estimate:.4f} with {evidence.positives} positives",
    )


def _lower_end(interval: Difference, policy: EvaluationPolicy) -> float | None:
    # An interval of another confidence answers another question.
    return interval.low if interval.confidence == policy.confidence else None


def _champion(evidence: EvaluationEvidence, policy: EvaluationPolicy) -> Finding:
    rule = "no_worse_than_champion"
    champion = evidence.champion
    if champion is None:
        return Finding(
            rule=rule,
            subject="no champion",
            outcome=Outcome.PASS,
            limit=-policy.champion_margin,
            bound="at least",
            unit="AUC",
            detail="no version is declared yet; for the first version the floor decides",
        )
    subject = f"champion version {champion.version}"
    if champion.difference is None:
        return Finding(
            rule=rule, subject=subject, outcome=Outcome.INCONCLUSIVE, detail=champion.problem
        )
    return compare(
        rule=rule,
        subject=subject,
        observed=_lower_end(champion.difference, policy),
        limit=-policy.champion_margin,
        bound="at least",
        unit=f"AUC difference, lower end of the {policy.confidence * 100:g}% interval",
        n=champion.difference.n,
        minimum_n=policy.minimum_rows,
        detail=f"candidate minus champion {champion.difference.estimate:+.4f}",
    )


def _servable(evidence: EvaluationEvidence, policy: EvaluationPolicy) -> tuple[Finding, ...]:
    rule = "is_servable"
    if evidence.servable_problem:
        return (
            Finding(
                rule=rule,
                subject="artefact",
                outcome=Outcome.FAIL,
                detail=evidence.servable_problem,
            ),
        )
    return (
        compare(
            rule=rule,
            subject="answers like the estimator",
            observed=evidence.parity,
            limit=policy.parity_limit,
            bound="at most",
            unit="largest difference of probabilities",
            n=evidence.rows,
        ),
        compare(
            rule=rule,
            subject="latency of one row",
            observed=evidence.latency_ms,
            limit=policy.latency_limit_ms,
            bound="at most",
            unit="ms, median",
        ),
    )
