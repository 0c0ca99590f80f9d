"""Whether history look-ups while serving meet what they look for: known keys, in a fresh table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.identity import digest_of_json
from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

if TYPE_CHECKING:
    from ml_release.domain.performance import WindowRecord

JUDGE = "history_health/1"
DESCRIPTIONS = {
    "history_is_fresh": "Look-ups meet keys, in a table that is not older than declared.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)


class HistoryHealthPolicy(BaseModel):
    """How old a history table may grow, and how many keys it may not know.

    Attributes
    ----------
    age_limit_days
        Largest allowed age of the table at any event of the window, in days. The default is a
        month and four days for the next table to arrive.
    miss_limit
        Allowed share of the window's look-ups that meet no key, as a fraction.
    minimum_rows
        Fewer rows in the window are inconclusive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    age_limit_days: Annotated[int, Field(ge=0)] = 35
    miss_limit: Annotated[float, Field(ge=0, le=1)] = 0.01
    minimum_rows: Annotated[int, Field(ge=1)] = 1000


class HistoryUse(BaseModel):
    """What the history look-ups of a window's answered rows met; two of them add up.

    Attributes
    ----------
    rows
        Answered rows whose record says how many of their look-ups met no key. Those of before this
        was recorded are not among them.
    look_ups, misses
        Of those rows: one look-up per history feature, and those that met no key.
    ages
        Of those rows, the number per age of the table in days. An age is negative for an event
        before the table's day; a row that met no table, or one that does not say its zone, has
        none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(ge=0)
    look_ups: int = Field(ge=0)
    misses: int = Field(ge=0)
    ages: Mapping[int, int]

    @property
    def miss_share(self) -> float | None:
        """Share of look-ups that met no key, from 0 to 1; None without any look-up."""
        return self.misses / self.look_ups if self.look_ups else None

    @property
    def age_largest_days(self) -> int | None:
        """Of the oldest table at its event; None if no age is known."""
        return max(self.ages, default=None)

    @property
    def age_median_days(self) -> float | None:
        """Over the rows that have an age; None if none has one."""
        ages = np.repeat(list(self.ages), list(self.ages.values()))
        return float(np.median(ages)) if len(ages) else None

    @property
    def rows_without_age(self) -> int:
        """Rows that met no table, or one of unknown age."""
        return self.rows - sum(self.ages.values())

    @property
    def rows_before_table(self) -> int:
        """Rows of events before the table's day: it holds what was not known yet."""
        return sum(rows for age, rows in self.ages.items() if age < 0)


def history_use(
    *, misses: npt.NDArray[np.float64], ages: npt.NDArray[np.float64], features: int
) -> HistoryUse:
    """Add up what was recorded.

    Parameters
    ----------
    misses, ages
        As in `ml_release.domain.inference.InferenceRecord`, one per answered row, shape (n,); NaN
        where it is not known.
    features
        Number of history features, each of which every row looked up.
    """
    recorded = np.isfinite(misses)
    days, rows = np.unique(ages[recorded & np.isfinite(ages)], return_counts=True)
    return HistoryUse(
        rows=int(recorded.sum()),
        look_ups=int(recorded.sum()) * features,
        misses=int(misses[recorded].sum()),
        ages=dict(zip(days.astype(np.int64).tolist(), rows.tolist(), strict=True)),
    )


def judge_history(
    window: WindowRecord, *, subject_digest: str, policy: HistoryHealthPolicy
) -> Verdict:
    """Hold a window's look-ups against the policy; what is not known of every row does not pass.

    Parameters
    ----------
    subject_digest
        Digest of the window.
    """
    use = window.history or HistoryUse(rows=0, look_ups=0, misses=0, ages={})
    return Verdict(
        judge=JUDGE,
        line=window.line,
        subject_digest=subject_digest,
        evidence={"policy_digest": digest_of_json(policy.model_dump(mode="json"))},
        findings=(
            _judge_age(use, unrecorded=window.rows - use.rows, policy=policy),
            _judge_misses(use, unrecorded=window.rows - use.rows, policy=policy),
        ),
    )


def _judge_age(use: HistoryUse, *, unrecorded: int, policy: HistoryHealthPolicy) -> Finding:
    found = compare(
        rule="history_is_fresh",
        subject="age of the table",
        observed=use.age_largest_days,
        limit=policy.age_limit_days,
        bound="at most",
        unit="days",
        n=use.rows,
        minimum_n=policy.minimum_rows,
        detail=_joined(
            _too_few(use, unrecorded=unrecorded, policy=policy),
            f"median {use.age_median_days:g} days" if use.ages else "",
            f"{use.rows_without_age} rows met no table, or one of unknown age"
            if use.rows_without_age
            else "",
            f"{use.rows_before_table} rows are of days before the table's"
            if use.rows_before_table
            else "",
        ),
    )
    if use.rows_without_age and found.outcome is Outcome.PASS:
        return replace(found, outcome=Outcome.INCONCLUSIVE)
    return found


def _judge_misses(use: HistoryUse, *, unrecorded: int, policy: HistoryHealthPolicy) -> Finding:
    return compare(
        rule="history_is_fresh",
        subject="keys not met",
        observed=use.miss_share,
        limit=policy.miss_limit,
        bound="at most",
        n=use.rows,
        minimum_n=policy.minimum_rows,
        detail=_joined(
            _too_few(use, unrecorded=unrecorded, policy=policy),
            f"{use.misses} of {use.look_ups} look-ups met no key",
        ),
    )


def _too_few(use: HistoryUse, *, unrecorded: int, policy: HistoryHealthPolicy) -> str:
    return _joined(
        f"expected at least {policy.minimum_rows} rows, found {use.rows}"
        if use.rows < policy.minimum_rows
        else "",
        f"{unrecorded} rows do not say what their look-ups met" if unrecorded else "",
    )


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
