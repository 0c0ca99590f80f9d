"""Decide what monitoring leads to on what was recorded, and keep the decision with its path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.decision_record import (
    DecisionHistory,
    DecisionRecord,
    decision_from_json,
    history_from_json,
)
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.monitoring_decision import decide
from ml_release.errors import IntegrityError
from ml_release.workflows.decision_facts import gather_facts
from ml_release.workflows.monitoring import INFERENCE_WINDOW

if TYPE_CHECKING:
    from ml_release.ports import Clock, Deployments, EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

MONITORING = "monitoring"
"""Who signs the moves that follow from a decision."""

DECISION_RECORD = "decision_record"
DECISION_HISTORY = "decision_history"


def decide_on_monitoring(
    line: ReleaseLine,
    *,
    environment: str,
    evidence: EvidenceStore,
    deployments: Deployments,
    clock: Clock,
) -> DecisionRecord:
    """Gather what was recorded of the version that answers, decide, and record both.

    Nothing is done about it here. A record that cannot be read is a fact that is not known.
    """
    now = clock.now()
    facts = gather_facts(
        line, environment=environment, evidence=evidence, deployments=deployments, now=now
    )
    decision = decide(facts.evidence, line.policies.decisions)
    record = DecisionRecord(
        line=line.name,
        environment=environment,
        version=facts.version,
        model_digest=facts.model_digest,
        commit=facts.commit,
        canary_version=facts.evidence.canary_version,
        target=facts.evidence.target,
        as_of=facts.as_of,
        decided_at=now,
        action=decision.action,
        reason=decision.reason,
        causes=decision.causes,
        path=decision.path,
        evidence=facts.digests,
    )
    evidence.record(line.name, DECISION_RECORD, environment, record.to_json())
    before = decision_history(line, environment=environment, evidence=evidence)
    after = before.with_newest(record)
    if after != before:
        evidence.record(line.name, DECISION_HISTORY, environment, after.to_json())
    return record


def newest_decision(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> DecisionRecord | None:
    """The decision recorded last, None if there is none; `IntegrityError` if it was edited."""
    content = evidence.find(line.name, DECISION_RECORD, environment)
    return None if content is None else decision_from_json(content)


def current_decision(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore, deployments: Deployments
) -> DecisionRecord | None:
    """The newest decision, if it is about the version that answers and the newest window.

    What was decided about the version before, or on an older window, says nothing now.

    Raises
    ------
    IntegrityError
        If the record was edited.
    """
    record = newest_decision(line, environment=environment, evidence=evidence)
    declaration = deployments.sealed(line.name, environment)
    if record is None or declaration is None:
        return None
    if record.model_digest != declaration.state.champion.model_digest:
        return None
    window = evidence.find(line.name, INFERENCE_WINDOW, environment)
    if window is None:
        return None
    is_on_it = record.evidence.get(INFERENCE_WINDOW) == digest_of_bytes(window)
    return record if is_on_it else None


def decision_history(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> DecisionHistory:
    """Decisions before, none if there are none or they were edited: they are for reading only."""
    try:
        content = evidence.find(line.name, DECISION_HISTORY, environment)
        return DecisionHistory() if content is None else history_from_json(content)
    except IntegrityError:
        return DecisionHistory()
