"""Read the inference log and judge it: the window, and its drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.artefact import PLAN_FILE, REFERENCE_FILE
from ml_release.domain.drift import judge_drift
from ml_release.domain.features import plan_from_json
from ml_release.domain.history_health import history_use
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.inference import feature_columns
from ml_release.domain.performance import (
    WINDOW_DAYS,
    WindowRecord,
    window_from_json,
    window_start,
)
from ml_release.domain.reference_profile import profile_from_json
from ml_release.domain.verdict import Verdict, verdict_from_json
from ml_release.workflows.columns import floats_of
from ml_release.workflows.masked import masked_features

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.history_health import HistoryUse
    from ml_release.ports import (
        Deployments,
        EvidenceStore,
        InferenceLog,
        ModelStore,
        Plotter,
    )
    from ml_release.spec.release_line import ReleaseLine

INFERENCE_WINDOW = "inference_window"
DRIFT_VERDICT = "drift_verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """The verdict on a window with its pictures."""

    window: WindowRecord
    verdict: Verdict
    plots: Mapping[str, bytes]


def observe_window(
    line: ReleaseLine,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    models: ModelStore,
    evidence: EvidenceStore,
    days: int = WINDOW_DAYS,
) -> WindowRecord:
    """Count the newest days of the champion's answers over its reference bins, and record it.

    An idle or undeclared endpoint gives a window of no rows, which every judge finds inconclusive.
    The whole log is read; aggregating only what is new is not done here yet.
    """
    declaration = deployments.sealed(line.name, environment)
    state = None if declaration is None else declaration.state
    records, _ = inference_log.records(line.name, after={})
    labels = int(inference_log.labels(line.name)["request_id"].nunique())
    served = served_by(records, state)
    as_of, chosen, held = None, served, 0
    if len(served):
        event_days = _local_days(line, served["event_time"])
        as_of = max(event_days)
        inside = event_days >= window_start(as_of, days=days)
        chosen, held = served[inside], int(event_days[inside].nunique())
    answered = chosen[chosen["outcome"] != "error"]
    latencies = floats_of(answered["latency_ms"])
    window = WindowRecord(
        line=line.name,
        version=None if state is None else state.champion.version,
        model_digest=None if state is None else state.champion.model_digest,
        days=held,
        as_of=as_of,
        rows=len(answered),
        errors=len(chosen) - len(answered),
        labels=labels,
        counts={} if state is None else _counts(state, answered, models=models),
        latency_p50_ms=float(np.quantile(latencies, 0.5)) if len(latencies) else None,
        latency_p99_ms=float(np.quantile(latencies, 0.99)) if len(latencies) else None,
        history=None if state is None else _history(state, answered, models=models),
    )
    evidence.record(line.name, INFERENCE_WINDOW, environment, window.model_dump_json().encode())
    return window


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


def _local_days(line: ReleaseLine, moments: pd.Series) -> pd.Series:
    days: pd.Series = moments.dt.tz_convert(line.time_zone).dt.date
    return days


def served_by(records: pd.DataFrame, state: DeclaredState | None) -> pd.DataFrame:
    """What the present champion answered; nothing if nothing is declared."""
    digest = None if state is None else state.champion.model_digest
    return records[(records["model_digest"] == digest) & ~records["shadow"]]


def _history(state: DeclaredState, answered: pd.DataFrame, *, models: ModelStore) -> HistoryUse:
    plan = plan_from_json(models.read(state.champion.model_digest)[PLAN_FILE])
    return history_use(
        misses=floats_of(answered["history_misses"]),
        ages=floats_of(answered["history_age_days"]),
        features=len(plan.history_features),
    )


def _counts(
    state: DeclaredState, answered: pd.DataFrame, *, models: ModelStore
) -> dict[str, tuple[int, ...]]:
    """Rows per bin of the reference; a masked feature has none, since its values are not known."""
    files = models.read(state.champion.model_digest)
    profile, masked = profile_from_json(files[REFERENCE_FILE]), masked_features(files)
    columns = feature_columns(list(answered["features"]))
    nothing = np.array([], dtype=np.float64)
    return {
        name: tuple(int(count) for count in bins.count(columns.get(name, nothing)))
        for name, bins in profile.bins.items()
        if name not in masked
    }
