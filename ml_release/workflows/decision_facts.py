"""The facts of a decision, out of what the judges of monitoring have recorded.

Every record may lack: a judge that a line does not have leaves no fact, one that has said nothing
of the version that answers leaves a fact that is not known. Only small records are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ml_release.domain.decision_evidence import DecisionEvidence, worsening
from ml_release.domain.fairness_watch import GAPS
from ml_release.domain.intervals import rate_interval
from ml_release.domain.performance import window_from_json
from ml_release.domain.rollback import choose_rollback, is_rollback
from ml_release.domain.slo_record import slo_record_from_json
from ml_release.domain.verdict import Outcome, worst
from ml_release.errors import RefusedError
from ml_release.workflows.budget_freeze import SLO_RECORD
from ml_release.workflows.drift_evidence import DRIFT_RECORD
from ml_release.workflows.fairness_watch import FAIRNESS_VERDICT
from ml_release.workflows.fairness_windows import fairness_rules
from ml_release.workflows.labels import LABEL_VERDICT
from ml_release.workflows.monitoring import DRIFT_VERDICT, INFERENCE_WINDOW
from ml_release.workflows.performance import PERFORMANCE_RECORD, PERFORMANCE_VERDICT
from ml_release.workflows.record_book import RecordBook
from ml_release.workflows.recorded_numbers import (
    burn_level,
    change_of,
    performance_numbers,
    shifts_of,
    speaks_of,
)
from ml_release.workflows.skew import SKEW_VERDICT
from ml_release.workflows.stage_verdicts import CANARY_VERDICT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    from ml_release.domain.decision_evidence import BurnLevel, Worsening
    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.domain.performance import WindowRecord
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import Deployments, EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

DATA_RULES = (
    "missing_rate_is_stable",
    "categories_are_known",
    "values_are_in_range",
    "features_are_fresh",
)
"""Rules of the drift judge whose failure is a fault of the data, not a change of the world."""

_CONFIDENCE = 0.99
_SECONDS_PER_DAY = 86400

_LABEL_RULES = ("labels_agree", "label_files_can_be_read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The evidence, what it is about, and the digests of the records it was read from."""

    evidence: DecisionEvidence
    version: int | None
    model_digest: str | None
    commit: str | None
    as_of: date | None
    digests: Mapping[str, str]


def gather_facts(
    line: ReleaseLine,
    *,
    environment: str,
    evidence: EvidenceStore,
    deployments: Deployments,
    now: datetime,
) -> Facts:
    """Everything that was recorded about the version that answers now."""
    history = [d for d in deployments.history(line.name, environment) if not d.seal_problem]
    if not history:
        return Facts(
            evidence=DecisionEvidence(is_serving=False),
            version=None,
            model_digest=None,
            commit=None,
            as_of=None,
            digests={},
        )
    standing = history[-1]
    book = RecordBook(line=line, environment=environment, evidence=evidence)
    champion = standing.state.champion
    window = _window(book, champion.model_digest)
    drift = _drift(book, window)
    told, record = _performance(book, champion.model_digest, champion.version)
    rollout = standing.state.rollout
    canary = _canary(book, standing)
    states = [declaration.state for declaration in history]
    found = DecisionEvidence(
        is_serving=True,
        data_problems=_data_problems(book, drift),
        label_problems=_failed(book.verdict(LABEL_VERDICT), _LABEL_RULES),
        shifts=None if drift is None else shifts_of(drift, book.document(DRIFT_RECORD)),
        performance=_rule(told, "no_worse_than_at_release"),
        auc_drop=change_of(record, "auc", falls=True),
        loss_rise=change_of(record, "log_loss", falls=False),
        cost_rise=change_of(record, "cost_per_1000", falls=False),
        estimated_drop=_estimated(record),
        errors_change=_rule(told, "errors_show_no_change"),
        calibration=_rule(told, "calibration_holds"),
        fairness=_fairness(book, champion.model_digest),
        error_rate=_error_rate(window),
        burn=_burn(book, champion.model_digest),
        canary=canary,
        canary_version=None if canary is None or rollout is None else rollout.version,
        leg=None if rollout is None else rollout.leg,
        age_days=_age_days(history, now),
        target=_target(states),
        unknown=(*book.problems, *_lacking(line, record)),
    )
    return Facts(
        evidence=found,
        version=champion.version,
        model_digest=champion.model_digest,
        commit=standing.commit,
        as_of=None if window is None else window.as_of,
        digests=book.digests,
    )


def _lacking(line: ReleaseLine, record: Mapping[str, object]) -> tuple[str, ...]:
    """What the policy has bands for, and performance was recorded without."""
    policy = line.policies.decisions
    bands = (policy.retrain_cost_rise, policy.roll_back_cost_rise)
    is_asked = any(band is not None for band in bands)
    if not is_asked or not record or change_of(record, "cost_per_1000", falls=False):
        return ()
    return ("how the cost of decisions has changed since the release is not known",)


