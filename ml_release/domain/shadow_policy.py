"""What a shadow has to show before any client gets its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ENOUGH = "shadow_saw_enough"
COVERAGE = "shadow_answers_what_it_is_asked"
ERRORS = "shadow_fails_no_more_often"
AGREEMENT = "decisions_agree"
LEANING = "decisions_lean_little"
SHIFT = "scores_shift_little"
DISTRIBUTION = "score_distribution_is_kept"
CORRELATION = "scores_move_together"
SLICES = "slices_agree"
LATENCY = "shadow_is_fast_enough"
QUALITY = "shadow_is_no_worse"
AGE = "shadow_is_in_its_time"
DESCRIPTIONS = {
    ENOUGH: "The shadow was asked often enough, long enough and on days enough.",
    COVERAGE: "Of the sampled requests, the shadow answered nearly all.",
    ERRORS: "The shadow does not fail more often than the champion on the same requests.",
    AGREEMENT: "The shadow decides most requests as the champion does.",
    LEANING: "The shadow says yes about as often as the champion.",
    SHIFT: "The shadow's scores are on average about the champion's.",
    DISTRIBUTION: "The shadow's scores are spread like the champion's.",
    CORRELATION: "The shadow's scores rise and fall with the champion's.",
    SLICES: "On no declared slice does the shadow depart from the champion.",
    LATENCY: "The shadow takes about as long as the champion.",
    QUALITY: "On the same labelled requests the shadow is no worse than the champion.",
    AGE: "The shadow has not run for longer than it may without a decision.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)
Consequence = Literal["roll_back", "hold", "show"]
# Not among them: what is missing neither fails nor can be overlooked.
CONSEQUENCES: Mapping[str, Consequence] = {
    ERRORS: "roll_back",
    AGREEMENT: "roll_back",
    LEANING: "roll_back",
    SHIFT: "roll_back",
    DISTRIBUTION: "hold",
    CORRELATION: "hold",
    SLICES: "roll_back",
    LATENCY: "hold",
    QUALITY: "roll_back",
}


class ShadowPolicy(BaseModel):
    """The limits of a shadow. Every one is about pairs: two answers to the same request.

    Attributes
    ----------
    minimum_pairs, minimum_hours, minimum_days
        Pairs of requests, hours between the first and the last of them, and calendar days with at
        least one. With less nothing passes.
    coverage_floor
        Share of the sampled requests that the shadow has to answer. What was dropped or failed
        counts as not answered: missing answers are no agreement.
    error_rate_limit
        How much higher the shadow's error rate may be, a fraction.
    agreement_floor
        Share of requests with the same decision.
    decision_shift_limit
        How far the shares of yes may be apart, a fraction.
    mean_shift_limit
        How far the mean scores may be apart: a probability, or for a regression a share of the
        standard deviation of the champion's scores.
    psi_limit_nats
        Largest adjusted PSI of the shadow's scores over the champion's deciles.
    correlation_floor
        Smallest correlation of the scores, Pearson's.
    slice_minimum_pairs
        Slices with fewer pairs are shown and not judged.
    slice_agreement_floor, slice_shift_limit
        As ``agreement_floor`` and ``mean_shift_limit``, of each slice.
    maximum_slices
        So many of the most frequent slices are judged. The chance of a false alarm is split over
        this number, however many there are, so that it does not move while slices appear.
    latency_ratio_limit
        Largest ratio of the two 95th percentiles; None judges none.
    labels
        ``when_known``: the quality counts as soon as it is known. ``required``: without it a shadow
        does not advance.
    quality_score, quality_margin
        What the labelled pairs are compared in, and how much worse is acceptable, in its unit.
    quality_scale
        About the difference of that score in one block that is looked for.
    block_pairs, minimum_blocks
        Labelled pairs of a block, and blocks below which the quality is not known yet.
    confidence
        1 minus the chance that a shadow as good as the champion ever fails a rule, all rules and
        all looks together.
    maximum_age_hours, when_too_old
        What becomes of a shadow that is still undecided after so many hours.
    consequences
        Rule to what its failure leads to, where that is not as in `CONSEQUENCES`. A rule that is
        ``show`` has no vote.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_pairs: Annotated[int, Field(ge=2)] = 2000
    minimum_hours: Annotated[float, Field(ge=0)] = 24.0
    minimum_days: Annotated[int, Field(ge=1)] = 1
    coverage_floor: Annotated[float, Field(gt=0, le=1)] = 0.9
    error_rate_limit: Annotated[float, Field(gt=0, le=1)] = 0.01
    agreement_floor: Annotated[float, Field(ge=0, lt=1)] = 0.85
    decision_shift_limit: Annotated[float, Field(gt=0, le=1)] = 0.1
    mean_shift_limit: Annotated[float, Field(gt=0)] = 0.05
    psi_limit_nats: Annotated[float, Field(gt=0)] = 0.25
    correlation_floor: Annotated[float, Field(ge=-1, lt=1)] = 0.5
    slice_minimum_pairs: Annotated[int, Field(ge=2)] = 300
    slice_agreement_floor: Annotated[float, Field(ge=0, lt=1)] = 0.75
    slice_shift_limit: Annotated[float, Field(gt=0)] = 0.1
    maximum_slices: Annotated[int, Field(ge=1)] = 40
    latency_ratio_limit: Annotated[float, Field(gt=0)] | None = 2.0
    labels: Literal["when_known", "required"] = "when_known"
    quality_score: Literal["auc_score", "log_loss", "brier_loss"] = "auc_score"
    quality_margin: Annotated[float, Field(ge=0)] = 0.01
    quality_scale: Annotated[float, Field(gt=0)] = 0.02
    block_pairs: Annotated[int, Field(ge=2)] = 300
    minimum_blocks: Annotated[int, Field(ge=2)] = 20
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    maximum_age_hours: Annotated[float, Field(gt=0)] = 14 * 24.0
    when_too_old: Literal["hold", "roll_back"] = "hold"
    consequences: Mapping[str, Consequence] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        problems = []
        if unknown := sorted(set(self.consequences) - set(CONSEQUENCES)):
            known = sorted(CONSEQUENCES)
            problems.append(f"consequences: expected rules of {known}, found {unknown}")
        if self.maximum_age_hours <= self.minimum_hours:
            problems.append(
                f"maximum_age_hours: expected more than the minimum_hours {self.minimum_hours:g},"
                f" found {self.maximum_age_hours:g}; no shadow could pass"
            )
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    def consequence(self, rule: str) -> Consequence:
        """What a failure of a rule leads to."""
        return self.consequences.get(rule, CONSEQUENCES.get(rule, "hold"))
