"""How well a line releases: the four keys of delivery, and what they are for a model.

Forsgren, Humble and Kim (2018, Accelerate) count lead time, deployments, changes that fail and the
time to restore. To these come how soon drift is answered, whether what served can be rebuilt, and
what an answer costs. What nothing is known of is not known: it is never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from ml_release.domain.release_kpi_record import Kpi, ReleaseKpis

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from ml_release.domain.release_kpi_policy import KpiName, KpiPolicy

_HOUR_S, _MINUTE_S, _DAY_S = 3600.0, 60.0, 86400.0
_DAYS_PER_WEEK = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A version that was let answer anybody.

    Attributes
    ----------
    began_at
        When it was first declared to answer.
    promoted_at
        When it was declared to answer everybody; None if it never was.
    trained_at
        None if its record is gone.
    failed_at, signed_at
        When it was taken back, and when its first bad answer came; None for never, and not known.
    is_rebuildable
        Whether its records name all that a rebuild needs; None if there are none.
    """

    version: int
    model_digest: str
    began_at: datetime
    promoted_at: datetime | None = None
    trained_at: datetime | None = None
    failed_at: datetime | None = None
    signed_at: datetime | None = None
    is_rebuildable: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What was answered in the time: rows, milliseconds of all requests, hours with any."""

    rows: int
    busy_ms: float
    hours: float


def release_kpis(
    line: str,
    environment: str,
    attempts: Sequence[Attempt],
    *,
    drift_began: Sequence[datetime],
    answered: Answered,
    first_declared: datetime | None,
    policy: KpiPolicy,
    since: datetime,
    until: datetime,
) -> ReleaseKpis:
    """Count everything that began between ``since`` and ``until``.

    Parameters
    ----------
    attempts
        Of the whole history, oldest first; what ended after ``since`` is told of those that began
        then too.
    drift_began
        When each stretch of drift that hurts was first seen.
    first_declared
        When anything was first declared; None if nothing ever was.
    """
    recent = [one for one in attempts if since <= one.began_at <= until]
    promoted = [
        one.promoted_at
        for one in attempts
        if one.promoted_at is not None and since <= one.promoted_at <= until
    ]
    return ReleaseKpis(
        line=line,
        environment=environment,
        since=since,
        until=until,
        policy_digest=policy.digest,
        kpis=(
            _lead_time(attempts, since=since, until=until),
            _frequency(promoted, first_declared, since=since, until=until),
            _failures(recent),
            _restoring(recent),
            _reaction(attempts, [at for at in drift_began if since <= at <= until]),
            _rebuildable(recent),
            _cost(answered, policy),
        ),
    )


def _lead_time(attempts: Sequence[Attempt], *, since: datetime, until: datetime) -> Kpi:
    hours = [
        _seconds(one.promoted_at - one.trained_at) / _HOUR_S
        for one in attempts
        if one.promoted_at is not None
        and one.trained_at is not None
        and since <= one.promoted_at <= until
    ]
    return _of(
        "lead_time_hours",
        hours,
        unit="hours, median",
        said="from the end of training to answering everybody",
    )


def _frequency(
    promoted: Sequence[datetime],
    first_declared: datetime | None,
    *,
    since: datetime,
    until: datetime,
) -> Kpi:
    # A line that was declared last week did not stand still for three months before.
    begun = None if first_declared is None else max(since, first_declared)
    days = 0.0 if begun is None else _seconds(until - begun) / _DAY_S
    known = days >= 1
    return Kpi(
        name="deployments_per_week",
        value=len(promoted) / days * _DAYS_PER_WEEK if known else None,
        unit="per week",
        n=len(promoted),
        said=f"versions that came to answer everybody in {days:.1f} days"
        if known
        else "fewer than one day since the first declaration",
    )


def _failures(recent: Sequence[Attempt]) -> Kpi:
    failed = sum(one.failed_at is not None for one in recent)
    return Kpi(
        name="change_failure_rate",
        value=failed / len(recent) if recent else None,
        unit="of the releases",
        n=len(recent),
        said=f"{failed} of {len(recent)} versions that answered anybody were taken back; shadows"
        " answer nobody",
    )


def _restoring(recent: Sequence[Attempt]) -> Kpi:
    minutes, at_most = [], 0
    for one in recent:
        if one.failed_at is not None:
            at_most += one.signed_at is None
            minutes.append(_seconds(one.failed_at - (one.signed_at or one.began_at)) / _MINUTE_S)
    said = "from the first bad answer to the commit that took the version back"
    if at_most:
        said += f"; of {at_most} no bad answer is on record: counted from when it began to answer"
    return _of("time_to_restore_minutes", minutes, unit="minutes, median", said=said)


def _reaction(attempts: Sequence[Attempt], began: Sequence[datetime]) -> Kpi:
    promoted = sorted(one.promoted_at for one in attempts if one.promoted_at is not None)
    hours, still_open = [], 0
    for at in began:
        after = next((moment for moment in promoted if moment > at), None)
        if after is None:
            still_open += 1
        else:
            hours.append(_seconds(after - at) / _HOUR_S)
    return _of(
        "drift_reaction_hours",
        hours,
        unit="hours, median",
        said="from the end of the first window with drift that hurts, by the time of its events, to"
        f" another version that answers everybody; {still_open} not answered yet",
    )


def _rebuildable(recent: Sequence[Attempt]) -> Kpi:
    found = {one.model_digest: bool(one.is_rebuildable) for one in recent}
    return Kpi(
        name="rebuildable_share",
        value=sum(found.values()) / len(found) if found else None,
        unit="of the versions",
        n=len(found),
        said="whose records name code without local changes, its lock, seed, data and features;"
        " `ml-release reproduce` shows it of one",
    )


def _cost(answered: Answered, policy: KpiPolicy) -> Kpi:
    price = policy.price_per_core_hour
    rows = answered.rows
    value, said = None, "no price of a core hour is declared" if price is None else "nothing served"
    if price is not None and rows:
        value = price * policy.cores * answered.hours / rows * 1000
        busy = price * answered.busy_ms / 1000 / _HOUR_S / rows * 1000
        said = (
            f"{policy.cores:g} cores kept for {answered.hours:g} hours at {price:g}"
            f" {policy.currency} an hour; by the time of answering alone, a core each, {busy:.3g}"
        )
    return Kpi(
        name="cost_per_1000_predictions",
        value=value,
        unit=policy.currency,
        n=rows,
        said=said,
    )


def _of(name: KpiName, values: Sequence[float], *, unit: str, said: str) -> Kpi:
    value = median(values) if values else None
    return Kpi(name=name, value=value, unit=unit, n=len(values), said=said)


def _seconds(span: timedelta) -> float:
    # Clocks of Git and of a trainer may disagree by a second.
    return max(0.0, span.total_seconds())
