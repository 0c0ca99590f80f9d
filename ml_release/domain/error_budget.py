"""Error budgets and how fast they burn, after the SRE workbook (Beyer et al. 2018, chapter 5).

An objective of 99 % leaves 1 % of the events as a budget of bad ones. A burn rate of 1 spends
exactly that over the window; an alert asks for a rate over a long stretch, so that a few bad
events call nobody, and over a short one, so that it ends soon after the harm has. Everything is
sums of counts: the order in which events came, or were counted, is of no matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

Level = Literal["page", "ticket"]
"""Somebody is woken; somebody looks within days."""

_HOURS_PER_DAY = 24.0
# A budget that is spent to the last event is not exceeded because 1 - 0.9 is no 0.1.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class SliCount:
    """Events of one stretch of time that begins at ``start``, and those of them that were bad."""

    start: datetime
    events: int
    bad: int


class BurnAlert(BaseModel):
    """When a budget burns so fast that somebody has to know.

    Attributes
    ----------
    level
        Who has to.
    long_hours, short_hours
        The rate has to be exceeded over both stretches, which end at the same moment.
    budget_share
        Of the whole budget, that the long stretch may spend at the most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    level: Level
    long_hours: Annotated[int, Field(ge=1)]
    short_hours: Annotated[int, Field(ge=1)]
    budget_share: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _is_a_pair(self) -> Self:
        if self.short_hours > self.long_hours:
            message = (
                f"short_hours: expected at most long_hours = {self.long_hours}, found"
                f" {self.short_hours}"
            )
            raise ValueError(message)
        return self

    def limit_rate(self, window_days: float) -> float:
        """The burn rate that spends this share of the budget in the long stretch.

        >>> page = BurnAlert(level="page", long_hours=1, short_hours=1, budget_share=0.02)
        >>> round(page.limit_rate(30), 6)
        14.4
        """
        return self.budget_share * window_days * _HOURS_PER_DAY / self.long_hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """How fast a budget burns over one pair of stretches.

    Attributes
    ----------
    long_rate, short_rate
        Times the rate that spends the budget over the window; None without events.
    fires
        Whether both are above the alert's limit; None if that cannot be told.
    """

    alert: BurnAlert
    limit_rate: float
    long_rate: float | None
    short_rate: float | None
    long_events: int
    fires: bool | None


def total(counts: Iterable[SliCount]) -> tuple[int, int]:
    """Events and bad ones of all counts."""
    found = list(counts)
    return sum(one.events for one in found), sum(one.bad for one in found)


def burn_rate(bad: int, events: int, objective: float) -> float | None:
    """Share of bad events over the share that the objective allows; None without events.

    >>> round(burn_rate(bad=144, events=10_000, objective=0.999), 6)
    14.4
    """
    return bad / events / (1 - objective) if events else None


def budget_left(bad: int, events: int, objective: float) -> float | None:
    """Share of the budget that is not spent: 1 untouched, below 0 exceeded; None without events.

    >>> round(budget_left(bad=3, events=1000, objective=0.99), 6)
    0.7
    """
    rate = burn_rate(bad, events, objective)
    return None if rate is None else 1 - rate


def exceeds(
    bad: int, events: int, *, objective: float, limit_rate: float, minimum_events: int
) -> bool | None:
    """Whether the burn rate is above a limit; None if there are too few events to tell.

    Of few events it is told only that they exceed it, and only if they would even beside good ones
    up to the minimum.
    """
    allowed = limit_rate * (1 - objective) * max(events, minimum_events)
    if events and bad > allowed * (1 + _ROUNDING):
        return True
    return False if events and events >= minimum_events else None


def burns(
    counts: Sequence[SliCount],
    alerts: Iterable[BurnAlert],
    *,
    objective: float,
    window_days: float,
    until: datetime,
    minimum_events: int,
) -> tuple[Burn, ...]:
    """How fast the budget burns at ``until``, over the stretches of every alert.

    Parameters
    ----------
    counts
        Of hours or shorter stretches, in any order; a stretch belongs where it begins.
    minimum_events
        With fewer in a stretch it is not told that nothing is wrong.
    """
    found = []
    for alert in alerts:
        limit = alert.limit_rate(window_days)
        both = [
            total(_last(counts, until, hours)) for hours in (alert.long_hours, alert.short_hours)
        ]
        above = [
            exceeds(
                bad, events, objective=objective, limit_rate=limit, minimum_events=minimum_events
            )
            for events, bad in both
        ]
        rates = [burn_rate(bad, events, objective) for events, bad in both]
        found.append(
            Burn(
                alert=alert,
                limit_rate=limit,
                long_rate=rates[0],
                short_rate=rates[1],
                long_events=both[0][0],
                fires=_both(above),
            )
        )
    return tuple(found)


def days_of(
    counts: Iterable[SliCount], *, objective: float
) -> tuple[tuple[str, int, int, float], ...]:
    """Per day its events, its bad ones, and the share of the budget left at its end.

    A stretch belongs to the day it begins on, in the zone of its ``start``. The budget is that of
    all the events: the last value is `budget_left`. Days without events are left out; in order of
    time.
    """
    found: dict[str, tuple[int, int]] = {}
    for one in counts:
        day = one.start.date().isoformat()
        events, bad = found.get(day, (0, 0))
        found[day] = (events + one.events, bad + one.bad)
    budget = (1 - objective) * sum(events for events, _ in found.values())
    rows, spent = [], 0
    for day in sorted(found):
        events, bad = found[day]
        if events:
            spent += bad
            rows.append((day, events, bad, 1 - spent / budget))
    return tuple(rows)


def _last(counts: Iterable[SliCount], until: datetime, hours: int) -> list[SliCount]:
    since = until - timedelta(hours=hours)
    return [one for one in counts if since <= one.start < until]


def _both(above: Sequence[bool | None]) -> bool | None:
    """Three-valued and: what is not known can still be without effect."""
    if any(one is False for one in above):
        return False
    return None if None in above else True
