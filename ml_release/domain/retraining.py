"""The one governor of retrainings: which trigger is listened to now, and why the others wait.

Triggers are read as edges, not levels: a limit that stays broken asks once, not at every look, and
one that flaps around its limit has to stand for some days before it is believed again. A budget
bounds what all of them ask together; its last part is kept for a loss of skill, and for drift that
has stood, so that what flaps cannot starve what is real.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.governor_memory import KINDS, Asked, hours_between

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

    from ml_release.domain.governor_memory import GovernorMemory, Kind
    from ml_release.domain.retraining_policy import RetrainingPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What one trigger says now.

    Attributes
    ----------
    is_raised
        None if it cannot tell.
    labels
        Labels gathered so far, of the trigger that counts them.
    """

    kind: Kind
    is_raised: bool | None
    reason: str
    labels: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainingEvidence:
    """What every trigger is held against.

    Attributes
    ----------
    champion
        Digest of the model that serves, None if none does.
    trained_to
        Newest partition the champion was trained on.
    tried_to
        Newest partition the newest candidate was trained on, whatever became of it.
    newest_partition
        Newest partition that is complete and whose labels have matured, as of ``as_of``.
    as_of
        Day of the newest event in the inference log.
    now
        The clock on the wall.
    running
        What is being trained or released already, in words; empty if nothing is.
    hours_since_rollback
        None if the present state is not what a rollback left, or has stood for the quiet hours.
    veto
        Why nothing should be learned at present, in words: broken data, a version to be rolled
        back; empty if nothing is known against it.
    """

    champion: str | None
    trained_to: str | None
    tried_to: str | None
    newest_partition: str | None
    as_of: date | None
    now: datetime
    running: str = ""
    hours_since_rollback: float | None = None
    veto: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Governed:
    """What follows from one look.

    Attributes
    ----------
    request
        The retraining to ask for now; None for none.
    said
        Kind of every trigger to why it is listened to, or why not.
    memory
        What is to be remembered, before anything is asked for elsewhere.
    """

    request: Asked | None
    said: dict[Kind, str]
    memory: GovernorMemory

    @property
    def reason(self) -> str:
        """All of it in one line."""
        return "; ".join(f"{kind}: {said}" for kind, said in self.said.items()) or "no trigger"


def govern(
    triggers: Sequence[Trigger],
    memory: GovernorMemory,
    policy: RetrainingPolicy,
    *,
    evidence: RetrainingEvidence,
) -> Governed:
    """Listen to at most one trigger, the most important of those that may ask.

    A person is listened to whatever the rest says, as long as nothing is running already.
    """
    memory = _given_up(memory, policy, evidence.now)
    request: Asked | None = None
    said: dict[Kind, str] = {}
    for trigger in sorted(triggers, key=lambda one: KINDS.index(one.kind)):
        if evidence.as_of is not None:
            memory = memory.seeing(trigger.kind, is_raised=trigger.is_raised, today=evidence.as_of)
        said[trigger.kind] = trigger.reason
        if not trigger.is_raised:
            continue
        held = next(_objections(trigger, memory, policy, evidence), "")
        if held:
            said[trigger.kind] += f"; but {held}"
        elif request is None:
            request = _asked(trigger, evidence)
            memory = memory.asking(request, labels=trigger.labels)
    return Governed(request=request, said=said, memory=memory)


def _given_up(memory: GovernorMemory, policy: RetrainingPolicy, now: datetime) -> GovernorMemory:
    last = memory.in_flight()
    if last is None or abs(hours_between(last.asked_at, now)) <= policy.longest_run_hours:
        return memory
    return memory.ending(last.key, "broken")


def _asked(trigger: Trigger, evidence: RetrainingEvidence) -> Asked:
    today = evidence.as_of or evidence.now.date()
    champion = "none" if evidence.champion is None else evidence.champion[7:19]
    return Asked(
        # The moment: after a run that broke the same is asked for again, as another request.
        key=f"{trigger.kind}:{champion}:{evidence.newest_partition}:{evidence.now:%Y%m%dT%H%M%S}",
        kind=trigger.kind,
        reason=trigger.reason,
        champion=evidence.champion,
        partition=evidence.newest_partition,
        asked_on=today,
        asked_at=evidence.now,
    )


