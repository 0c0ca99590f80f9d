"""What a version was released with: the scores of its own recorded evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.performance_record import Baseline
from ml_release.errors import MlReleaseError
from ml_release.workflows.evaluation_records import recorded_evaluation

if TYPE_CHECKING:
    from ml_release.domain.decision_costs import DecisionCosts
    from ml_release.domain.evaluation_measures import DecidedCost, Measured
    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine


def baseline_of(
    line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore
) -> tuple[Baseline | None, str]:
    """The scores at release, and why there are none.

    A record that was edited, or is about another verdict, is not believed: what is served is then
    held against nothing, which is told and never passes.
    """
    try:
        found = recorded_evaluation(line, model_digest, evidence=evidence)
    except MlReleaseError as error:
        return None, str(error)
    measures = found.measures
    return (
        Baseline(
            auc=measures.scores.get("auc_score"),
            log_loss=measures.scores.get("log_loss"),
            calibration_error=measures.calibration_error,
            rate=measures.label_mean,
            cost_per_1000=_cost(measures.decided_cost, line.policies.evaluation.quality.costs),
        ),
        "",
    )


def _cost(decided: DecidedCost | None, costs: DecisionCosts | None) -> Measured | None:
    """None also where prices were others: what costs more by dearer mistakes is no worse model."""
    if decided is None or costs is None:
        return None
    prices = (decided.false_positive, decided.false_negative)
    same = prices == (costs.false_positive, costs.false_negative)
    return decided.per_1000 if same else None
