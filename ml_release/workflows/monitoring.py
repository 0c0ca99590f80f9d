"""Read the inference log and judge it: the window, and its drift."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ml_release.domain.artefact import PLAN_FILE, REFERENCE_FILE
from ml_release.domain.drift import judge_drift, record_of
from ml_release.domain.features import plan_from_json
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.performance import (
    WINDOW_DAYS,
    WindowRecord,
    window_from_json,
)
from ml_release.domain.reference_profile import profile_from_json
from ml_release.domain.verdict import Verdict, verdict_from_json
from ml_release.errors import IntegrityError
from ml_release.workflows.drift_evidence import (
    counts_of,
    keep_drift,
    realised_change,
    season_counts,
)
from ml_release.workflows.labels import newest_labels
from ml_release.workflows.log_profiles import advance_profiles
from ml_release.workflows.masked import masked_features
from ml_release.workflows.window_merging import merge_window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.drift_record import DriftRecord
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
    """The verdict on a window with its features one by one, and pictures.

    Attributes
    ----------
    season
        Whether a second reference of the same season was there; None if none is declared.
    realised
        Labelled answers whose change of the loss was taken into account; None without any.
    """

    window: WindowRecord
    verdict: Verdict
    record: DriftRecord
    season: bool | None
    realised: int | None
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

    count = partial(
        advance_profiles,
        line,
        environment=environment,
        inference_log=inference_log,
        profiles=profiles,
        models=models,
    )
    count()
    if state is None or files is None:
        window = _nothing_declared(line, labels=labels)
    else:
        merge = partial(
            merge_window,
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
            window = merge()
        except IntegrityError:
            # An hour that was kept may have been edited: the log is what is true.
            profiles.clear(line.name, environment)
            count()
            window = merge()
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
    tables: Tables,
) -> DriftReport | None:
    """Judge the newest window against the reference of the version that answered, and record it.

    The windows before it confirm a shift, labels that are in say what it costs, and a same season
    is a second reference where the policy declares one. None if nothing is declared, or no window
    was recorded.
    """
    content = evidence.find(line.name, INFERENCE_WINDOW, environment)
    window = None if content is None else window_from_json(content)
    if content is None or window is None or window.model_digest is None:
        return None
    files = models.read(window.model_digest)
    profile = profile_from_json(files[REFERENCE_FILE])
    counted, policy = counts_of(window), line.policies.drift
    season = season_counts(line, window, profile=profile, tables=tables)
    realised = realised_change(line, window, environment=environment, evidence=evidence)
    judged = judge_drift(
        line=line.name,
        profile=profile,
        window=counted,
        earlier=[counts_of(one) for one in window.earlier],
        subject_digest=digest_of_bytes(content),
        policy=policy,
        seasonal=season,
        realised=realised,
        masked=masked_features(files),
    )
    record = record_of(
        judged,
        model_digest=window.model_digest,
        as_of=None if window.as_of is None else window.as_of.isoformat(),
        window=counted,
        rows=window.rows,
    )
    evidence.record(line.name, DRIFT_VERDICT, environment, judged.verdict.to_json())
    history = keep_drift(line, record, environment=environment, evidence=evidence)
    return DriftReport(
        window=window,
        verdict=judged.verdict,
        record=record,
        season=None if policy.seasonal_lag_days is None else season is not None,
        realised=None if realised is None else realised.n,
        plots={
            "drift.png": plotter.drift(record),
            "drift over time.png": plotter.drift_history(history),
        },
    )
