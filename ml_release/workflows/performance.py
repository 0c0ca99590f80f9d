"""Score and judge the champion's answers whose labels are in, and record how that goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.performance import Performance, realised_performance
from ml_release.domain.performance_judge import judge_performance
from ml_release.domain.performance_record import (
    PerformanceHistory,
    PerformanceRecord,
    history_from_json,
)
from ml_release.errors import IntegrityError
from ml_release.workflows.answers import AdvancedAnswers, advance_answers
from ml_release.workflows.performance_windows import look_at_windows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ml_release.domain.verdict import Verdict
    from ml_release.ports import (
        AnswerStore,
        Deployments,
        EvidenceStore,
        InferenceLog,
        Plotter,
        Tables,
    )
    from ml_release.spec.release_line import ReleaseLine

PERFORMANCE_RECORD = "performance_record"
PERFORMANCE_VERDICT = "performance_verdict"
PERFORMANCE_HISTORY = "performance_history"


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceReport:
    """Realised performance of the champion on its labelled answers of the newest window.

    Attributes
    ----------
    performance
        The scores on all of the window's rows, with the reliability diagram's bins.
    advanced
        What was read for it.
    """

    record: PerformanceRecord
    verdict: Verdict
    history: PerformanceHistory
    performance: Performance
    advanced: AdvancedAnswers
    plots: Mapping[str, bytes]


def report_performance(
    line: ReleaseLine,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    tables: Tables,
    answers: AnswerStore,
    evidence: EvidenceStore,
    plotter: Plotter,
    now: datetime,
) -> PerformanceReport:
    """Read what is new, then score, judge and record the champion's newest window.

    Scored are answers whose label is due and was gathered; labels that come early are of one kind.
    Reading costs what is new, the scores what the window holds, whatever came before it.
    """
    advanced = advance_answers(
        line,
        environment=environment,
        inference_log=inference_log,
        tables=tables,
        answers=answers,
        now=now,
    )
    declaration = deployments.sealed(line.name, environment)
    champion = None if declaration is None else declaration.state.champion
    history = recorded_history(line, environment=environment, evidence=evidence)
    if champion is None:
        record = PerformanceRecord(
            line=line.name,
            version=None,
            model_digest=None,
            at=now,
            baseline_problem="nothing is declared",
        )
        performance = realised_performance(np.array([]), np.array([]))
    else:
        record, rows, performance = look_at_windows(
            line,
            environment=environment,
            version=champion.version,
            digest=champion.model_digest,
            answers=answers,
            evidence=evidence,
            history=history,
            now=now,
        )
        history = history.with_rows(*rows)
        evidence.record(line.name, PERFORMANCE_HISTORY, environment, history.to_json())
    subject = evidence.record(line.name, PERFORMANCE_RECORD, environment, record.to_json())
    verdict = judge_performance(record, line.policies.performance, subject_digest=subject)
    evidence.record(line.name, PERFORMANCE_VERDICT, environment, verdict.to_json())
    plots = {}
    if performance.bins:
        served = f"version {record.version}, served"
        plots["reliability.png"] = plotter.reliability({served: performance.bins})
    if history.rows:
        plots["performance.png"] = plotter.performance(history)
    return PerformanceReport(
        record=record,
        verdict=verdict,
        history=history,
        performance=performance,
        advanced=advanced,
        plots=plots,
    )


def recorded_history(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> PerformanceHistory:
    """Windows over time; an empty history if what is recorded is none, since it is only shown."""
    nothing = PerformanceHistory(line=line.name)
    try:
        content = evidence.find(line.name, PERFORMANCE_HISTORY, environment)
        found = nothing if content is None else history_from_json(content)
    except IntegrityError:
        return nothing
    return found if found.line == line.name else nothing
