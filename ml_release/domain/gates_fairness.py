"""Whether groups of people are treated alike, as far as the line declares that they have to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.fairness import MEASURES
from ml_release.domain.verdict import Finding, Outcome, compare

if TYPE_CHECKING:
    from ml_release.domain.fairness import FairnessMeasure
    from ml_release.domain.intervals import Interval

RULE = "groups_are_treated_alike"
DESCRIPTIONS = {
    RULE: "Gaps and ratios between declared groups keep their limits.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""


class FairnessPolicy(BaseModel):
    """Limits between groups of each sensitive column.

    Attributes
    ----------
    limits
        Measure (see `ml_release.domain.fairness.MEASURES`) to limit: the most a difference, the
        least a ratio may be.
    minimum_rows
        Rows a group needs below the fraction line of a rate; smaller groups are named, not judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    limits: Annotated[Mapping[str, Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]
    minimum_rows: Annotated[int, Field(ge=1)] = 200

    @model_validator(mode="after")
    def _measures_are_known(self) -> Self:
        unknown = sorted(set(self.limits) - set(MEASURES))
        if unknown:
            message = f"fairness limits: expected measures of {sorted(MEASURES)}, found {unknown}"
            raise ValueError(message)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMeasure:
    """One measure over the groups of one column, with its interval."""

    column: str
    measure: FairnessMeasure
    interval: Interval


def judge_fairness(
    measures: tuple[GroupMeasure, ...], policy: FairnessPolicy
) -> tuple[Finding, ...]:
    """Hold each measure's estimate against its limit, the interval beside it.

    The estimate and not an end of the interval: a gap that is there on the rows is a gap that
    these people had, whether or not more rows would have shown less of it. Every column is held
    against every limit; a measure that was not taken is inconclusive, one without a limit is left
    out.
    """
    if not measures:
        detail = "the line declares no sensitive column, or no group could be counted"
        return (Finding(rule=RULE, subject="groups", outcome=Outcome.INCONCLUSIVE, detail=detail),)
    taken = {(found.column, found.measure.name): found for found in measures}
    return tuple(
        _judge(column, name, taken.get((column, name)), limit)
        for column in dict.fromkeys(found.column for found in measures)
        for name, limit in policy.limits.items()
    )


def _judge(column: str, name: str, found: GroupMeasure | None, limit: float) -> Finding:
    is_ratio = MEASURES[name][0] == "ratio"
    subject = f"{column}: {name.replace('_', ' ')}"
    if found is None:
        detail = "it was not measured"
        return Finding(rule=RULE, subject=subject, outcome=Outcome.INCONCLUSIVE, detail=detail)
    measure = found.measure
    words = []
    if not isfinite(measure.value):
        words.append(f"it is not known, groups compared: {_names(measure.compared) or 'none'}")
    if isfinite(found.interval.low) and isfinite(found.interval.high):
        words.append(f"interval {found.interval.low:.3g} to {found.interval.high:.3g}")
    else:
        words.append("its interval is not known")
    if measure.least and measure.greatest:
        words.append(f"from {_names(measure.least)} to {_names(measure.greatest)}")
    if measure.left_out:
        words.append(f"too few rows to judge: {_names(measure.left_out)}")
    return compare(
        rule=RULE,
        subject=subject,
        observed=measure.value,
        limit=limit,
        bound="at least" if is_ratio else "at most",
        unit="ratio" if is_ratio else "difference of rates",
        n=measure.n,
        detail="; ".join(words),
    )


def _names(names: tuple[str | None, ...]) -> str:
    return ", ".join("missing" if name is None else name for name in names)
