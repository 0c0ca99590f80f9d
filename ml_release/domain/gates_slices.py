"""Whether the candidate is good enough on every part of the data, and on none behind the champion.

A mean over all rows hides a slice that got worse. Slices are judged at a confidence that holds for
all of them together, and only with rows enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.verdict import Finding, Outcome, compare

if TYPE_CHECKING:
    from ml_release.domain.slice_scores import SliceScore, SliceTable

FLOOR = "slices_are_good_enough"
CHAMPION = "no_slice_falls_behind"
DESCRIPTIONS = {
    FLOOR: "No declared slice is shown to be below the limit, at a confidence for all together.",
    CHAMPION: "On no declared slice is the candidate shown to be worse than the champion.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

_NAMED = 10


class SlicePolicy(BaseModel):
    """What each slice has to reach, in the primary score.

    A slice is held to be bad when even the better end of its interval misses the limit: small
    slices are noisy, and "shown to be good" would hold every release for want of rows. The
    estimate is shown beside it.

    Attributes
    ----------
    minimum_rows, minimum_per_class
        Slices with fewer rows, or fewer rows of either class, are shown and not judged.
    limit
        Floor of a score, ceiling of a loss or error.
    champion_margin
        How much worse than the champion is acceptable on a slice.
    maximum_values
        Values of a column that become slices, the most frequent first; the rest is one slice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_rows: Annotated[int, Field(ge=2)] = 500
    minimum_per_class: Annotated[int, Field(ge=0)] = 30
    limit: float
    champion_margin: Annotated[float, Field(ge=0)]
    maximum_values: Annotated[int, Field(ge=2)] = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceEvidence:
    """The primary score per slice.

    Attributes
    ----------
    candidate
        None if the line declares no slices.
    against_champion
        Candidate minus champion per slice; None without a champion that could be scored.
    champion_problem
        Why there is a champion and no comparison with it.
    """

    candidate: SliceTable | None
    against_champion: SliceTable | None
    champion_problem: str = ""


def judge_slices(
    evidence: SliceEvidence, policy: SlicePolicy, *, greater_is_better: bool
) -> tuple[Finding, ...]:
    """Hold each slice against the limit, and against the champion."""
    return (
        *_judge(FLOOR, evidence.candidate, policy.limit, greater_is_better=greater_is_better),
        *_judge_champion(evidence, policy, greater_is_better=greater_is_better),
    )


def _judge_champion(
    evidence: SliceEvidence, policy: SlicePolicy, *, greater_is_better: bool
) -> tuple[Finding, ...]:
    if evidence.against_champion is not None:
        limit = -policy.champion_margin if greater_is_better else policy.champion_margin
        return _judge(
            CHAMPION, evidence.against_champion, limit, greater_is_better=greater_is_better
        )
    lost = evidence.champion_problem
    return (
        Finding(
            rule=CHAMPION,
            subject="champion" if lost else "no champion",
            outcome=Outcome.INCONCLUSIVE if lost else Outcome.PASS,
            detail=lost or "no version is declared yet",
        ),
    )


def _judge(
    rule: str, table: SliceTable | None, limit: float, *, greater_is_better: bool
) -> tuple[Finding, ...]:
    judged = [] if table is None else [row for row in table.rows if row.judged]
    if table is None or not judged:
        detail = (
            "the line declares no slices"
            if table is None
            else "no slice has rows enough to be judged"
        )
        return (Finding(rule=rule, subject="slices", outcome=Outcome.INCONCLUSIVE, detail=detail),)
    left = [_name(row) for row in table.rows if not row.judged]
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    note = f"not judged for want of rows: {', '.join(left[:_NAMED])}{more}" if left else ""
    return tuple(
        compare(
            rule=rule,
            subject=_name(row),
            observed=row.interval.high if greater_is_better else row.interval.low,
            limit=limit,
            bound="at least" if greater_is_better else "at most",
            unit=row.score,
            n=row.n,
            detail="; ".join(
                part
                for part in (
                    f"better end of the {table.confidence_each * 100:.4g}% interval of"
                    f" {row.interval.estimate:.4f}",
                    note if position == 0 else "",
                )
                if part
            ),
        )
        for position, row in enumerate(judged)
    )


def _name(row: SliceScore) -> str:
    return f"{row.column} {'missing' if row.value is None else row.value}"
