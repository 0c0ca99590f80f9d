"""Evaluate a candidate on its holdout, beside the champion, by the artefact that would serve."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.evaluation_gates import (
    ChampionComparison,
    EvaluationEvidence,
    judge_evaluation,
)
from ml_release.domain.performance import Performance, realised_performance
from ml_release.domain.quarantine import judge_coverage
from ml_release.domain.scores import auc_difference
from ml_release.errors import IntegrityError, NotFoundError, RefusedError
from ml_release.workflows.champion import declared_or_lost
from ml_release.workflows.feature_building import FEATURES_TABLE, require_current_features
from ml_release.workflows.training import ESTIMATOR_ANSWERS, find_candidate, read_window

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from ml_release.domain.features import Columns, Feature
    from ml_release.domain.identity import SnapshotId
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import (
        Deployments,
        EvidenceStore,
        Experiments,
        LoadedModel,
        ModelLoader,
        ModelRegistry,
        ModelStore,
        Plotter,
        Tables,
    )
    from ml_release.spec.release_line import ReleaseLine

EVALUATION_VERDICT = "evaluation_verdict"
VERDICT_TAG = "ml_release.verdict_digest"
_LATENCY_REPEATS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """The verdict on a candidate with what it rests on.

    ``champion`` is the champion's performance on the same rows, None without one.
    """

    candidate: CandidateRecord
    verdict: Verdict
    performance: Performance
    champion_version: int | None
    champion: Performance | None
    latency_ms: float
    plots: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Champion:
    version: int
    comparison: ChampionComparison
    performance: Performance | None
    probability: npt.NDArray[np.float64] | None


def evaluate_candidate(
    line: ReleaseLine,
    *,
    model_digest: str | None = None,
    environment: str,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    loader: ModelLoader,
    deployments: Deployments,
    registry: ModelRegistry,
    experiments: Experiments,
    plotter: Plotter,
) -> Evaluated:
    """Score, compare, judge and record; the newest candidate for None.

    Raises
    ------
    RefusedError
        If the data the candidate was trained on is no longer current or fit.
    NotFoundError
        If there is no such candidate.
    """
    candidate = find_candidate(line, model_digest, evidence=evidence)
    partitions = _partitions_of(line, candidate, tables=tables, evidence=evidence)
    window = read_window(line, partitions, tables=tables, holdout_from=candidate.holdout_from)
    rows = window.holdout
    values = {name: column[rows] for name, column in window.features.items()}
    target = window.target[rows]
    policy = line.policies.evaluation

    probability, latency_ms, problem = _ask(
        candidate.model_digest, values, models=models, loader=loader
    )
    performance = realised_performance(target, probability, confidence=policy.confidence)
    champion = _champion(
        line,
        environment,
        values=values,
        target=target,
        probability=probability,
        models=models,
        loader=loader,
        deployments=deployments,
        registry=registry,
    )
    verdict = judge_evaluation(
        EvaluationEvidence(
            line=line.name,
            model_digest=candidate.model_digest,
            rows=len(target),
            positives=performance.positives,
            auc=performance.auc,
            calibration_error=performance.calibration_error,
            champion=champion.comparison if champion else None,
            coverage=judge_coverage(
                tuple(candidate.partitions), candidate.left_out, line.policies.quarantine
            ),
            parity=_parity(line, candidate, probability, evidence=evidence),
            latency_ms=latency_ms,
            servable_problem=problem,
            digests={
                "data_digest": candidate.data_digest,
                "feature_version": candidate.feature_version,
            },
        ),
        policy,
    )
    plots = _plots(plotter, target, probability, performance, champion)
    evidence.record(line.name, EVALUATION_VERDICT, candidate.model_digest, verdict.to_json())
    run = experiments.resume(candidate.run_id)
    run.log(params={}, metrics=_metrics(performance, latency_ms))
    run.keep("evaluation", {**plots, "verdict.json": verdict.to_json()})
    # Last: an act compares this tag with the recorded verdict, so it must not come before it.
    run.tag({VERDICT_TAG: verdict.digest, "ml_release.verdict": verdict.outcome.value})
    return Evaluated(
        candidate=candidate,
        verdict=verdict,
        performance=performance,
        champion_version=champion.version if champion else None,
        champion=champion.performance if champion else None,
        latency_ms=latency_ms,
        plots=plots,
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


def _ask(
    model_digest: str, values: Columns, *, models: ModelStore, loader: ModelLoader
) -> tuple[npt.NDArray[np.float64], float, str]:
    """Answers, median latency of one row in ms, and what kept it from answering, if anything."""
    n = len(next(iter(values.values())))
    try:
        model = loader.load(models.read(model_digest))
    except (IntegrityError, NotFoundError) as error:
        return np.full(n, np.nan), float("nan"), str(error)
    probability = model.predict(values)
    if not np.isfinite(probability).all():
        bad = int((~np.isfinite(probability)).sum())
        return probability, float("nan"), f"{bad} of {n} answers are not finite"
    return probability, _latency_ms(model, values), ""


def _latency_ms(model: LoadedModel, values: Columns) -> float:
    n = len(next(iter(values.values())))
    times = []
    for row in np.linspace(0, n - 1, num=min(n, _LATENCY_REPEATS), dtype=np.int64):
        one = {name: column[row : row + 1] for name, column in values.items()}
        start = perf_counter()
        model.predict(one)
        times.append((perf_counter() - start) * 1000)
    return median(times)


def _parity(
    line: ReleaseLine,
    candidate: CandidateRecord,
    probability: npt.NDArray[np.float64],
    *,
    evidence: EvidenceStore,
) -> float:
    content = evidence.find(line.name, ESTIMATOR_ANSWERS, candidate.model_digest)
    try:
        expected = np.array([] if content is None else json.loads(content), dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = (
            f"{line.name} candidate {candidate.model_digest[:19]}: expected the recorded answers of"
            f" its estimator, found something else ({error}). Train again."
        )
        raise IntegrityError(message) from error
    if expected.shape != probability.shape or not len(expected):
        return float("nan")
    return float(np.max(np.abs(expected - probability)))


def _unknown(version: int, model_digest: str, problem: str) -> _Champion:
    return _Champion(
        version=version,
        comparison=ChampionComparison(
            version=version, model_digest=model_digest, difference=None, problem=problem
        ),
        performance=None,
        probability=None,
    )


def _champion(
    line: ReleaseLine,
    environment: str,
    *,
    values: Columns,
    target: npt.NDArray[np.float64],
    probability: npt.NDArray[np.float64],
    models: ModelStore,
    loader: ModelLoader,
    deployments: Deployments,
    registry: ModelRegistry,
) -> _Champion | None:
    declaration, problem = declared_or_lost(
        line, environment, deployments=deployments, registry=registry
    )
    if problem:
        return _unknown(0, "unknown", problem)
    if declaration is None:
        return None
    variant = declaration.state.champion
    confidence = line.policies.evaluation.confidence
    try:
        model = loader.load(models.read(variant.model_digest))
    except (IntegrityError, NotFoundError) as error:
        return _unknown(variant.version, variant.model_digest, str(error))
    built = {feature.name: _meaning(feature) for feature in line.features}
    lacking = [f.name for f in model.plan.features if built.get(f.name) != _meaning(f)]
    if lacking:
        return _unknown(
            variant.version,
            variant.model_digest,
            f"the champion needs features that are no longer built as it learned them: {lacking}",
        )
    answers = model.predict(values)
    return _Champion(
        version=variant.version,
        comparison=ChampionComparison(
            version=variant.version,
            model_digest=variant.model_digest,
            difference=auc_difference(target, probability, answers, confidence=confidence),
        ),
        performance=realised_performance(target, answers, confidence=confidence),
        probability=answers,
    )


def _meaning(feature: Feature) -> dict[str, object]:
    """What decides the readable values of a feature."""
    return feature.model_dump(exclude={"description", "limit"})


def _metrics(performance: Performance, latency_ms: float) -> dict[str, float]:
    return {
        "auc_score": performance.auc.estimate,
        "auc_score_low": performance.auc.low,
        "auc_score_high": performance.auc.high,
        "log_loss": performance.log_loss,
        "brier_loss": performance.brier_loss,
        "expected_calibration_error": performance.calibration_error,
        "latency_ms": latency_ms,
    }


def _plots(
    plotter: Plotter,
    target: npt.NDArray[np.float64],
    probability: npt.NDArray[np.float64],
    performance: Performance,
    champion: _Champion | None,
) -> dict[str, bytes]:
    if not np.isfinite(probability).all() or not len(target):
        return {}
    series = {"candidate": (probability, performance.bins)}
    if champion and champion.probability is not None and champion.performance is not None:
        name = f"champion, version {champion.version}"
        series[name] = (champion.probability, champion.performance.bins)
    return {
        "reliability.png": plotter.reliability({name: bins for name, (_, bins) in series.items()}),
        "roc.png": plotter.roc(target, {name: answers for name, (answers, _) in series.items()}),
    }
