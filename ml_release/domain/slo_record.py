"""How a line stands to what it promises, as it is recorded: the judge reads nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime

from ml_release.domain.error_budget import Level, SliCount, budget_left, burns, days_of, total
from ml_release.domain.recorded import Recorded, read_recorded
from ml_release.domain.slo_policy import SloName
from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml_release.domain.slo_policy import SloPolicy

DAYS = "days"
ALERTED: frozenset[SloName] = frozenset({"availability", "latency"})
"""Whose burn rates alert: a model grows old by the day, and nobody is woken for it."""


class BurnSeen(Recorded):
    """One pair of stretches, see `ml_release.domain.error_budget.Burn`."""

    level: Level
    long_hours: int
    short_hours: int
    limit_rate: float
    long_rate: float | None
    short_rate: float | None
    long_events: int
    fires: bool | None


class BudgetDay(Recorded):
    """One day of the line's zone: events, bad ones, share of the whole budget left after it."""

    day: str
    events: int
    bad: int
    left: float


class SloStanding(Recorded):
    """One promise.

    Attributes
    ----------
    unit
        Of the events: ``requests`` or ``days``.
    left
        Share of the budget of the window that is not spent; below 0 where it is exceeded, None
        without events.
    burns
        One per alert of the policy; none of what is not in `ALERTED`.
    days
        In order; the last value is ``left``.
    """

    name: SloName
    unit: Literal["requests", "days"]
    objective: float
    events: int
    bad: int
    left: float | None
    burns: tuple[BurnSeen, ...] = ()
    days: tuple[BudgetDay, ...] = ()

    @property
    def level(self) -> Level | None:
        """Who has to know of a budget that burns too fast; None if nobody has to."""
        fired = {one.level for one in self.burns if one.fires}
        return "page" if "page" in fired else "ticket" if fired else None


class SloRecord(Recorded):
    """All promises of a line at one moment.

    Attributes
    ----------
    as_of
        End of the newest hour with an event: windows end here. None if nothing was ever asked.
    idle_hours
        Since something came in last, by the clock; None if nothing ever did.
    standings
        Of what is promised.
    score, score_rows
        Newest realised score of the champion, and its labelled answers; None if not known.
    model_age_days
        From the last day of the champion's training data to ``as_of``; None if not known.
    fairness, fairness_said
        Outcome of the newest fairness verdict, None if there is none, and what it objects to.
    """

    line: str
    environment: str
    judged_at: AwareDatetime
    as_of: AwareDatetime | None
    idle_hours: float | None
    window_days: int
    policy_digest: str
    model_digest: str | None
    standings: tuple[SloStanding, ...]
    score: float | None = None
    score_rows: int = 0
    model_age_days: float | None = None
    fairness: Outcome | None = None
    fairness_said: str = ""

    def standing(self, name: SloName) -> SloStanding | None:
        """Of one promise; None for what is not promised."""
        return next((one for one in self.standings if one.name == name), None)


def slo_record_from_json(content: bytes) -> SloRecord:
    """Read a record back; `IntegrityError` if it is none."""
    return read_recorded(SloRecord, content, "SLO record")


def standing_of(
    name: SloName,
    counts: Sequence[SliCount],
    policy: SloPolicy,
    *,
    objective: float,
    until: datetime | None,
    unit: Literal["requests", "days"],
) -> SloStanding:
    """How one promise stands.

    Parameters
    ----------
    counts
        Of the window that ends at ``until``, in any order.
    unit
        Only what is counted in requests, and can go wrong within an hour, burns: see `ALERTED`.
    """
    events, bad = total(counts)
    seen = (
        ()
        if name not in ALERTED or until is None
        else burns(
            counts,
            policy.alerts,
            objective=objective,
            window_days=policy.window_days,
            until=until,
            minimum_events=policy.minimum_alert_requests,
        )
    )
    return SloStanding(
        name=name,
        unit=unit,
        objective=objective,
        events=events,
        bad=bad,
        left=budget_left(bad, events, objective),
        burns=tuple(
            BurnSeen(
                level=one.alert.level,
                long_hours=one.alert.long_hours,
                short_hours=one.alert.short_hours,
                limit_rate=one.limit_rate,
                long_rate=one.long_rate,
                short_rate=one.short_rate,
                long_events=one.long_events,
                fires=one.fires,
            )
            for one in seen
        ),
        days=tuple(
            BudgetDay(day=day, events=n, bad=of, left=left)
            for day, n, of, left in days_of(counts, objective=objective)
        ),
    )
