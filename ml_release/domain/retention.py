"""How long served requests are remembered, and that nothing is forgotten while it is needed.

The days count from when a record came in, not from its event: what is promised is for how long a
request is kept, and a replay of an old year would otherwise be deleted as it is written.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.performance import WINDOW_DAYS

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.label_maturity import LabelPolicy

_SECONDS_PER_DAY = 86400


class RetentionPolicy(BaseModel):
    """For how long the inference log keeps what it was told. Without the section: for ever.

    Attributes
    ----------
    records_days
        Records and labels that came in longer ago are deleted. Labels that were gathered stay in
        the labels table, which holds request ids and no features.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    records_days: Annotated[int, Field(ge=1)]


def days_needed(*, label_delay: timedelta, labels: LabelPolicy) -> int:
    """Days a record is needed: until its label is due, and while a window after that holds it.

    >>> from ml_release.domain.label_maturity import LabelPolicy
    >>> days_needed(label_delay=timedelta(hours=36), labels=LabelPolicy())
    31
    """
    due_days = label_delay.total_seconds() / _SECONDS_PER_DAY + labels.grace_days
    return math.ceil(due_days + max(WINDOW_DAYS, labels.window_days))


def retention_problems(
    policy: RetentionPolicy, *, label_delay: timedelta, labels: LabelPolicy
) -> list[str]:
    """What is wrong with a policy for a line with this label delay, in words; empty if nothing."""
    needed = days_needed(label_delay=label_delay, labels=labels)
    if policy.records_days >= needed:
        return []
    return [
        f"policy retention.records_days: expected at least {needed} (label delay"
        f" {label_delay.total_seconds() / _SECONDS_PER_DAY:g}, grace {labels.grace_days:g}, window"
        f" {max(WINDOW_DAYS, labels.window_days)} days), found {policy.records_days}"
    ]


def kept_from(policy: RetentionPolicy, now: datetime) -> datetime:
    """What came in before this moment is to be deleted; ``now`` has a time zone."""
    return now - timedelta(days=policy.records_days)
