"""Read the inference log and judge it: the window, its drift, the realised performance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.artefact import PLAN_FILE, REFERENCE_FILE
from ml_release.domain.drift import judge_drift
from ml_release.domain.features import plan_from_json
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.performance import (
    WINDOW_DAYS,
    Performance,
    WindowRecord,
    realised_performance,
    window_from_json,
)
from ml_release.domain.reference_profile import profile_from_json
from ml_release.domain.verdict import Verdict, verdict_from_json
from ml_release.errors import IntegrityError
from ml_release.workflows.columns import floats_of
from ml_release.workflows.labels import gathered_labels, newest_labels
from ml_release.workflows.log_profiles import advance_profiles
from ml_release.workflows.masked import masked_features
from ml_release.workflows.window_merging import merge_window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pandas as pd

    from ml_release.domain.deployment import DeclaredState
    from ml_release.ports import (
        Deployments,
        EvidenceStore,
        InferenceLog,
        ModelStore,
        Plotter,
        ProfileStore,
        Tables,
    )
    from ml_release.spec.release_line import ReleaseLine

INFERENCE_WINDOW = "inference_window"
EARLIER_WINDOWS = 3
DRIFT_VERDICT = "drift_verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """The verdict on a window with its pictures."""

    window: WindowRecord
    verdict: Verdict
    plots: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceReport:
    """Realised performance of the champion on its labelled answers, overall and per day.

    Attributes
    ----------
    immature
        Answers whose label delay has not passed: not scored, since labels that come early are of
        one kind.
    unlabelled
        Answers whose label delay has passed and whose label was not gathered.
    not_monitored
        Answers that are probabilities of several classes: not scored, since a label of 0 or 1 says
        nothing of them.
    """

    version: int | None
    performance: Performance
    immature: int
    unlabelled: int
    not_monitored: int
    per_day: pd.DataFrame
    plots: Mapping[str, bytes]


def observe_window(
    line: ReleaseLine,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    models: ModelStore,
    evidence: EvidenceStore,
    profiles: ProfileStore,
    days: int = WINDOW_DAYS,
    earlier: int = EARLIER_WINDOWS,
) -> WindowRecord:
    """Count what is new, add up the newest days of the champion's answers, and record them.

    An idle or undeclared endpoint gives a window of no rows, which every judge finds inconclusive.
    Only new records of the log are read; the rest was counted before.

    Raises
    ------
    IntegrityError
        If the artefact of a model that answered was changed.
    """
    declaration = deployments.sealed(line.name, environment)
    state = None if declaration is None else declaration.state
    files = None if state is None else models.read(state.champion.model_digest)
    record = newest_labels(line, environment=environment, evidence=evidence)
    labels = 0 if record is None else record.labels

    def counted() -> WindowRecord:
        advance_profiles(
            line,
            environment=environment,
            inference_log=inference_log,
            profiles=profiles,
            models=models,
        )
        if state is None or files is None:
            return _nothing_declared(line, labels=labels)
        return merge_window(
            line,
            environment=environment,
            champion=state.champion,
            reference=profile_from_json(files[REFERENCE_FILE]),
            masked=masked_features(files),
            history_features=len(plan_from_json(files[PLAN_FILE]).history_features),
            labels=labels,
            profiles=profiles,
            days=days,
            earlier=earlier,
        )

    try:
        window = counted()
    except IntegrityError:
        # An hour that was kept may have been edited: the log is what is true. A model that was
        # changed is found again.
        profiles.clear(line.name, environment)
        window = counted()
    evidence.record(line.name, INFERENCE_WINDOW, environment, window.model_dump_json().encode())
    return window


def _nothing_declared(line: ReleaseLine, *, labels: int) -> WindowRecord:
    return WindowRecord(
        line=line.name,
        version=None,
        model_digest=None,
        days=0,
        as_of=None,
        rows=0,
        errors=0,
        labels=labels,
        counts={},
        latency_p50_ms=None,
        latency_p99_ms=None,
    )


def newest_window(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> WindowRecord | None:
    """The window recorded last, None if there is none; `IntegrityError` if it was edited."""
    content = evidence.find(line.name, INFERENCE_WINDOW, environment)
    return None if content is None else window_from_json(content)


def newest_drift_verdict(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> Verdict | None:
    """The drift verdict on the window recorded last, None if that was not judged yet."""
    content = evidence.find(line.name, DRIFT_VERDICT, environment)
    window = evidence.find(line.name, INFERENCE_WINDOW, environment)
    if content is None or window is None:
        return None
    verdict = verdict_from_json(content)
    return verdict if verdict.subject_digest == digest_of_bytes(window) else None


def report_drift(
    line: ReleaseLine,
    *,
    environment: str,
    models: ModelStore,
    evidence: EvidenceStore,
    plotter: Plotter,
) -> DriftReport | None:
    """Judge the newest window against the reference of the version that answered, and record it.

    None if nothing is declared, or no window was recorded.
    """
    content = evidence.find(line.name, INFERENCE_WINDOW, environment)
    window = newest_window(line, environment=environment, evidence=evidence)
    if content is None or window is None or window.model_digest is None:
        return None
    files = models.read(window.model_digest)
    profile = profile_from_json(files[REFERENCE_FILE])
    verdict = judge_drift(
        line=line.name,
        profile=profile,
        current={name: np.array(counts, dtype=np.int64) for name, counts in window.counts.items()},
        days=window.days,
        subject_digest=digest_of_bytes(content),
        policy=line.policies.drift,
        masked=masked_features(files),
    )
    evidence.record(line.name, DRIFT_VERDICT, environment, verdict.to_json())
    plots = {"drift.png": plotter.findings(verdict, "distribution_is_stable")}
    return DriftReport(window=window, verdict=verdict, plots=plots)


def report_performance(
    line: ReleaseLine,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    tables: Tables,
    plotter: Plotter,
    now: datetime,
) -> PerformanceReport:
    """Score the champion's answers whose label is due and was gathered."""
    import pandas as pd

    declaration = deployments.sealed(line.name, environment)
    state = None if declaration is None else declaration.state
    records, _ = inference_log.records(line.name, after={})
    served = served_by(records, state)
    answered = served[(served["outcome"] != "error") & (served["row"] == 0)]
    has_classes = answered["probabilities"].notna()
    not_monitored, answered = int(has_classes.sum()), answered[~has_classes]
    mature = answered[answered["event_time"] + line.label_delay <= pd.Timestamp(now)]
    labels = gathered_labels(line, tables=tables)[["request_id", "label"]]
    joined = mature.merge(labels, on="request_id", how="inner")
    confidence = line.policies.evaluation.confidence
    target, probability = floats_of(joined["label"]), floats_of(joined["prediction"])
    performance = realised_performance(target, probability, confidence=confidence)
    rows = []
    days = _local_days(line, joined["event_time"])
    for day in sorted(set(days)):
        chosen = (days == day).to_numpy()
        one = realised_performance(target[chosen], probability[chosen], confidence=confidence)
        rows.append(
            {
                "day": str(day),
                "rows": one.rows,
                "AUC": one.auc.estimate,
                "low": one.auc.low,
                "high": one.auc.high,
                "mean probability": one.mean_probability,
                "observed rate": one.observed_rate,
            }
        )
    version = None if state is None else state.champion.version
    name = f"version {version}, served"
    return PerformanceReport(
        version=version,
        performance=performance,
        immature=len(answered) - len(mature),
        unlabelled=len(mature) - len(joined),
        not_monitored=not_monitored,
        per_day=pd.DataFrame(rows),
        plots={"reliability.png": plotter.reliability({name: performance.bins})}
        if performance.bins
        else {},
    )


def _local_days(line: ReleaseLine, moments: pd.Series) -> pd.Series:
    days: pd.Series = moments.dt.tz_convert(line.time_zone).dt.date
    return days


def served_by(records: pd.DataFrame, state: DeclaredState | None) -> pd.DataFrame:
    """What the present champion answered; nothing if nothing is declared."""
    digest = None if state is None else state.champion.model_digest
    return records[(records["model_digest"] == digest) & ~records["shadow"]]
