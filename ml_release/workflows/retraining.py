"""Gather what the governor looks at, keep what it remembers, and say which window is used."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING

from ml_release.domain.governor_memory import Asked, GovernorMemory, hours_between, memory_from_json
from ml_release.domain.retraining import RetrainingEvidence, govern
from ml_release.domain.retraining_triggers import (
    drift_trigger,
    label_trigger,
    new_partition_trigger,
    performance_trigger,
    schedule_trigger,
    staleness_trigger,
    veto_of,
)
from ml_release.domain.rollback import is_rollback
from ml_release.errors import NotFoundError, RefusedError
from ml_release.workflows.feature_building import FEATURES_TABLE
from ml_release.workflows.labels import newest_labels
from ml_release.workflows.monitoring import newest_window
from ml_release.workflows.monitoring_decision import current_decision
from ml_release.workflows.training import CANDIDATE, find_candidate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.decision_record import DecisionRecord
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.governor_memory import Ending, Kind
    from ml_release.domain.retraining import Governed, Trigger
    from ml_release.ports import Deployments, EvidenceStore, Landing, Tables
    from ml_release.spec.release_line import ReleaseLine

GOVERNOR_MEMORY = "governor_memory"


def look_at_triggers(
    line: ReleaseLine,
    kinds: Sequence[Kind],
    *,
    environment: str,
    evidence: EvidenceStore,
    deployments: Deployments,
    landing: Landing,
    now: datetime,
    running: str = "",
) -> Governed:
    """Ask the governor about some triggers, and keep what it remembers before anything is done.

    Parameters
    ----------
    kinds
        Triggers to look at; "human" and "schedule" are raised by being asked for.
    running
        What is being trained already, in words; empty if nothing is.

    Raises
    ------
    IntegrityError
        If a record was edited.
    """
    policy = line.policies.retraining
    memory = governor_memory(line, environment=environment, evidence=evidence)
    decision = current_decision(
        line, environment=environment, evidence=evidence, deployments=deployments
    )
    found = retraining_evidence(
        line,
        environment=environment,
        evidence=evidence,
        deployments=deployments,
        landing=landing,
        now=now,
        decision=decision,
        running=running,
    )

    def trigger(kind: Kind) -> Trigger:
        if kind == "drift":
            return drift_trigger(decision)
        if kind == "performance":
            return performance_trigger(decision)
        if kind == "label_volume":
            labels = newest_labels(line, environment=environment, evidence=evidence)
            return label_trigger(0 if labels is None else labels.labels, memory, policy)
        if kind == "staleness":
            learned = _learned_to(line, found.champion, evidence=evidence)
            return staleness_trigger(learned, found, policy)
        if kind == "new_partition":
            return new_partition_trigger(found, policy)
        return schedule_trigger(policy)

    governed = govern([trigger(kind) for kind in kinds], memory, policy, evidence=found)
    if governed.memory != memory:
        _keep(line, governed.memory, environment=environment, evidence=evidence)
    return governed


def governor_memory(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> GovernorMemory:
    """What is remembered, nothing at first; `IntegrityError` if it was edited."""
    content = evidence.find(line.name, GOVERNOR_MEMORY, environment)
    return GovernorMemory() if content is None else memory_from_json(content)


def end_request(
    line: ReleaseLine, key: str, how: Ending, *, environment: str, evidence: EvidenceStore
) -> None:
    """Remember how a request has ended; one that has ended before stays as it is."""
    memory = governor_memory(line, environment=environment, evidence=evidence)
    ended = memory.ending(key, how)
    if ended != memory:
        _keep(line, ended, environment=environment, evidence=evidence)


def require_request(
    line: ReleaseLine, key: str, *, environment: str, evidence: EvidenceStore
) -> None:
    """Refuse a run whose request is not the one that is remembered: one at a time.

    Two sensors that looked at the same moment have both asked; the memory that was written last
    stands, and only its run goes on.

    Raises
    ------
    RefusedError
        If it is not.
    """
    last = governor_memory(line, environment=environment, evidence=evidence).in_flight()
    if last is None or last.key != key:
        stands = "none" if last is None else last.key
        message = (
            f"retraining of {line.name} refused: expected the request {key} to be the one in"
            f" flight, found {stands}. Another one took its place; nothing is to be done."
        )
        raise RefusedError(message)


def remember_person(
    line: ReleaseLine,
    *,
    run_id: str,
    reason: str,
    partition: str | None,
    environment: str,
    evidence: EvidenceStore,
    deployments: Deployments,
    now: datetime,
) -> str:
    """Remember a training that a person has begun, so that the automation counts it; its key."""
    declaration = deployments.sealed(line.name, environment)
    window = newest_window(line, environment=environment, evidence=evidence)
    day = None if window is None else window.as_of
    one = Asked(
        key=f"human:{run_id}",
        kind="human",
        reason=reason,
        champion=None if declaration is None else declaration.state.champion.model_digest,
        partition=partition,
        asked_on=day or now.date(),
        asked_at=now,
    )
    memory = governor_memory(line, environment=environment, evidence=evidence)
    _keep(line, memory.asking(one), environment=environment, evidence=evidence)
    return one.key


def retraining_evidence(
    line: ReleaseLine,
    *,
    environment: str,
    evidence: EvidenceStore,
    deployments: Deployments,
    landing: Landing,
    now: datetime,
    decision: DecisionRecord | None = None,
    running: str = "",
) -> RetrainingEvidence:
    """What triggers are held against, as of the newest event in the inference log."""
    declaration = deployments.sealed(line.name, environment)
    champion = None if declaration is None else declaration.state.champion.model_digest
    newest = evidence.newest_subject(line.name, CANDIDATE)
    window = newest_window(line, environment=environment, evidence=evidence)
    as_of = None if window is None else window.as_of
    rollout = None if declaration is None else declaration.state.rollout
    if not running and rollout is not None and rollout.leg != "watch":
        days = hours_between(rollout.begun, now) / 24
        if days < line.policies.retraining.release_hold_days:
            running = f"{rollout} is on its way, and may be what is needed"
    return RetrainingEvidence(
        champion=champion,
        trained_to=None if champion is None else _trained_to(line, champion, evidence=evidence),
        tried_to=None if newest is None else _trained_to(line, newest, evidence=evidence),
        newest_partition=None if as_of is None else _newest_matured(line, as_of, landing=landing),
        as_of=as_of,
        now=now,
        running=running,
        hours_since_rollback=None
        if declaration is None
        else _since_rollback(line, declaration, deployments=deployments, now=now),
        veto=veto_of(decision),
    )


def retraining_window(line: ReleaseLine, newest: str, *, tables: Tables) -> tuple[str, str]:
    """First partition to train on, and the first one whose features have to be made."""
    made = {features.partition for features in tables.current(line.name, FEATURES_TABLE)}
    first = line.landing.first_partition
    missing = [name for name in line.landing.between(first, newest) if name not in made]
    return first, min(missing, default=newest)


def _keep(
    line: ReleaseLine, memory: GovernorMemory, *, environment: str, evidence: EvidenceStore
) -> None:
    evidence.record(line.name, GOVERNOR_MEMORY, environment, memory.to_json())


def _since_rollback(
    line: ReleaseLine, newest: Declaration, *, deployments: Deployments, now: datetime
) -> float | None:
    quiet = hours_between(datetime.fromisoformat(newest.committed_at), now)
    if not newest.state.withdrawn or quiet >= line.policies.retraining.quiet_hours:
        # No rollback is younger than what was declared last: its history need not be read.
        return None
    history = deployments.history(line.name, newest.state.environment)
    sealed = [d for d in history if not d.seal_problem]
    if not is_rollback([declaration.state for declaration in sealed]):
        return None
    # The one that withdrew: what was declared since left champion and shares as they were.
    withdrawn = set(sealed[-1].state.withdrawn)
    last = next(d for d in sealed if withdrawn <= set(d.state.withdrawn))
    return hours_between(datetime.fromisoformat(last.committed_at), now)


def _trained_to(line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore) -> str | None:
    try:
        return find_candidate(line, model_digest, evidence=evidence).last_partition
    except NotFoundError:
        return None


def _learned_to(
    line: ReleaseLine, model_digest: str | None, *, evidence: EvidenceStore
) -> date | None:
    if model_digest is None:
        return None
    try:
        return date.fromisoformat(find_candidate(line, model_digest, evidence=evidence).window_to)
    except NotFoundError:
        return None


def _newest_matured(line: ReleaseLine, as_of: date, *, landing: Landing) -> str | None:
    """Newest landed partition whose last label was known when ``as_of`` began."""
    # Moments, not days: a date forgets the hours of a delay.
    now = datetime.combine(as_of, time())
    matured = (
        partition
        for partition in landing.partitions(line.landing)
        if _end_of(line, partition) + line.label_delay <= now
    )
    return max(matured, default=None)


def _end_of(line: ReleaseLine, partition: str) -> datetime:
    return datetime.fromisoformat(f"{line.landing.following(partition)}-01")
