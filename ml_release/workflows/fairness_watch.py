"""Hold the champion's matured answers against the fairness and slices it was approved with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import numpy as np

from ml_release.domain.fairness_gaps import WatchedRows, watched_gaps
from ml_release.domain.fairness_record import (
    FairnessHistory,
    FairnessRecord,
    FairnessWindow,
    history_from_json,
)
from ml_release.domain.fairness_slices import watched_slices
from ml_release.domain.fairness_watch import GAPS, SLICES, history_rows, judge_fairness_watch
from ml_release.domain.identity import digest_of_bytes, digest_of_json
from ml_release.domain.primary_scores import PrimaryScore
from ml_release.domain.resampling import Resampling
from ml_release.domain.verdict import verdict_from_json
from ml_release.errors import IntegrityError, NotFoundError, RefusedError
from ml_release.workflows.evaluation_records import recorded_evaluation
from ml_release.workflows.fairness_slicing import group_slicing, slice_slicing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.answers import AnswerTable
    from ml_release.domain.evaluation_measures import EvaluationMeasures
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import AnswerStore, Deployments, EvidenceStore, Plotter
    from ml_release.spec.release_line import ReleaseLine

FAIRNESS_VERDICT = "fairness_verdict"
FAIRNESS_RECORD = "fairness_record"
FAIRNESS_HISTORY = "fairness_history"


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessReport:
    """What was seen, the verdict on it, and how it went over time.

    Attributes
    ----------
    history_problem
        Why the history begins anew; empty if it goes on.
    """

    record: FairnessRecord
    verdict: Verdict
    history: FairnessHistory
    history_problem: str
    plots: Mapping[str, bytes]


def fairness_rules(line: ReleaseLine) -> tuple[str, ...]:
    """The rules that something is declared for; of the others a check could never pass."""
    evaluation = line.policies.evaluation
    if line.task != "classification":
        return ()
    gaps = (GAPS,) if line.sensitive and evaluation.fairness is not None else ()
    slices = (SLICES,) if line.slices and evaluation.slices is not None else ()
    return (*gaps, *slices)


def watch_fairness(
    line: ReleaseLine,
    *,
    environment: str,
    answers: AnswerStore,
    deployments: Deployments,
    evidence: EvidenceStore,
    plotter: Plotter,
    now: datetime,
) -> FairnessReport | None:
    """Judge the newest windows of the champion's answers, and record what was seen.

    Only whole days whose labels are due count, in disjoint windows back from the newest of them;
    answers are read from the store as they are there. None if nothing is declared to serve, or the
    line has nothing to watch.
    """
    declaration = deployments.sealed(line.name, environment)
    rules = fairness_rules(line)
    if declaration is None or not rules:
        return None
    champion = declaration.state.champion
    measures, problem = _baseline(line, champion.model_digest, evidence=evidence)
    record = FairnessRecord(
        line=line.name,
        environment=environment,
        version=champion.version,
        model_digest=champion.model_digest,
        baseline_digest=None if measures is None else measures.verdict_digest,
        baseline_problem=problem,
        windows=()
        if measures is None
        else _windows(
            line,
            environment=environment,
            model_digest=champion.model_digest,
            measures=measures,
            answers=answers,
            now=now,
        ),
    )
    content = record.to_json()
    policy = line.policies.fairness_watch
    verdict = judge_fairness_watch(
        record,
        policy,
        rules=rules,
        subject_digest=digest_of_bytes(content),
        evidence={
            "model": champion.model_digest,
            "policy": digest_of_json(policy.model_dump(mode="json")),
            **({} if measures is None else {"evaluation": measures.verdict_digest}),
        },
    )
    history, history_problem = newest_history(line, environment=environment, evidence=evidence)
    history = history.with_window(history_rows(record, policy))
    evidence.record(line.name, FAIRNESS_RECORD, environment, content)
    evidence.record(line.name, FAIRNESS_VERDICT, environment, verdict.to_json())
    evidence.record(line.name, FAIRNESS_HISTORY, environment, history.to_json())
    gaps = [row for row in history.rows if row.rule == GAPS]
    plots = {"gaps.png": plotter.gaps_over_time(gaps)} if gaps else {}
    return FairnessReport(
        record=record,
        verdict=verdict,
        history=history,
        history_problem=history_problem,
        plots=plots,
    )


def newest_fairness_verdict(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> Verdict | None:
    """The verdict recorded last, None if there is none; `IntegrityError` if it was edited."""
    content = evidence.find(line.name, FAIRNESS_VERDICT, environment)
    return None if content is None else verdict_from_json(content)


def newest_history(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> tuple[FairnessHistory, str]:
    """The history with an empty word; an empty one that cannot be read with the reason."""
    try:
        return history_from_json(evidence.find(line.name, FAIRNESS_HISTORY, environment)), ""
    except IntegrityError as error:
        # It is drawn and judged by nothing: to begin anew and say so is better than to stop.
        return FairnessHistory(), str(error)


def _baseline(
    line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore
) -> tuple[EvaluationMeasures | None, str]:
    try:
        return recorded_evaluation(line, model_digest, evidence=evidence).measures, ""
    except (NotFoundError, RefusedError, IntegrityError) as error:
        return None, f"no baseline: {error}"


def _windows(
    line: ReleaseLine,
    *,
    environment: str,
    model_digest: str,
    measures: EvaluationMeasures,
    answers: AnswerStore,
    now: datetime,
) -> tuple[FairnessWindow, ...]:
    """As many disjoint windows as persistence asks for, newest first, none without an answer."""
    policy = line.policies.fairness_watch
    due = last_due_day(line, now)
    held = [
        one.day
        for one in answers.days(line.name, environment, model_digest=model_digest)
        if one.day <= due and one.answers
    ]
    if not held:
        return ()
    windows = []
    for number in range(policy.persistence_windows):
        last = held[-1] - timedelta(days=number * policy.window_days)
        first = last - timedelta(days=policy.window_days - 1)
        found = answers.between(
            line.name,
            environment,
            model_digest=model_digest,
            since=first,
            until=last + timedelta(days=1),
        )
        if not len(found):
            break
        windows.append(_window(line, found, measures, first=first, last=last))
    return tuple(windows)


def last_due_day(line: ReleaseLine, now: datetime) -> date:
    """The newest day that all labels are due of, in the line's time zone, grace included.

    >>> from types import SimpleNamespace
    >>> from datetime import UTC
    >>> line = SimpleNamespace(
    ...     label_delay=timedelta(days=1),
    ...     time_zone="UTC",
    ...     policies=SimpleNamespace(labels=SimpleNamespace(grace_days=0.5)),
    ... )
    >>> last_due_day(line, datetime(2013, 4, 10, 11, 0, tzinfo=UTC))
    datetime.date(2013, 4, 7)
    """
    grace = timedelta(days=line.policies.labels.grace_days)
    moment = now.astimezone(ZoneInfo(line.time_zone)) - line.label_delay - grace
    return moment.date() - timedelta(days=1)


def _window(
    line: ReleaseLine,
    found: AnswerTable,
    measures: EvaluationMeasures,
    *,
    first: date,
    last: date,
) -> FairnessWindow:
    policy, evaluation = line.policies.fairness_watch, line.policies.evaluation
    labelled = found.where(found.is_labelled)
    rows = _rows(line, labelled, measures)
    favourable: Literal[0, 1] = 1 if line.favourable else 0
    days = np.unique(rows.days, return_inverse=True)[1].astype(np.intp)
    primary = PrimaryScore(
        name=evaluation.quality.primary,
        target=rows.target,
        threshold=evaluation.quality.threshold,
        alpha=evaluation.quality.pinball_alpha,
        plan=Resampling(
            seed=policy.seed,
            resamples=evaluation.resamples,
            groups=days if evaluation.interval_unit == "day" else None,
            method="standard",
        ),
    )
    rules = fairness_rules(line)
    return FairnessWindow(
        first_day=first,
        last_day=last,
        days=len(np.unique(rows.days)),
        matured=len(found),
        labelled=rows.n,
        gaps=watched_gaps(
            rows,
            measures.fairness,
            policy,
            unit=evaluation.interval_unit,
            favourable=favourable,
        )
        if GAPS in rules
        else (),
        slices=watched_slices(rows, measures.slices, policy, primary) if SLICES in rules else (),
    )


def _rows(line: ReleaseLine, labelled: AnswerTable, measures: EvaluationMeasures) -> WatchedRows:
    threshold = line.policies.evaluation.quality.threshold
    # An answer without a decision meets the threshold that the evaluation decided by.
    by_threshold = (labelled.prediction >= threshold).astype(np.float64)
    dropped = {name for name, mask in line.personal.items() if mask == "drop"}
    return WatchedRows(
        days=labelled.day,
        target=labelled.label,
        decision=np.where(np.isnan(labelled.decision), by_threshold, labelled.decision),
        answers=labelled.prediction,
        groups={
            column: group_slicing(line, column, labelled.slice_values(column), measures.fairness)
            for column in line.sensitive
            if column not in dropped
        },
        slices={
            column: slice_slicing(line, column, labelled.slice_values(column), measures.slices)
            for column in line.slices
            if column not in line.personal
        },
    )
