"""Hold the champion's matured answers against the fairness and slices it was approved with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.fairness_record import (
    FairnessHistory,
    FairnessRecord,
    history_from_json,
)
from ml_release.domain.fairness_watch import GAPS, history_rows, judge_fairness_watch
from ml_release.domain.identity import digest_of_bytes, digest_of_json
from ml_release.errors import IntegrityError, NotFoundError, RefusedError
from ml_release.workflows.evaluation_records import recorded_evaluation
from ml_release.workflows.fairness_windows import fairness_rules, fairness_windows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

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
        else fairness_windows(
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
