"""Whether rows belong to their partition, cover its days, and may still be kept."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (dataclass fields are read by name)
from dataclasses import dataclass
from statistics import median
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.gates_table import shown
from ml_release.domain.verdict import Finding, compare

DESCRIPTIONS = {
    "rows_belong_to_partition": "Every row's day is in the month, and its times agree.",
    "days_are_covered": "No day of the month is without rows or with far too few.",
    "rows_are_within_retention": "No row is older than the line may keep it.",
}


class CalendarPolicy(BaseModel):
    """Limits on the times of the rows.

    Attributes
    ----------
    local_time_tolerance_minutes
        How far the event time, in the line's time zone, may be from the local event time.
    missing_days_limit
        Allowed number of days of the month without any row. Days that are not over do not count.
    day_share_floor
        A day needs at least this share of the rows of the month's median day.
    retention_days
        Rows older than this fail; None: how long rows are kept is not judged here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    local_time_tolerance_minutes: Annotated[float, Field(ge=0)] = 0.0
    missing_days_limit: Annotated[int, Field(ge=0)] = 0
    day_share_floor: Annotated[float, Field(ge=0, le=1)] = 0.3
    retention_days: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEvidence:
    """What was counted on the times of one partition.

    Attributes
    ----------
    outside_rows
        Rows whose local day is not in the partition's month, or is not known.
    shifted_rows
        Rows whose two times differ by more than the tolerance; ``shift_minutes`` is the largest
        difference.
    rows_per_day
        ISO date to rows, for every day of the month that is over, also those without rows.
    expired_rows
        Rows older than the retention limit; None where there is no limit.
    """

    rows: int
    outside_rows: int
    outside_example: str
    shifted_rows: int
    shifted_example: str
    shift_minutes: float
    rows_per_day: Mapping[str, int]
    expired_rows: int | None = None
    expired_example: str = ""


def judge_calendar(
    partition: str, evidence: CalendarEvidence | None, policy: CalendarPolicy
) -> tuple[Finding, ...]:
    """Hold the times of a partition against the policy; without evidence nothing passes."""
    return (
        *_belonging(partition, evidence),
        *_coverage(partition, evidence, policy),
        *_retention(partition, evidence, policy),
    )


def _belonging(partition: str, evidence: CalendarEvidence | None) -> tuple[Finding, ...]:
    rule, rows = "rows_belong_to_partition", None if evidence is None else evidence.rows
    shift = f"by up to {evidence.shift_minutes:g} minutes; " if evidence else ""
    return (
        compare(
            rule=rule,
            subject=f"{partition}: day outside the month",
            observed=None if evidence is None else float(evidence.outside_rows),
            limit=0.0,
            bound="at most",
            unit="rows",
            n=rows,
            detail=shown(evidence.outside_example) if evidence else "",
        ),
        compare(
            rule=rule,
            subject=f"{partition}: event time is not the local time",
            observed=None if evidence is None else float(evidence.shifted_rows),
            limit=0.0,
            bound="at most",
            unit="rows",
            n=rows,
            detail=shift + shown(evidence.shifted_example)
            if evidence and evidence.shifted_rows
            else "",
        ),
    )


def _coverage(
    partition: str, evidence: CalendarEvidence | None, policy: CalendarPolicy
) -> tuple[Finding, ...]:
    rule = "days_are_covered"
    days = {} if evidence is None else evidence.rows_per_day
    empty = [day for day, rows in days.items() if rows == 0]
    filled = {day: rows for day, rows in days.items() if rows}
    thinnest = min(filled, key=lambda day: (filled[day], day), default=None)
    typical = median(filled.values()) if filled else None
    return (
        compare(
            rule=rule,
            subject=f"{partition}: days without rows",
            observed=float(len(empty)) if filled else None,
            limit=float(policy.missing_days_limit),
            bound="at most",
            unit="days",
            n=len(days),
            detail=shown(", ".join(empty[:3])),
        ),
        compare(
            rule=rule,
            subject=f"{partition}: thinnest day against the median day",
            observed=filled[thinnest] / typical if thinnest is not None and typical else None,
            limit=policy.day_share_floor,
            bound="at least",
            n=len(filled),
            detail="" if thinnest is None else f"{thinnest} has {filled[thinnest]} rows",
        ),
    )


def _retention(
    partition: str, evidence: CalendarEvidence | None, policy: CalendarPolicy
) -> tuple[Finding, ...]:
    if policy.retention_days is None:
        return ()
    expired = None if evidence is None else evidence.expired_rows
    return (
        compare(
            rule="rows_are_within_retention",
            subject=f"{partition}: older than {policy.retention_days} days",
            observed=None if expired is None else float(expired),
            limit=0.0,
            bound="at most",
            unit="rows",
            n=None if evidence is None else evidence.rows,
            detail=shown(evidence.expired_example) if evidence else "",
        ),
    )
