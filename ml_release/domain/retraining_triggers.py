"""What each trigger says of recorded facts: raised, not raised, or that it cannot tell."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from ml_release.domain.retraining import Trigger

if TYPE_CHECKING:
    from ml_release.domain.decision_record import DecisionRecord
    from ml_release.domain.governor_memory import GovernorMemory
    from ml_release.domain.monitoring_decision import Cause
    from ml_release.domain.retraining import RetrainingEvidence
    from ml_release.domain.retraining_policy import RetrainingPolicy

_VETOES = ("fix_data", "roll_back")


def veto_of(decision: DecisionRecord | None) -> str:
    """Why the newest decision forbids to learn at present; empty if it does not."""
    if decision is None or decision.action not in _VETOES:
        return ""
    return f"the decision is to {decision.action.replace('_', ' ')} ({decision.reason})"


def drift_trigger(decision: DecisionRecord | None) -> Trigger:
    """Raised while the decision about the present champion is to retrain because of drift."""
    return _of_decision("drift", decision)


def performance_trigger(decision: DecisionRecord | None) -> Trigger:
    """Raised while the decision is to retrain because skill was lost."""
    return _of_decision("performance", decision)


def _of_decision(cause: Cause, decision: DecisionRecord | None) -> Trigger:
    if decision is None:
        said = "nothing was decided yet about the version that answers"
        return Trigger(kind=cause, is_raised=None, reason=said)
    asks = decision.action == "retrain" and cause in decision.causes
    # Also a watch ends how long it has stood: what flaps around a limit is watched in between.
    return Trigger(
        kind=cause,
        is_raised=asks,
        reason=decision.reason if asks else f"the decision is to {decision.sentence()}",
    )


def label_trigger(labels: int, memory: GovernorMemory, policy: RetrainingPolicy) -> Trigger:
    """Raised when enough labels were gathered since their number last asked."""
    # Fewer than before is a table that was begun anew: all of them are new then.
    new = labels - memory.labels_counted if labels >= memory.labels_counted else labels
    if new < policy.labels_needed:
        said = f"{new} of {policy.labels_needed} new labels"
        return Trigger(kind="label_volume", is_raised=False, reason=said, labels=labels)
    said = f"{new} new labels, limit {policy.labels_needed}"
    return Trigger(kind="label_volume", is_raised=True, reason=said, labels=labels)


def staleness_trigger(
    learned_to: date | None, evidence: RetrainingEvidence, policy: RetrainingPolicy
) -> Trigger:
    """Raised when the newest day the champion has learned from is too long ago.

    Parameters
    ----------
    learned_to
        That day; None if it is not known.
    """
    limit = policy.maximum_age_days
    if limit is None:
        said = "no age is declared as too old"
        return Trigger(kind="staleness", is_raised=False, reason=said)
    if learned_to is None or evidence.as_of is None:
        said = "the age of what the champion has learned from is not known"
        return Trigger(kind="staleness", is_raised=None, reason=said)
    age = evidence.as_of - learned_to
    said = f"the champion's newest rows are {age.days} days old, limit {limit} days"
    return Trigger(kind="staleness", is_raised=age > timedelta(days=limit), reason=said)


def new_partition_trigger(evidence: RetrainingEvidence, policy: RetrainingPolicy) -> Trigger:
    """Raised when a partition has matured that the champion has not learned from."""
    newest, known = evidence.newest_partition, evidence.trained_to
    if not policy.on_new_partition:
        said = "a new partition alone is declared to be no reason"
        return Trigger(kind="new_partition", is_raised=False, reason=said)
    if newest is None:
        said = "no partition is complete with matured labels"
        return Trigger(kind="new_partition", is_raised=False, reason=said)
    is_new = known is None or newest > known
    said = f"{newest} has matured, the champion has learned to {known or 'nobody knows when'}"
    return Trigger(kind="new_partition", is_raised=is_new, reason=said)


def schedule_trigger(policy: RetrainingPolicy) -> Trigger:
    """Raised when the calendar says so: asked at that moment only."""
    return Trigger(kind="schedule", is_raised=True, reason=f"by the calendar ({policy.schedule})")
