"""What the governor of retrainings remembers: how long triggers have stood, and what was asked.

It is recorded, one for all sensors, so that neither a restart nor a cursor that was reset lets a
retraining be asked for twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Literal, get_args

from pydantic import AwareDatetime, Field

from ml_release.domain.recorded import Recorded, read_recorded

Kind = Literal[
    "human",
    "performance",
    "drift",
    "staleness",
    "schedule",
    "new_partition",
    "label_volume",
]
"""What may ask for a retraining; those before go first."""

KINDS: tuple[Kind, ...] = get_args(Kind)

Ending = Literal["trained", "turned_down", "broken"]
"""A candidate was trained; the backtest saw no use in it; the run broke, or never began."""

MOST_KEPT = 100
"""Of the requests, the newest are kept."""


class Stretch(Recorded):
    """Since when a trigger has been raised, or not, without a break; days of event time.

    Attributes
    ----------
    since
        First day of the present stretch.
    """

    is_raised: bool
    since: date


class Asked(Recorded):
    """One retraining that was asked for.

    Attributes
    ----------
    key
        Names it among all others, also in the tags of its run.
    champion, partition
        Model digest that was to be replaced, and the newest partition that was to be learned from:
        the cause. The same cause is answered once.
    asked_on
        Day of event time.
    asked_at
        Moment of the clock on the wall.
    ending
        None while it is not known to have ended.
    """

    key: str
    kind: Kind
    reason: str
    champion: str | None
    partition: str | None
    asked_on: date
    asked_at: AwareDatetime
    ending: Ending | None = None


class GovernorMemory(Recorded):
    """All that is remembered of one line and environment.

    Attributes
    ----------
    stretches
        By kind of trigger; one that was never looked at has none.
    asked
        Oldest first.
    labels_counted
        Labels that were gathered when their number last asked for a retraining.
    """

    stretches: Mapping[Kind, Stretch] = Field(default_factory=dict)
    asked: tuple[Asked, ...] = ()
    labels_counted: Annotated[int, Field(ge=0)] = 0

    def seeing(self, kind: Kind, *, is_raised: bool | None, today: date) -> GovernorMemory:
        """After one more look at a trigger; one that cannot tell changes nothing.

        A day before the stretch began is of a log that was played again: it begins anew.
        """
        found = self.stretches.get(kind)
        if is_raised is None or (
            found is not None and found.is_raised == is_raised and found.since <= today
        ):
            return self
        stretch = Stretch(is_raised=is_raised, since=today)
        return self.model_copy(update={"stretches": {**self.stretches, kind: stretch}})

    def asking(self, one: Asked, *, labels: int | None = None) -> GovernorMemory:
        """After one more request; ``labels`` that were counted for it, None if none were."""
        kept = (*(other for other in self.asked if other.key != one.key), one)[-MOST_KEPT:]
        counted = self.labels_counted if labels is None else labels
        return self.model_copy(update={"asked": kept, "labels_counted": counted})

    def ending(self, key: str, how: Ending) -> GovernorMemory:
        """After a request has ended; one that is not known, or has ended, changes nothing."""
        kept = tuple(
            one.model_copy(update={"ending": how}) if one.key == key and one.ending is None else one
            for one in self.asked
        )
        return self if kept == self.asked else self.model_copy(update={"asked": kept})

    def in_flight(self) -> Asked | None:
        """The newest request, while it has not ended."""
        last = self.asked[-1] if self.asked else None
        return last if last is not None and last.ending is None else None

    def standing_days(self, kind: Kind, today: date) -> int | None:
        """Days for which a trigger has been raised without a break, None if it is not raised."""
        found = self.stretches.get(kind)
        return None if found is None or not found.is_raised else (today - found.since).days


def memory_from_json(content: bytes) -> GovernorMemory:
    """Read a recorded memory back; `IntegrityError` if it is none."""
    return read_recorded(GovernorMemory, content, "memory of retrainings")


def hours_between(earlier: datetime, later: datetime) -> float:
    """Hours of the clock on the wall; below 0 where it was set back."""
    return (later - earlier).total_seconds() / 3600
