"""A report put together by hand, with whatever a test wants to be otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ml_release.adapters.in_memory import InMemoryWorkplace
from ml_release.domain.evaluation_measures import (
    EvaluationMeasures,
    FairnessOfColumn,
    Measured,
    OtherVersion,
    SliceMeasure,
)
from ml_release.domain.gates_servability import Servability
from ml_release.domain.model_card import CardNotes, LineNotes
from ml_release.domain.provenance import CandidateRecord
from ml_release.domain.release_report import Partition, Picture, ReleaseReport
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.domain.waivers import Waived, Waiver

DIGEST = "sha256:" + "a" * 64
MOMENT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
# The smallest picture: one transparent pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c636000"
    "0100000500010d0a2db40000000049454e44ae426082"
)
NOTES = LineNotes(
    line="small_line",
    objective="Probability that a trip is late.",
    owner="tests",
    task="classification",
    target="is_late",
    output="probability_late",
    label_delay=timedelta(days=1),
    slices=("carrier",),
    sensitive=("carrier",),
    notes=CardNotes(intended_use="tests", limitations=("made up",)),
)
CANDIDATE = CandidateRecord(
    line="small_line",
    model_digest=DIGEST,
    run_id="run-1",
    partitions={"2013-01": DIGEST},
    snapshots={"2013-01": DIGEST, "2012-12": DIGEST},
    left_out={"2013-02": "its gate failed"},
    feature_version="features-1",
    policy_digest=DIGEST,
    seed=7,
    build=InMemoryWorkplace().build(()),
    algorithm="sklearn.ensemble.HistGradientBoostingClassifier",
    parameters={"max_iter": 12},
    window_from="2013-01-01",
    holdout_from="2013-01-20",
    window_to="2013-01-31",
    train_rows=400,
    holdout_rows=200,
    trained_at=MOMENT.isoformat(),
)
INTERVAL = Measured(estimate=0.7, low=0.6, high=0.8, confidence=0.95, n=200, units=12)
UNTOLD = Measured(estimate=None, low=None, high=None, confidence=0.95, n=0, units=0)
MEASURES = EvaluationMeasures(
    line="small_line",
    model_digest=DIGEST,
    candidate_digest=CANDIDATE.digest,
    verdict_digest=DIGEST,
    evaluated_at=MOMENT.isoformat(),
    rows=200,
    label_mean=0.25,
    primary="auc_score",
    scores={"auc_score": INTERVAL},
    calibration_error=0.03,
    champion=OtherVersion(version=3, model_digest=DIGEST, difference=INTERVAL),
    anchor=None,
    slices=(
        SliceMeasure(
            column="carrier",
            value="AA",
            score="auc_score",
            n=100,
            positives=30,
            judged=True,
            interval=INTERVAL,
        ),
    ),
    slices_confidence=0.99,
    fairness=(
        FairnessOfColumn(
            column="carrier",
            measure="demographic_parity_difference",
            interval=INTERVAL,
            compared=("AA", None),
            left_out=("BB",),
            least=("AA",),
            greatest=(None,),
        ),
    ),
    parity=0.0,
    repeats=True,
    measured=Servability(n=200, load_ms=10, p50_ms=0.1, p95_ms=0.2, p99_ms=0.3, memory_mb=5),
    problem="",
    holdout_candidates=2,
)
"""All that can be known is."""

NOTHING = MEASURES.model_copy(
    update={
        "rows": 0,
        "label_mean": None,
        "scores": {"auc_score": UNTOLD},
        "calibration_error": None,
        "champion": None,
        "slices": (),
        "slices_confidence": None,
        "fairness": (),
        "parity": None,
        "measured": None,
    }
)
"""Nothing is known."""


def finding(outcome: Outcome = Outcome.PASS, **changes: Any) -> Finding:
    """A finding on a score."""
    fields: dict[str, Any] = {
        "rule": "score_is_above_floor",
        "subject": "auc_score on the holdout",
        "outcome": outcome,
        "observed": 0.6,
        "limit": 0.65,
        "bound": "at least",
        "unit": "auc_score",
        "n": 200,
    }
    return Finding(**(fields | changes))


def verdict(*findings: Finding) -> Verdict:
    """A verdict of the evaluation's judge."""
    return Verdict(
        judge="evaluation_gates/2",
        line="small_line",
        subject_digest=DIGEST,
        evidence={"data_digest": DIGEST},
        findings=findings,
    )


def waived(found: Finding) -> Waived:
    """A finding Ada let go."""
    waiver = Waiver(
        candidate=DIGEST,
        verdict=DIGEST,
        rule=found.rule,
        subject=found.subject,
        by="Ada",
        reason="the floor is being revised",
        given_at=MOMENT,
        expires_at=MOMENT + timedelta(days=2),
    )
    return Waived(finding=found, waiver=waiver)


def report(*findings: Finding, let_go: tuple[Finding, ...] = (), **changes: Any) -> ReleaseReport:
    """A report on these findings; those of ``let_go`` are waived."""
    judged = verdict(*findings)
    fields: dict[str, Any] = {
        "declared": NOTES,
        "candidate": CANDIDATE,
        "verdict": judged,
        "measures": MEASURES,
        "held_by": tuple(f for f in judged.objections if f not in let_go),
        "waived": tuple(waived(f) for f in let_go),
        "partitions": (
            Partition(
                name="2013-01",
                features_digest=DIGEST,
                rows=600,
                snapshot_digest=DIGEST,
                outcome=Outcome.PASS,
            ),
        ),
        "history": {"2012-12": DIGEST},
        "pictures": (Picture(title="ROC", png=PNG),),
    }
    return ReleaseReport(**(fields | changes))
