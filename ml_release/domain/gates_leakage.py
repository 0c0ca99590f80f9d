"""Whether a single column tells the label too well, or none tells anything of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.verdict import Finding, Outcome, compare

FOLLOW = "labels_follow_some_column"
DESCRIPTIONS = {
    FOLLOW: "At least one column tells something of the labels.",
    "no_single_feature_tells_all": "No single column separates the labels better than its limit.",
}


class LeakagePolicy(BaseModel):
    """When a column is suspected to hold what is known only afterwards.

    Attributes
    ----------
    single_auc_limit_score
        Allowed AUC of one column alone, whichever its direction.
    best_auc_floor_score
        AUC that the best single column has to have; None: not judged. Labels that belong to other
        rows, as after a join that went wrong, keep their rate and follow nothing.
    minimum_per_class
        Fewer rows of either label, among those that the column has a value for, tell nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    single_auc_limit_score: Annotated[float, Field(gt=0.5, le=1)] = 0.85
    best_auc_floor_score: Annotated[float, Field(gt=0.5, lt=1)] | None = None
    minimum_per_class: Annotated[int, Field(ge=2)] = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnAuc:
    """How well one column alone separates the labels.

    Attributes
    ----------
    auc_score
        The larger of the AUC and its mirror image; None where it is not defined.
    positives, negatives
        Rows of either label that stand behind it.
    example
        The rows at the end of the column where the labels are purest.
    """

    column: str
    how: str
    auc_score: float | None
    positives: int
    negatives: int
    example: str = ""


def judge_leakage(
    partition: str,
    columns: tuple[ColumnAuc, ...],
    policy: LeakagePolicy,
    *,
    positives: int,
    negatives: int,
) -> tuple[Finding, ...]:
    """Hold every column's AUC against the limit, and the best one against the floor.

    Too few labels of either class in the partition are inconclusive. A column that has too few
    values of its own is shown without a vote: what is hardly ever there tells a model little, and
    its missing values are counted as a column of their own.
    """
    rule, enough = "no_single_feature_tells_all", policy.minimum_per_class
    rules = (rule,) if policy.best_auc_floor_score is None else (FOLLOW, rule)
    if not columns or min(positives, negatives) < enough:
        return tuple(
            Finding(
                rule=of,
                subject=partition,
                outcome=Outcome.INCONCLUSIVE,
                n=positives + negatives,
                detail=(
                    f"expected at least {enough} rows of either label, found {positives} of label 1"
                    f" and {negatives} of label 0"
                ),
            )
            for of in rules
        )
    return _follow(columns, policy) + tuple(
        compare(
            rule=rule,
            subject=f"{found.column} ({found.how})",
            observed=found.auc_score if few >= enough else None,
            limit=policy.single_auc_limit_score,
            bound="at most",
            unit="AUC",
            n=found.positives + found.negatives,
            votes=few >= enough,
            detail=found.example if few >= enough else f"{few} rows of the rarer label",
        )
        for found in columns
        for few in (min(found.positives, found.negatives),)
    )


def _follow(columns: tuple[ColumnAuc, ...], policy: LeakagePolicy) -> tuple[Finding, ...]:
    if policy.best_auc_floor_score is None:
        return ()
    enough = [
        found
        for found in columns
        if found.auc_score is not None
        and min(found.positives, found.negatives) >= policy.minimum_per_class
    ]
    best = max(enough, key=lambda found: found.auc_score or 0.0, default=None)
    return (
        compare(
            rule=FOLLOW,
            subject="no column" if best is None else f"best column {best.column} ({best.how})",
            observed=None if best is None else best.auc_score,
            limit=policy.best_auc_floor_score,
            bound="at least",
            unit="AUC",
            n=None if best is None else best.positives + best.negatives,
        ),
    )
