"""Whether a candidate has earned its place: every group of evaluation gates in one verdict.

Quality, slices, fairness, behaviour, robustness, attribution, servability, provenance. Each group
has its judge and its policy in a module of its own; here they are put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain import (
    gates_attribution,
    gates_behaviour,
    gates_fairness,
    gates_old_window,
    gates_quality,
    gates_robustness,
    gates_servability,
    gates_sets,
    gates_slices,
    holdout_use,
    quarantine,
)
from ml_release.domain.behaviour_tests import BehaviourPolicy
from ml_release.domain.evaluation_sets import SetsPolicy, SpanSet
from ml_release.domain.gates_attribution import (
    AttributionEvidence,
    AttributionPolicy,
    judge_attribution,
)
from ml_release.domain.gates_behaviour import Answers, judge_behaviour
from ml_release.domain.gates_fairness import FairnessPolicy, GroupMeasure, judge_fairness
from ml_release.domain.gates_old_window import OldWindow, judge_old_window
from ml_release.domain.gates_quality import QualityEvidence, judge_quality
from ml_release.domain.gates_robustness import (
    RobustnessEvidence,
    RobustnessPolicy,
    judge_robustness,
)
from ml_release.domain.gates_servability import (
    ServabilityEvidence,
    ServabilityPolicy,
    judge_servability,
)
from ml_release.domain.gates_sets import SetsEvidence, judge_sets
from ml_release.domain.gates_slices import SliceEvidence, SlicePolicy, judge_slices
from ml_release.domain.holdout_use import HoldoutPolicy, HoldoutUse, judge_holdout_use
from ml_release.domain.identity import digest_of_json
from ml_release.domain.quality_policy import QualityPolicy
from ml_release.domain.verdict import Finding, Verdict, without_vote

JUDGE = "evaluation_gates/3"
GROUPS: Mapping[str, Mapping[str, str]] = {
    "quality": {
        **gates_quality.DESCRIPTIONS,
        **gates_sets.DESCRIPTIONS,
        **gates_old_window.DESCRIPTIONS,
    },
    "slices": gates_slices.DESCRIPTIONS,
    "fairness": gates_fairness.DESCRIPTIONS,
    "behaviour": gates_behaviour.DESCRIPTIONS,
    "robustness": gates_robustness.DESCRIPTIONS,
    "attribution": gates_attribution.DESCRIPTIONS,
    "servability": gates_servability.DESCRIPTIONS,
    "provenance": {**quarantine.DESCRIPTIONS, **holdout_use.DESCRIPTIONS},
}
"""Group to its rules: claims, each a check of the asset, with what they say."""

DESCRIPTIONS = {
    rule: f"{text} ({group})" for group, rules in GROUPS.items() for rule, text in rules.items()
}
RULES = tuple(DESCRIPTIONS)


class EvaluationPolicy(BaseModel):
    """What a candidate has to reach.

    Attributes
    ----------
    minimum_rows
        Labelled holdout rows below which a score says nothing.
    confidence
        Two-sided confidence of the intervals.
    interval_unit
        What is taken as independent: a day's rows are not independent of one another, so that an
        interval over days is the honest one where days move together.
    comparison_unit
        The same for what candidate and champion differ by. With rows the question is whether it is
        worse on these very days; with days whether it would be on others, which takes many.
    resamples, seed
        Of the bootstraps.
    holdout_days
        Days at the end of the window that are held out for evaluation.
    sets
        Days that no model is fitted on, and files of cases; None: none are.
    slices, fairness
        None: not judged.
    blocking
        Rule to whether it has a vote; a rule that is not named has one. One without is judged and
        shown as a warning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_rows: Annotated[int, Field(ge=2)] = 1000
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    interval_unit: Literal["day", "row"] = "day"
    comparison_unit: Literal["day", "row"] = "day"
    resamples: Annotated[int, Field(ge=200, le=20_000)] = 1000
    seed: int = 0
    holdout_days: Annotated[int, Field(ge=1)]
    quality: QualityPolicy
    sets: SetsPolicy | None = None
    slices: SlicePolicy | None = None
    fairness: FairnessPolicy | None = None
    behaviour: BehaviourPolicy = Field(default_factory=BehaviourPolicy)
    robustness: RobustnessPolicy = Field(default_factory=RobustnessPolicy)
    attribution: AttributionPolicy = Field(default_factory=AttributionPolicy)
    servability: ServabilityPolicy = Field(default_factory=ServabilityPolicy)
    holdout: HoldoutPolicy = Field(default_factory=HoldoutPolicy)
    blocking: Mapping[str, bool] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _rules_are_known(self) -> Self:
        unknown = sorted(set(self.blocking) - set(RULES))
        if unknown:
            message = f"blocking: expected rules of {sorted(RULES)}, found {unknown}"
            raise ValueError(message)
        return self

    @property
    def kept_out(self) -> Mapping[str, SpanSet]:
        """Days that no model of the line is fitted on, by the name of their set."""
        return {} if self.sets is None else self.sets.spans

    @property
    def judged(self) -> tuple[str, ...]:
        """Rules that are applied: those that need a declaration only where it is there."""
        undeclared = {
            gates_quality.FLOOR: not self.quality.floors,
            gates_quality.CEILING: not self.quality.ceilings,
            gates_quality.CALIBRATION: self.quality.calibration_error_limit is None,
            gates_quality.ANCHOR: self.quality.anchor_margin is None,
            gates_sets.LIMIT: self.sets is None,
            gates_sets.CHAMPION: self.sets is None,
            gates_slices.FLOOR: self.slices is None,
            gates_slices.CHAMPION: self.slices is None,
            gates_fairness.RULE: self.fairness is None,
            gates_behaviour.RULE: not self.behaviour.tests,
        }
        return tuple(rule for rule in RULES if not undeclared.get(rule))

    @property
    def warning(self) -> tuple[str, ...]:
        """Rules that are shown and have no vote."""
        return tuple(rule for rule in self.judged if not self.blocking.get(rule, True))


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationEvidence:
    """What was measured of one candidate.

    Attributes
    ----------
    old_window
        None if there is no champion.
    behaviour
        Name of a declared test to the answers to it.
    coverage
        How much of the training window was fit.
    holdout_use
        Candidates judged on this holdout, this one included.
    digests
        Name to digest of the data, features, champion, anchor and whatever else was looked at.
    """

    line: str
    model_digest: str
    quality: QualityEvidence
    sets: SetsEvidence
    old_window: OldWindow | None
    slices: SliceEvidence
    fairness: tuple[GroupMeasure, ...]
    behaviour: Mapping[str, Answers]
    robustness: RobustnessEvidence
    attribution: AttributionEvidence
    servability: ServabilityEvidence
    coverage: Finding
    holdout_use: HoldoutUse
    digests: Mapping[str, str]


