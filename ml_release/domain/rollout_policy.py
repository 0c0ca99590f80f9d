"""How a line releases: which stages, which shares of traffic, who agrees, and what judges each."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.approvals import ApprovalPolicy
from ml_release.domain.canary_policy import CanaryPolicy, CanaryStep
from ml_release.domain.drill import DrillPolicy
from ml_release.domain.identity import digest_of_json
from ml_release.domain.rollback_verification import VerificationPolicy
from ml_release.domain.rollout import Path
from ml_release.domain.shadow_policy import ShadowPolicy
from ml_release.domain.staging_gates import StagingPolicy
from ml_release.domain.watch import WatchPolicy

DeclaredStage = Literal["staging", "shadow", "canary"]


class _Policy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RolloutPolicy(_Policy):
    """The way of a release from registration to production.

    Attributes
    ----------
    stages
        Those between registration and production. A line that leaves one out says so here, in a
        reviewed file; nobody skips one that stands here.
    staging, approval, shadow, canary, watch
        What each is judged by.
    verification
        What a rollback is judged by afterwards.
    drill
        How a rollback is rehearsed.
    drill_max_age_days
        A version gets no traffic without a drill on record that went well and is not older; None
        where none is asked for.
    shadow_sample_percent
        Of the requests, that the shadow is asked as well.
    canary_steps
        Shares of the canary, rising.
    automatic
        Whether a release that was approved and begun goes on by itself as its verdicts allow. It
        is taken back by itself in any case.
    is_watched
        Whether a release stays under watch after it has taken all traffic.
    """

    stages: tuple[DeclaredStage, ...] = ("staging", "shadow", "canary")
    staging: StagingPolicy = Field(default_factory=StagingPolicy)
    approval: ApprovalPolicy = Field(default_factory=ApprovalPolicy)
    shadow: ShadowPolicy = Field(default_factory=ShadowPolicy)
    canary: CanaryPolicy = Field(default_factory=CanaryPolicy)
    watch: WatchPolicy = Field(default_factory=WatchPolicy)
    verification: VerificationPolicy = Field(default_factory=VerificationPolicy)
    drill: DrillPolicy = Field(default_factory=DrillPolicy)
    drill_max_age_days: Annotated[float, Field(gt=0)] | None = None
    shadow_sample_percent: Annotated[float, Field(gt=0, le=100)] = 100.0
    canary_steps: tuple[CanaryStep, ...] = (
        CanaryStep(weight_percent=5.0),
        CanaryStep(weight_percent=25.0),
        CanaryStep(weight_percent=50.0),
    )
    automatic: bool = True
    is_watched: bool = True

    @model_validator(mode="after")
    def _is_a_way(self) -> Self:
        problems = []
        order = [stage for stage in ("staging", "shadow", "canary") if stage in self.stages]
        if list(self.stages) != order:
            problems.append(
                f"stages: expected each once, in the order {', '.join(order)}, found"
                f" {', '.join(self.stages)}"
            )
        weights = [step.weight_percent for step in self.canary_steps]
        if weights != sorted(set(weights)):
            problems.append(f"canary_steps: expected rising weights, found {weights}")
        if "canary" in self.stages and not weights:
            problems.append("canary_steps: expected at least one step of a canary, found none")
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    @property
    def path(self) -> Path:
        """The places on the way."""
        weights = [s.weight_percent for s in self.canary_steps if "canary" in self.stages]
        return Path(
            has_staging="staging" in self.stages,
            has_shadow="shadow" in self.stages,
            weights_percent=tuple(weights),
            needs_drill=self.drill_max_age_days is not None,
        )

    @property
    def digest(self) -> str:
        """Of the whole policy."""
        return digest_of_json(self.model_dump(mode="json"))
