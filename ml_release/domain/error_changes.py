"""Changes of the errors over time: what the detectors have been fed, day by day, and what they say.

Days are fed in order, each once, when its labels are settled. What was fed is recorded with the
state, so that a further look costs what is new; labels that come after that are noticed, since the
day then has others than it was fed with, and everything is counted anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml_release.domain.adwin import Adwin
from ml_release.domain.page_hinkley import PageHinkley
from ml_release.domain.recorded import Recorded, read_recorded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.answers import DayCount
    from ml_release.domain.performance_policy import ChangePolicy
    from ml_release.domain.scores import Floats

LATE_SHARE = 0.05
"""A day whose labels grew by more than this since it was fed is counted anew."""

Detector = Literal["page_hinkley", "adwin"]


class ErrorChange(Recorded):
    """A change of the mean error that a detector found.

    Attributes
    ----------
    day
        Of the value that showed it; it began before.
    before, after
        Mean error: for ADWIN of the two sides of its cut, for Page-Hinkley the mean since its
        beginning and the value that showed it.
    """

    detector: Detector
    day: date
    before: float
    after: float

    @property
    def is_worse(self) -> bool:
        """Whether errors grew."""
        return self.after > self.before


class FedDay(Recorded):
    """A day that was fed, with the labels it had; ``error`` is None where it was left out."""

    day: date
    labelled: int
    error: float | None


class ErrorChanges(Recorded):
    """What the detectors know of one model's errors.

    Attributes
    ----------
    policy_digest
        Of the policy they were fed under; another one begins anew.
    n
        How many values were fed.
    """

    model_digest: str
    policy_digest: str
    fed: tuple[FedDay, ...] = ()
    n: int = 0
    page_hinkley: PageHinkley = PageHinkley()
    adwin: Adwin = Adwin()
    changes: tuple[ErrorChange, ...] = ()


def changes_from_json(content: bytes) -> ErrorChanges:
    """Read a recorded state back; `IntegrityError` if it is none."""
    return read_recorded(ErrorChanges, content, "error changes", expected="a recorded state")


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysToFeed:
    """What is to be fed next.

    Attributes
    ----------
    days
        In order.
    left_out
        Those of them that are not settled and hold up no longer.
    anew
        Why everything is fed from the beginning; empty if only what is new.
    """

    days: tuple[date, ...]
    left_out: frozenset[date]
    anew: str = ""


def days_to_feed(
    state: ErrorChanges, counts: Sequence[DayCount], *, due_before: date, policy: ChangePolicy
) -> DaysToFeed:
    """Which days come next.

    A day counts once it is over, by the answers as well as by the clock, its labels are due, and
    enough of them are known.

    Parameters
    ----------
    counts
        Days with answers of the model, in order.
    due_before
        First day of which a label may still be due.
    """
    by_day = {one.day: one for one in counts}
    fed = {one.day: one for one in state.fed}
    last = max(fed, default=date.min)
    anew = ""
    for day, count in by_day.items():
        known = fed.get(day)
        if known is None and day < last:
            anew = f"{day} has answers now and had none"
        elif known is not None and count.labelled > known.labelled * (1 + LATE_SHARE):
            anew = f"{day} has {count.labelled} labels and was counted with {known.labelled}"
        if anew:
            break
    over = [one for one in counts[:-1] if one.day < due_before and (anew or one.day > last)]
    settled = {one.day for one in over if one.labelled >= policy.settled_share * one.answers}
    newest = max(settled, default=date.min)
    days, left_out = [], set()
    for one in over:
        if one.day not in settled:
            if (newest - one.day).days < policy.patience_days:
                break
            left_out.add(one.day)
        days.append(one.day)
    return DaysToFeed(days=tuple(days), left_out=frozenset(left_out), anew=anew)


def fed_with(
    state: ErrorChanges,
    day: date,
    *,
    labelled: int,
    errors: Floats | None,
    policy: ChangePolicy,
) -> ErrorChanges:
    """The state after one more day.

    Parameters
    ----------
    labelled
        Labels that the day has, scored or not.
    errors
        Squared errors of its answers in the order of their events, shape (n,), each from 0 to 1;
        None or empty leaves the day out.
    """
    values: list[float] = []
    if errors is not None and len(errors):
        values = [float(np.mean(errors))] if policy.unit == "day" else errors.tolist()
    page_hinkley, adwin, changes = state.page_hinkley, state.adwin, list(state.changes)
    for value in values:
        page_hinkley = page_hinkley.after(value, policy.page_hinkley)
        if page_hinkley.changed:
            changes.append(
                ErrorChange(detector="page_hinkley", day=day, before=page_hinkley.mean, after=value)
            )
        adwin = adwin.after(value / policy.adwin_range, policy.adwin)
        if adwin.older_mean is not None and adwin.newer_mean is not None:
            changes.append(
                ErrorChange(
                    detector="adwin",
                    day=day,
                    before=adwin.older_mean * policy.adwin_range,
                    after=adwin.newer_mean * policy.adwin_range,
                )
            )
    mean = float(np.mean(values)) if values else None
    return state.model_copy(
        update={
            "fed": (
                *state.fed,
                FedDay(
                    day=day,
                    labelled=labelled,
                    error=mean if mean is not None and isfinite(mean) else None,
                ),
            ),
            "n": state.n + len(values),
            "page_hinkley": page_hinkley,
            "adwin": adwin,
            "changes": tuple(changes),
        }
    )


def kept_since(state: ErrorChanges, counts: Mapping[date, DayCount]) -> ErrorChanges:
    """Without the days whose answers are no longer kept: they cannot be compared any more."""
    first = min(counts, default=date.max)
    return state.model_copy(
        update={
            "fed": tuple(one for one in state.fed if one.day >= first),
            "changes": tuple(one for one in state.changes if one.day >= first),
        }
    )