def judge_evaluation(evidence: EvaluationEvidence, policy: EvaluationPolicy) -> Verdict:
    """Hold a candidate against the policy, the champion and the anchor."""
    has_champion = evidence.quality.champion is not None
    findings = (
        *judge_quality(
            evidence.quality,
            policy.quality,
            minimum_rows=policy.minimum_rows,
            confidence=policy.confidence,
        ),
        *judge_sets(
            evidence.sets,
            policy.sets,
            primary=policy.quality.primary,
            minimum_rows=policy.minimum_rows,
            confidence=policy.confidence,
            has_champion=has_champion,
        ),
        judge_old_window(
            evidence.old_window,
            primary=policy.quality.primary,
            margin=policy.quality.champion_margin,
            minimum_rows=policy.minimum_rows,
            confidence=policy.confidence,
            has_champion=has_champion,
        ),
        *(
            ()
            if policy.slices is None
            else judge_slices(
                evidence.slices,
                policy.slices,
                greater_is_better=policy.quality.greater_is_better,
            )
        ),
        *(() if policy.fairness is None else judge_fairness(evidence.fairness, policy.fairness)),
        *judge_behaviour(policy.behaviour, evidence.behaviour),
        *judge_robustness(evidence.robustness, policy.robustness),
        *judge_attribution(evidence.attribution, policy.attribution),
        *judge_servability(evidence.servability, policy.servability),
        evidence.coverage,
        judge_holdout_use(evidence.holdout_use, policy.holdout),
    )
    return Verdict(
        judge=JUDGE,
        line=evidence.line,
        subject_digest=evidence.model_digest,
        evidence={
            **evidence.digests,
            "attribution_method": evidence.attribution.method,
            "policy_digest": digest_of_json(policy.model_dump(mode="json")),
        },
        findings=without_vote(findings, policy.warning),
    )
