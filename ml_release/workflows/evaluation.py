"""Evaluate a candidate on its holdout, beside champion and anchor, by the artefact to serve.

Each model answers the holdout once. Everything is judged on those answers, and the verdict is
recorded with the digests of all that was looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.evaluation_gates import EvaluationEvidence, judge_evaluation
from ml_release.domain.evaluation_measures import measures_of
from ml_release.domain.holdout_use import HoldoutUse, holdout_use_from_json
from ml_release.domain.identity import digest_of_json
from ml_release.domain.performance import Performance, realised_performance
from ml_release.domain.quality_policy import ERRORS
from ml_release.domain.quarantine import judge_coverage
from ml_release.errors import RefusedError
from ml_release.workflows.attribution_evidence import attribution_evidence, require_attributor
from ml_release.workflows.evaluation_pictures import cheapest_of, pictures_of
from ml_release.workflows.evaluation_records import EVALUATION_MEASURES
from ml_release.workflows.evaluation_records import (
    EVALUATION_VERDICT as EVALUATION_VERDICT,  # noqa: PLC0414 (passed on)
)
from ml_release.workflows.feature_building import FEATURES_TABLE, require_current_features
from ml_release.workflows.holdout_answers import ask, ask_anchor, ask_champion, holdout_of
from ml_release.workflows.model_probes import (
    behaviour_answers,
    robustness_evidence,
)
from ml_release.workflows.old_window_evidence import old_window_evidence
from ml_release.workflows.quality_evidence import (
    Judged,
    decided_cost,
    fairness_evidence,
    primary_of,
    quality_evidence,
    slice_evidence,
)
from ml_release.workflows.recorded_pictures import EVALUATION_PICTURES, record_pictures
from ml_release.workflows.servability_evidence import servability_evidence
from ml_release.workflows.set_evidence import sets_evidence
from ml_release.workflows.training import find_candidate, read_window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ml_release.domain.gates_old_window import OldWindow
    from ml_release.domain.gates_servability import ServabilityEvidence
    from ml_release.domain.gates_sets import SetsEvidence
    from ml_release.domain.identity import SnapshotId
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.threshold_curve import ThresholdPoint
    from ml_release.domain.verdict import Finding, Verdict
    from ml_release.ports import (
        Attributor,
        Deployments,
        EvidenceStore,
        Experiments,
        Landing,
        ModelLoader,
        ModelRegistry,
        ModelStore,
        Plotter,
        ServabilityProbe,
        Tables,
    )
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.holdout_answers import Answered, Holdout

HOLDOUT_USE = "holdout_use"
VERDICT_TAG = "ml_release.verdict_digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """The verdict on a candidate with what it rests on.

    Attributes
    ----------
    performance
        The candidate's on the holdout; None for a regression.
    champion
        The champion's on the same rows; None without one that answered.
    cheapest
        The threshold of least cost on these rows; None if the policy declares no costs.
    """

    candidate: CandidateRecord
    verdict: Verdict
    evidence: EvaluationEvidence
    performance: Performance | None
    champion_version: int | None
    champion: Performance | None
    cheapest: ThresholdPoint | None
    plots: Mapping[str, bytes]


def evaluate_candidate(
    line: ReleaseLine,
    *,
    model_digest: str | None = None,
    environment: str,
    landing: Landing,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    loader: ModelLoader,
    probe: ServabilityProbe,
    deployments: Deployments,
    registry: ModelRegistry,
    experiments: Experiments,
    plotter: Plotter,
    attributor: Attributor,
    now: datetime,
) -> Evaluated:
    """Score, probe, compare, judge and record; the newest candidate for None.

    A declared set that is not at hand is a finding, no error.

    Raises
    ------
    RefusedError
        If the data the candidate was trained on is no longer current or fit.
    NotFoundError
        If there is no such candidate.
    DeclarationError
        If the policy asks for Shapley values and what computes them is not installed.
    """
    require_attributor(line, attributor)
    candidate = find_candidate(line, model_digest, evidence=evidence)
    partitions = _partitions_of(line, candidate, tables=tables, evidence=evidence)
    holdout = holdout_of(
        read_window(line, partitions, tables=tables, holdout_from=candidate.holdout_from)
    )
    judged = _ask_all(
        line,
        candidate,
        holdout,
        environment=environment,
        models=models,
        loader=loader,
        deployments=deployments,
        registry=registry,
    )
    sets, set_digests = sets_evidence(
        line, candidate, judged, landing=landing, tables=tables, evidence=evidence
    )
    old_window, old_digests = old_window_evidence(
        line, candidate, judged, tables=tables, evidence=evidence
    )
    use = _use_of_holdout(line, candidate, evidence=evidence)
    found = gather_evidence(
        line,
        judged,
        model_digest=candidate.model_digest,
        sets=sets,
        old_window=old_window,
        servability=servability_evidence(
            line,
            candidate,
            judged.candidate,
            holdout,
            evidence=evidence,
            models=models,
            probe=probe,
        ),
        coverage=judge_coverage(
            tuple(candidate.partitions), candidate.left_out, line.policies.quarantine
        ),
        holdout_use=use,
        attributor=attributor,
        digests={
            "data_digest": candidate.data_digest,
            "feature_version": candidate.feature_version,
            "candidate_digest": candidate.digest,
            "champion_digest": _digest_of(judged.champion),
            "anchor_digest": _digest_of(judged.anchor),
            "holdout": use.holdout,
            **set_digests,
            **old_digests,
        },
    )
    policy = line.policies.evaluation
    verdict = judge_evaluation(found, policy)
    plots = pictures_of(line, plotter, judged, found)
    cheapest = cheapest_of(line, judged.candidate, holdout)
    measures = measures_of(
        found,
        verdict,
        candidate_digest=candidate.digest,
        primary=policy.quality.primary,
        label_mean=float(np.mean(holdout.target)) if holdout.n else float("nan"),
        cheapest=cheapest,
        decided_cost=decided_cost(line, judged.candidate, holdout),
        at=now,
    )
    evidence.record(line.name, EVALUATION_MEASURES, candidate.model_digest, measures.to_json())
    record_pictures(line, EVALUATION_PICTURES, candidate.model_digest, plots, evidence=evidence)
    evidence.record(line.name, EVALUATION_VERDICT, candidate.model_digest, verdict.to_json())
    run = experiments.resume(candidate.run_id)
    run.log(params={}, metrics=_metrics(found))
    run.keep("evaluation", {**plots, "verdict.json": verdict.to_json()})
    # Last: an act compares this tag with the recorded verdict, so it must not come before it.
    run.tag({VERDICT_TAG: verdict.digest, "ml_release.verdict": verdict.outcome.value})
    return Evaluated(
        candidate=candidate,
        verdict=verdict,
        evidence=found,
        performance=_performance(line, judged.candidate, holdout),
        champion_version=None if judged.champion is None else judged.champion.version,
        champion=_performance(line, judged.champion, holdout),
        cheapest=cheapest,
        plots=plots,
    )


def gather_evidence(
    line: ReleaseLine,
    judged: Judged,
    *,
    model_digest: str,
    sets: SetsEvidence,
    old_window: OldWindow | None,
    servability: ServabilityEvidence,
    coverage: Finding,
    holdout_use: HoldoutUse,
    attributor: Attributor,
    digests: Mapping[str, str],
) -> EvaluationEvidence:
    """Everything the gates ask about one candidate, on answers that were given once."""
    policy = line.policies.evaluation
    candidate, holdout = judged.candidate, judged.holdout
    primary = primary_of(line, holdout)
    return EvaluationEvidence(
        line=line.name,
        model_digest=model_digest,
        quality=quality_evidence(line, judged, primary),
        sets=sets,
        old_window=old_window,
        slices=slice_evidence(line, judged, primary),
        fairness=fairness_evidence(line, judged),
        behaviour=behaviour_answers(policy.behaviour, candidate, holdout),
        robustness=robustness_evidence(line, candidate, holdout),
        attribution=attribution_evidence(
            line, candidate, judged.champion, holdout, attributor=attributor
        ),
        servability=servability,
        coverage=coverage,
        holdout_use=holdout_use,
        digests=digests,
    )


def _ask_all(
    line: ReleaseLine,
    candidate: CandidateRecord,
    holdout: Holdout,
    *,
    environment: str,
    models: ModelStore,
    loader: ModelLoader,
    deployments: Deployments,
    registry: ModelRegistry,
) -> Judged:
    own = ask(candidate.model_digest, holdout, version=0, line=line, models=models, loader=loader)
    champion = ask_champion(
        line,
        environment,
        holdout,
        models=models,
        loader=loader,
        deployments=deployments,
        registry=registry,
    )
    asked = {} if champion is None else {champion.model_digest: champion}
    return Judged(
        holdout=holdout,
        candidate=own,
        champion=champion,
        anchor=ask_anchor(
            line,
            environment,
            candidate,
            holdout,
            asked=asked,
            models=models,
            loader=loader,
            deployments=deployments,
            registry=registry,
        ),
    )


def _partitions_of(
    line: ReleaseLine, candidate: CandidateRecord, *, tables: Tables, evidence: EvidenceStore
) -> tuple[SnapshotId, ...]:
    current = {s.partition: s for s in tables.current(line.name, FEATURES_TABLE)}
    found = []
    for partition, digest in sorted(candidate.partitions.items()):
        features = current.get(partition)
        if features is None or features.digest != digest:
            message = (
                f"evaluation of {line.name} candidate {candidate.model_digest[:19]} refused: it was"
                f" trained on features {partition} {digest[:19]}, the current ones are"
                f" {features.digest[:19] if features else 'none'}. Train again."
            )
            raise RefusedError(message)
        require_current_features(
            line, features, tables=tables, evidence=evidence, act="evaluating a candidate"
        )
        found.append(features)
    return tuple(found)


def _use_of_holdout(
    line: ReleaseLine, candidate: CandidateRecord, *, evidence: EvidenceStore
) -> HoldoutUse:
    """Count this candidate among those that the very rows of its holdout have judged."""
    first = candidate.holdout_from
    held = {name: d for name, d in candidate.partitions.items() if name >= first[: len(name)]}
    holdout = digest_of_json({"features": held, "from": first, "to": candidate.window_to})
    content = evidence.find(line.name, HOLDOUT_USE, holdout)
    known = (
        HoldoutUse(holdout=holdout, candidates=())
        if content is None
        else holdout_use_from_json(content)
    )
    use = known.used_by(candidate.model_digest)
    evidence.record(line.name, HOLDOUT_USE, holdout, use.to_json())
    return use


def _digest_of(other: Answered | None) -> str:
    return "none" if other is None else other.model_digest


def _performance(
    line: ReleaseLine, answered: Answered | None, holdout: Holdout
) -> Performance | None:
    quality = line.policies.evaluation.quality
    if answered is None or answered.model is None or quality.primary in ERRORS:
        return None
    confidence = line.policies.evaluation.confidence
    return realised_performance(holdout.target, answered.answers, confidence=confidence)


def _metrics(found: EvaluationEvidence) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for name, interval in found.quality.scores.items():
        metrics |= {name: interval.estimate, f"{name}_low": interval.low}
        metrics[f"{name}_high"] = interval.high
    if found.quality.calibration_error is not None:
        metrics["expected_calibration_error"] = found.quality.calibration_error
    measured = found.servability.measured
    if measured is not None:
        metrics |= {
            "latency_p50_ms": measured.p50_ms,
            "latency_p99_ms": measured.p99_ms,
            "load_ms": measured.load_ms,
            "memory_mb": measured.memory_mb,
        }
    return metrics