def _window(book: RecordBook, champion: str) -> WindowRecord | None:
    window = book.part(
        INFERENCE_WINDOW,
        window_from_json,
        problem="the window of the inference log cannot be read",
    )
    return window if window is not None and window.model_digest == champion else None


def _drift(book: RecordBook, window: WindowRecord | None) -> Verdict | None:
    """The verdict on that very window; None if another one was judged."""
    verdict = book.verdict(DRIFT_VERDICT)
    if verdict is None or window is None:
        return None
    return verdict if verdict.subject_digest == book.digests.get(INFERENCE_WINDOW) else None


def _data_problems(book: RecordBook, drift: Verdict | None) -> tuple[str, ...] | None:
    skew = book.verdict(SKEW_VERDICT)
    problems = (*_failed(drift, DATA_RULES), *_failed(skew, ("served_features_equal_offline",)))
    if problems:
        return problems
    looked = (
        [] if drift is None else [f for f in drift.findings if f.rule in DATA_RULES and f.votes]
    )
    # Rows that are too few show nothing, also no fault.
    return () if any(f.outcome is Outcome.PASS for f in looked) else None


def _failed(verdict: Verdict | None, rules: Collection[str]) -> tuple[str, ...]:
    """Findings of some rules that fail, in words."""
    return tuple(
        finding.sentence()
        for finding in (() if verdict is None else verdict.findings)
        if finding.rule in rules and finding.votes and finding.outcome is Outcome.FAIL
    )


def _performance(
    book: RecordBook, champion: str, version: int
) -> tuple[Verdict | None, Mapping[str, object]]:
    verdict, record = book.verdict(PERFORMANCE_VERDICT), book.document(PERFORMANCE_RECORD)
    if verdict is None and not record:
        return None, {}
    if not speaks_of(verdict, record, champion=champion, version=version):
        # Of the version before, or of nobody knows which.
        return None, {}
    return verdict, performance_numbers(record)


def _rule(verdict: Verdict | None, rule: str) -> Outcome | None:
    found = [f.outcome for f in verdict.findings if f.rule == rule and f.votes] if verdict else []
    return worst(found) if found else None


def _estimated(record: Mapping[str, object]) -> float | None:
    change = change_of(record, "auc", falls=True, name="estimated_auc")
    return None if change is None else change.estimate


def _fairness(book: RecordBook, champion: str) -> Outcome | None:
    verdict = book.verdict(FAIRNESS_VERDICT)
    # After a promotion the gaps of the version before are still on record.
    is_of_it = verdict is not None and verdict.evidence.get("model") == champion
    found = _rule(verdict, GAPS) if is_of_it else None
    is_watched = GAPS in fairness_rules(book.line)
    return Outcome.INCONCLUSIVE if found is None and is_watched else found


def _burn(book: RecordBook, champion: str) -> BurnLevel | None:
    """Of the promises of the version that answers; not known where they were not looked at."""
    record = book.part(SLO_RECORD, slo_record_from_json)
    if record is None or record.model_digest != champion:
        book.problems.append("the error budgets of the version that answers are not known")
        return None
    return burn_level(record)


def _canary(book: RecordBook, standing: Declaration) -> Outcome | None:
    rollout = standing.state.rollout
    if rollout is None or rollout.leg != "canary":
        return None
    verdict = book.verdict(CANARY_VERDICT, rollout.model_digest)
    # What was seen on one step says nothing of the next.
    is_of_it = verdict is not None and verdict.evidence.get("declared_commit") == standing.commit
    return verdict.outcome if verdict is not None and is_of_it else Outcome.INCONCLUSIVE


def _error_rate(window: WindowRecord | None) -> Worsening | None:
    n = 0 if window is None else window.rows + window.errors
    if window is None or not n:
        return None
    rate = rate_interval(window.errors, n, confidence=_CONFIDENCE)
    return worsening(rate.estimate, rate.low, rate.high, n=n)


def _age_days(history: list[Declaration], now: datetime) -> float | None:
    """Since the present champion answers everybody or all but a canary's share, by the wall."""
    champion, began = history[-1].state.champion.version, history[-1].committed_at
    for declaration in reversed(history):
        if declaration.state.champion.version != champion:
            break
        began = declaration.committed_at
    try:
        days = (now - datetime.fromisoformat(began)).total_seconds() / _SECONDS_PER_DAY
    except (ValueError, TypeError):
        return None
    return max(0.0, days)


def _target(states: list[DeclaredState]) -> int | None:
    """A version that came through its watch; none where a rollback has just been made.

    Going further back than a rollback went is for a person: what is wrong then is no version.
    """
    if is_rollback(states):
        return None
    try:
        choice = choose_rollback(states, wanted=None)
    except RefusedError:
        return None
    return choice.target.champion.version if choice.came_through_watch else None
