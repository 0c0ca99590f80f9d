"""Gather what is known of a watched release, judge it, and record the verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.clustered_auc import auc_interval_by_groups
from ml_release.domain.intervals import Interval, mean_interval
from ml_release.domain.scores import auc_interval
from ml_release.domain.watch import Baseline, WatchEvidence, judge_watch
from ml_release.domain.watch_scores import WatchScore
from ml_release.domain.watch_tally import watch_subject
from ml_release.errors import MlReleaseError, NotFoundError
from ml_release.workflows.columns import floats_of
from ml_release.workflows.evaluation_records import recorded_evaluation
from ml_release.workflows.labels import gathered_labels
from ml_release.workflows.stage_verdicts import WATCH_VERDICT
from ml_release.workflows.watch_tally import advance_tally, recorded_tally

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from ml_release.domain.evaluation_measures import Measured
    from ml_release.domain.rows import Codes
    from ml_release.domain.scores import Floats
    from ml_release.domain.watch import ScoreName, WatchPolicy, WatchVerdict
    from ml_release.domain.watch_tally import WatchSubject, WatchTally
    from ml_release.ports import Deployments, EvidenceStore, InferenceLog, Tables
    from ml_release.spec.release_line import ReleaseLine


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchReport:
    """A judged watch with everything it was judged on."""

    evidence: WatchEvidence
    verdict: WatchVerdict


def report_watch(
    line: ReleaseLine,
    policy: WatchPolicy,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    tables: Tables,
    evidence: EvidenceStore,
    now: datetime,
) -> WatchReport | None:
    """Judge the release under watch and record the verdict; None if none is under watch.

    Only new records are read. Labels are those that were gathered. A log or labels that cannot be
    read make the verdict hold and are named in it; what was counted before stands.
    """
    history = deployments.history(line.name, environment)
    subject = watch_subject(
        [declaration.state for declaration in history],
        window_minutes=policy.window_minutes,
        sampled_answers=policy.sampled_answers,
    )
    if subject is None:
        return None
    found = gather_watch_evidence(
        line,
        subject,
        policy,
        declared_commit=history[-1].commit,
        inference_log=inference_log,
        tables=tables,
        evidence=evidence,
        now=now,
    )
    judged = judge_watch(found, policy)
    evidence.record(line.name, WATCH_VERDICT, subject.model_digest, judged.verdict.to_json())
    return WatchReport(evidence=found, verdict=judged)


def gather_watch_evidence(
    line: ReleaseLine,
    subject: WatchSubject,
    policy: WatchPolicy,
    *,
    declared_commit: str,
    inference_log: InferenceLog,
    tables: Tables,
    evidence: EvidenceStore,
    now: datetime,
) -> WatchEvidence:
    """Everything the judge sees of a watch; the tally is recorded on the way."""
    problems = []
    tally = recorded_tally(subject, evidence=evidence)
    try:
        tally = advance_tally(tally, inference_log=inference_log, evidence=evidence)
    except MlReleaseError as error:
        problems.append(f"inference log: {error}")
    control = subject.control
    gathered = WatchEvidence(
        line=line.name,
        version=subject.version,
        model_digest=subject.model_digest,
        declared_commit=declared_commit,
        since=subject.since,
        now=now,
        windows=tally.watch_windows(),
        had_canary=control is not None,
        baseline=None
        if not tally.control_requests
        else Baseline(requests=tally.control_requests, errors=tally.control_errors),
        unjudged=_unjudged(line, tally),
    )
    if not gathered.unjudged:
        try:
            labels = gathered_labels(line, tables=tables)[["request_id", "label"]]
            ends = _evaluated(line, subject, evidence=evidence)
            gathered = _with_labels(gathered, line, policy, tally, labels=labels, evaluated=ends)
        except MlReleaseError as error:
            problems.append(f"labels and evaluation: {error}")
    return replace(gathered, source_problem="; ".join(problems))


def _unjudged(line: ReleaseLine, tally: WatchTally) -> str:
    if line.task == "regression":
        return "a label is 0 or 1, which says nothing of a regression: not judged by labels"
    if tally.of_classes:
        return "a label is 0 or 1, which says nothing of several classes: not judged by labels"
    return ""


def _evaluated(
    line: ReleaseLine, subject: WatchSubject, *, evidence: EvidenceStore
) -> dict[str, Measured]:
    """Scores of the release's own evaluation; none if it was not recorded."""
    try:
        found = recorded_evaluation(line, subject.model_digest, evidence=evidence)
    except NotFoundError:
        return {}
    return dict(found.measures.scores)


def _with_labels(
    gathered: WatchEvidence,
    line: ReleaseLine,
    policy: WatchPolicy,
    tally: WatchTally,
    *,
    labels: pd.DataFrame,
    evaluated: dict[str, Measured],
) -> WatchEvidence:
    import pandas as pd

    answers = pd.DataFrame(tally.answers, columns=["request_id", "event_us", "received_us", "p"])
    event_time = pd.to_datetime(answers["event_us"], unit="us", utc=True)
    due = answers.assign(event_time=event_time)[event_time + line.label_delay <= gathered.now]
    joined = due.merge(labels, on="request_id", how="inner")
    return replace(
        gathered,
        answers=len(answers),
        due=len(due),
        labelled=len(joined),
        scores=tuple(
            _score(line, name, joined, evaluated.get(name)) for name in policy.score_margins
        )
        if len(joined)
        else (),
    )


def _score(
    line: ReleaseLine, name: ScoreName, joined: pd.DataFrame, evaluated: Measured | None
) -> WatchScore:
    import pandas as pd

    policy = line.policies.evaluation
    target, probability = floats_of(joined["label"]), floats_of(joined["p"])
    days = joined["event_time"].dt.tz_convert(line.time_zone).dt.strftime("%Y-%m-%d").to_numpy()
    # As its evaluation takes them: where a day moves its rows together, days are independent.
    groups = pd.factorize(days)[0] if policy.interval_unit == "day" else None
    limits = policy.quality.floors if name == "auc_score" else policy.quality.ceilings
    return WatchScore(
        name=name,
        served=_interval(name, target, probability, groups, policy.confidence),
        evaluated_low=None if evaluated is None else evaluated.low,
        evaluated_high=None if evaluated is None else evaluated.high,
        declared=limits.get(name),
    )


def _interval(
    name: ScoreName, target: Floats, probability: Floats, groups: Codes | None, confidence: float
) -> Interval:
    if name == "log_loss":
        clipped = np.clip(probability, 1e-15, 1 - 1e-15)
        losses = -(target * np.log(clipped) + (1 - target) * np.log1p(-clipped))
        return mean_interval(losses, confidence=confidence, groups=groups)
    if groups is None:
        return Interval.of(auc_interval(target, probability, confidence=confidence))
    return auc_interval_by_groups(target, probability, groups, confidence=confidence)