def _objections(
    trigger: Trigger, memory: GovernorMemory, policy: RetrainingPolicy, evidence: RetrainingEvidence
) -> Iterator[str]:
    """Why a raised trigger is not listened to now; of a person only that something is running."""
    last = memory.in_flight()
    if evidence.running:
        yield evidence.running
    if last is not None:
        yield f"the retraining asked for on {last.asked_on} by {last.kind} has not ended"
    if trigger.kind == "human":
        return
    today = evidence.as_of
    if evidence.champion is None or today is None:
        yield "nothing is serving yet"
        return
    yield from _of_data(evidence)
    if evidence.veto:
        yield evidence.veto
    since = evidence.hours_since_rollback
    if since is not None and 0 <= since < policy.quiet_hours:
        yield f"a rollback was {since:.1f} hours ago, quiet {policy.quiet_hours:g} hours"
    yield from _of_cause(trigger, memory, policy, evidence)
    yield from _of_time(trigger, memory, policy, today, champion=evidence.champion)


def _of_data(evidence: RetrainingEvidence) -> Iterator[str]:
    newest = evidence.newest_partition
    if newest is None:
        yield "no partition is complete with matured labels"
        return
    if evidence.trained_to is not None and newest <= evidence.trained_to:
        yield (
            f"the champion has learned from {evidence.trained_to} already and no newer partition"
            " is complete with matured labels"
        )
    if evidence.tried_to is not None and newest <= evidence.tried_to:
        # The same model again: its evidence would be recorded anew, and what people and servers
        # said of the present one would lapse while it is being released.
        yield (
            f"the newest candidate has learned from {evidence.tried_to} already, and no newer"
            " partition is complete with matured labels"
        )


def _of_cause(
    trigger: Trigger, memory: GovernorMemory, policy: RetrainingPolicy, evidence: RetrainingEvidence
) -> Iterator[str]:
    """The same champion on the same data is retrained once, whoever asks."""
    same = [
        one
        for one in memory.asked
        if (one.champion, one.partition) == (evidence.champion, evidence.newest_partition)
    ]
    if any(one.ending == "trained" for one in same):
        yield f"this champion was retrained on {evidence.newest_partition} already"
    if any(one.ending == "turned_down" and _rank(one.kind) <= _rank(trigger.kind) for one in same):
        yield f"the backtest has turned a retraining on {evidence.newest_partition} down"
    if sum(one.ending == "broken" for one in same) >= policy.broken_runs:
        yield (
            f"{policy.broken_runs} runs on {evidence.newest_partition} broke; a person has to look"
        )


def _of_time(
    trigger: Trigger,
    memory: GovernorMemory,
    policy: RetrainingPolicy,
    today: date,
    *,
    champion: str,
) -> Iterator[str]:
    # A run that broke has answered nothing; how often it is tried again is limited elsewhere.
    own = [one for one in memory.asked if one.kind == trigger.kind and one.ending != "broken"]
    ages = [age for one in own if (age := (today - one.asked_on).days) >= 0]
    stood = memory.standing_days(trigger.kind, today) or 0
    has_stood = stood >= policy.persistence_days
    if ages and min(ages) < policy.cooldown_days:
        yield (
            f"it asked for a retraining {min(ages)} days ago, cooldown {policy.cooldown_days} days"
        )
    if any(one.champion == champion for one in own) and not has_stood:
        yield (
            f"it has asked about this champion before and has stood for {stood} days only, needed"
            f" {policy.persistence_days}"
        )
    spent = sum(
        one.ending != "turned_down" and 0 <= (today - one.asked_on).days < policy.budget_days
        for one in memory.asked
    )
    is_real = trigger.kind == "performance" or (trigger.kind == "drift" and has_stood)
    kept = 0 if is_real else min(policy.kept_back, policy.budget - 1)
    if spent >= policy.budget - kept:
        back = f", {kept} of them kept for a loss of skill and drift that has stood" if kept else ""
        yield (
            f"{spent} retrainings were asked for within {policy.budget_days} days, budget"
            f" {policy.budget}{back}"
        )


def _rank(kind: Kind) -> int:
    return KINDS.index(kind)
