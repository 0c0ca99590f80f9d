"""The policies of a line, composed from the classes that stand beside the judges reading them."""

from __future__ import annotations

import json
from datetime import date

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.data_gates import DataGatesPolicy
from ml_release.domain.decision_policy import DecisionPolicy
from ml_release.domain.drift_policy import DriftPolicy
from ml_release.domain.evaluation_gates import EvaluationPolicy
from ml_release.domain.fairness_watch_policy import FairnessWatchPolicy
from ml_release.domain.history_health import HistoryHealthPolicy
from ml_release.domain.identity import digest_of_json
from ml_release.domain.label_maturity import LabelPolicy
from ml_release.domain.performance_policy import PerformancePolicy
from ml_release.domain.quarantine import QuarantinePolicy
from ml_release.domain.release_kpi_policy import KpiPolicy
from ml_release.domain.retention import RetentionPolicy
from ml_release.domain.retraining_policy import RetrainingPolicy
from ml_release.domain.rollout_policy import RolloutPolicy
from ml_release.domain.scorecard import ScorecardPolicy
from ml_release.domain.slo_policy import SloPolicy
from ml_release.domain.text_drift import TextDriftPolicy
from ml_release.domain.three_truths import TruthsPolicy
from ml_release.domain.training_plan import TrainingPolicy
from ml_release.errors import DeclarationError


class Policies(BaseModel):
    """Every limit a line declares, reviewable in its policy.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_gates: DataGatesPolicy
    quarantine: QuarantinePolicy = Field(default_factory=QuarantinePolicy)
    training: TrainingPolicy = Field(default_factory=TrainingPolicy)
    evaluation: EvaluationPolicy
    drift: DriftPolicy
    history: HistoryHealthPolicy = Field(default_factory=HistoryHealthPolicy)
    labels: LabelPolicy
    performance: PerformancePolicy = Field(default_factory=PerformancePolicy)
    rollout: RolloutPolicy = Field(default_factory=RolloutPolicy)
    decisions: DecisionPolicy = Field(default_factory=DecisionPolicy)
    retraining: RetrainingPolicy
    slo: SloPolicy = Field(default_factory=SloPolicy)
    kpis: KpiPolicy = Field(default_factory=KpiPolicy)
    truths: TruthsPolicy = Field(default_factory=TruthsPolicy)
    retention: RetentionPolicy | None = None
    fairness_watch: FairnessWatchPolicy = Field(default_factory=FairnessWatchPolicy)
    text_drift: TextDriftPolicy = Field(default_factory=TextDriftPolicy)
    scorecard: ScorecardPolicy = Field(default_factory=ScorecardPolicy)

    @property
    def digest(self) -> str:
        """Digest over all policies; without retention that of before there was any."""
        left_out = {"retention"} if self.retention is None else None
        return digest_of_json(self.model_dump(mode="json", exclude=left_out))


def policies_from_yaml(text: str, *, subject: str) -> Policies:
    """Read policy.yaml.

    Raises
    ------
    DeclarationError
        Listing every problem; ``subject`` says which file is meant.
    """
    try:
        document = json.dumps(yaml.safe_load(text), default=_written_out)
        # Strict: neither "5000" nor yes is a number. YAML knows no tuples, which JSON mode allows.
        return Policies.model_validate_json(document, strict=True)
    except ValidationError as error:
        message = f"{subject}: the policy is not valid.\n{error_rows(error)}"
        raise DeclarationError(message) from error
    except (yaml.YAMLError, TypeError, ValueError) as error:
        message = f"{subject}: expected YAML, found something else ({error})"
        raise DeclarationError(message) from error


def _written_out(value: object) -> str:
    """A day as YAML reads it, which JSON does not know, as it was written."""
    if isinstance(value, date):
        return value.isoformat()
    message = f"a value of the type {type(value).__name__}"
    raise TypeError(message)


def error_rows(error: ValidationError) -> str:
    """Every problem of a declaration, one per line, with what was found."""
    return "\n".join(
        f"  - {'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}, found"
        f" {problem['input']!r}"
        if problem["loc"]
        else f"  - {problem['msg']}"
        for problem in error.errors()
    )
