"""Whether a candidate is no worse where its champion was tested before.

Only rows that neither of the two was fitted on can compare them, and where training windows follow
one another there are few or none: the champion's test days are then days the candidate has learned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_release.domain.gates_comparison import judge_comparison, no_other, unknown

if TYPE_CHECKING:
    from ml_release.domain.gates_comparison import Comparison
    from ml_release.domain.verdict import Finding

RULE = "no_worse_on_old_window"
DESCRIPTIONS = {
    RULE: "Not worse where the champion was tested, on rows that neither was fitted on.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldWindow:
    """Candidate and champion where the champion was tested.

    Attributes
    ----------
    days
        The champion's holdout, for people.
    all_days, days_left, rows_left
        Its days, and what is left of them that the candidate was not fitted on; labelled rows.
    comparison
        On those rows; None where there are none.
    missing
        Why rows are not at hand that the candidate was not fitted on; empty if they are.
    problem
        Why it is not known what the champion was fitted on, or answers; empty if it is.
    """

    version: int
    days: str
    all_days: int = 0
    days_left: int = 0
    rows_left: int = 0
    comparison: Comparison | None = None
    missing: str = ""
    problem: str = ""


def judge_old_window(
    old: OldWindow | None,
    *,
    primary: str,
    margin: float,
    minimum_rows: int,
    confidence: float,
    has_champion: bool,
) -> Finding:
    """Hold the difference on what is left of the old window against the margin.

    Where nothing or too little is left the finding is inconclusive and has no vote: that is how it
    usually is, and nobody has declared otherwise. What is not known of the champion has one.

    Parameters
    ----------
    old
        None if there is no champion.
    primary, margin
        As the champion is held against on the holdout.
    """
    if old is None and not has_champion:
        return no_other(RULE, "champion")
    finding = judge_comparison(
        RULE,
        "champion",
        None if old is None or old.problem else old.comparison,
        primary=primary,
        margin=margin,
        minimum_rows=minimum_rows,
        confidence=confidence,
    )
    if old is None:
        return unknown(finding, "it was not looked at", subject="champion")
    subject = f"champion version {old.version}, {old.days}"
    if old.problem:
        return unknown(finding, old.problem, subject=subject)
    if old.missing or old.rows_left < minimum_rows:
        # A remark: nobody declared that these days are kept, so that there are none is no fault.
        words = (
            f"nothing was compared there: of its {old.all_days} days the candidate was not fitted"
            f" on {old.days_left}, which leaves {old.rows_left} rows, expected at least"
            f" {minimum_rows}"
        )
        declare = "declare days under evaluation.sets.spans that no model is fitted on"
        detail = "; ".join(word for word in (words, old.missing, declare) if word)
        return replace(unknown(finding, detail, subject=subject), votes=False, n=old.rows_left)
    if old.comparison is None:
        return unknown(finding, "it was not measured", subject=subject)
    left = f"{old.days_left} of {old.all_days} days"
    return replace(finding, subject=subject, detail=f"{left}; {finding.detail}")
