"""Score the champion's labelled answers of the newest window, and of those passed since a look."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING

from ml_release.domain.performance import Performance, realised_performance
from ml_release.domain.performance_record import (
    ErrorsSeen,
    PerformanceRecord,
    WindowScores,
    change_of,
    history_row,
)
from ml_release.domain.performance_window import (
    day_scores,
    label_bias,
    newest_estimate,
    window_scores,
)
from ml_release.workflows.due_days import local_day
from ml_release.workflows.error_changes import advance_changes
from ml_release.workflows.release_baseline import baseline_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ml_release.domain.answers import AnswerTable, DayCount, Mask
    from ml_release.domain.performance_record import Baseline, HistoryRow, PerformanceHistory
    from ml_release.ports import AnswerStore, EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

BACKFILL = 14
"""Windows that the history is given at once, where days have passed without a look."""


def look_at_windows(
    line: ReleaseLine,
    *,
    environment: str,
    version: int,
    digest: str,
    answers: AnswerStore,
    evidence: EvidenceStore,
    history: PerformanceHistory,
    now: datetime,
) -> tuple[PerformanceRecord, tuple[HistoryRow, ...], Performance]:
    """The record of the newest window, its rows of the history, and its scores over all rows."""
    policy = line.policies.performance
    counts = answers.days(line.name, environment, model_digest=digest)
    baseline, problem = baseline_of(line, digest, evidence=evidence)
    ends = _ends(line, counts, history, digest=digest, now=now)
    newest = max((one.day for one in counts), default=None)
    first = min([*ends, *([] if newest is None else [newest])], default=date.max)
    found = answers.between(
        line.name,
        environment,
        model_digest=digest,
        since=_window_start(first, policy.window_days),
        until=date.max,
    )
    # Neither the answers of a regression nor those of several classes are probabilities of label 1.
    is_scored = found.is_scored & (line.task == "classification")
    scored = found.where(is_scored)
    is_due = _is_due(line, scored, now=now)
    matured = scored.where(is_due & scored.is_labelled)
    windows = [
        window_scores(
            _within(matured, end, policy.window_days),
            confidence=policy.confidence,
            costs=line.policies.evaluation.quality.costs,
        )
        for end in ends
    ]
    window = windows[-1] if windows else WindowScores()
    until = newest if window.until is None else window.until
    since = date.max if until is None else _window_start(until, policy.window_days)
    inside = matured.where(matured.day >= since.toordinal())
    own = scored.day >= since.toordinal()
    errors = advance_changes(
        line, environment=environment, digest=digest, answers=answers, evidence=evidence, now=now
    )
    record = PerformanceRecord(
        line=line.name,
        version=version,
        model_digest=digest,
        at=now,
        window=window,
        baseline=baseline,
        baseline_problem=problem,
        auc_change=change_of(window.auc, None if baseline is None else baseline.auc),
        log_loss_change=change_of(window.log_loss, None if baseline is None else baseline.log_loss),
        cost_per_1000_change=change_of(
            window.cost_per_1000, None if baseline is None else baseline.cost_per_1000
        ),
        immature=int((own & ~is_due).sum()),
        unlabelled=int((own & is_due & ~scored.is_labelled).sum()),
        not_monitored=int((~is_scored & (found.day >= since.toordinal())).sum()),
        newest=newest_estimate(
            scored if newest is None else _within(scored, newest, policy.window_days)
        ),
        bias=label_bias(scored.where(own), is_due[own]),
        errors=ErrorsSeen(
            n=errors.state.n,
            rise=errors.state.page_hinkley.rise,
            changes=tuple(one for one in errors.state.changes if one.day >= since),
            anew=errors.anew,
        ),
        per_day=day_scores(inside, confidence=policy.confidence),
    )
    return (
        record,
        tuple(_rows(windows, version=version, digest=digest, baseline=baseline)),
        realised_performance(inside.label, inside.prediction, confidence=policy.confidence),
    )


def _rows(
    windows: Iterable[WindowScores], *, version: int, digest: str, baseline: Baseline | None
) -> Iterable[HistoryRow]:
    for one in windows:
        row = history_row(one, version=version, model_digest=digest, baseline=baseline)
        if row is not None:
            yield row


def _ends(
    line: ReleaseLine,
    counts: Iterable[DayCount],
    history: PerformanceHistory,
    *,
    digest: str,
    now: datetime,
) -> list[date]:
    """Last days of the windows to score, in order: the newest one, and those passed since."""
    today_due = local_day(line, now - line.label_delay)
    labelled = [one.day for one in counts if one.labelled and one.day <= today_due]
    if not labelled:
        return []
    seen = [row.until for row in history.rows if row.model_digest == digest]
    passed = [day for day in labelled[:-1] if not seen or day > max(seen)]
    step = -(-len(passed) // BACKFILL) or 1
    return [*passed[::-1][step - 1 :: step][::-1], labelled[-1]]


def _window_start(until: date, days: int) -> date:
    return date.fromordinal(max(1, until.toordinal() - days + 1))


def _within(answers: AnswerTable, until: date, days: int) -> AnswerTable:
    first = _window_start(until, days).toordinal()
    return answers.where((answers.day >= first) & (answers.day <= until.toordinal()))


def _is_due(line: ReleaseLine, answers: AnswerTable, *, now: datetime) -> Mask:
    delay_us = line.label_delay // timedelta(microseconds=1)
    now_us = int(now.astimezone(UTC).timestamp() * 1_000_000)
    due: Mask = answers.event_us + delay_us <= now_us
    return due
