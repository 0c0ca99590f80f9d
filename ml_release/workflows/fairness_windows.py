"""Count gaps and slices in the newest windows of the champion's matured answers."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml_release.domain.fairness_gaps import WatchedRows, watched_gaps
from ml_release.domain.fairness_record import FairnessWindow
from ml_release.domain.fairness_slices import watched_slices
from ml_release.domain.fairness_watch import GAPS, SLICES
from ml_release.domain.primary_scores import PrimaryScore
from ml_release.domain.resampling import Resampling
from ml_release.workflows.due_days import last_due_day
from ml_release.workflows.fairness_slicing import group_slicing, slice_slicing

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.answers import AnswerTable
    from ml_release.domain.evaluation_measures import EvaluationMeasures
    from ml_release.ports import AnswerStore
    from ml_release.spec.release_line import ReleaseLine


def fairness_rules(line: ReleaseLine) -> tuple[str, ...]:
    """The rules that something is declared for; of the others a check could never pass."""
    evaluation = line.policies.evaluation
    if line.task != "classification":
        return ()
    gaps = (GAPS,) if line.sensitive and evaluation.fairness is not None else ()
    slices = (SLICES,) if line.slices and evaluation.slices is not None else ()
    return (*gaps, *slices)


def fairness_windows(
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
