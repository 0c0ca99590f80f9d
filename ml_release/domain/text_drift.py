"""Whether the texts that landed newest are told apart from those a version learned beside.

A classifier that is asked from which of two samples a text comes can only guess where nothing has
moved; its out-of-fold AUC is the distance of the two, from 0.5 (none) to 1, and needs no
embedding. Neighbouring months are told apart a little without any change in the world, so the
limit is at least what the parts of the reference itself reach against one another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.recorded import Recorded, read_recorded
from ml_release.domain.text_words import TellingWord
from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JUDGE = "text_drift/1"
SHIFT = "text_has_not_shifted"
PRESENT = "text_is_present"
DESCRIPTIONS = {
    SHIFT: "The newest texts cannot be told from the reference's beyond what its own parts can.",
    PRESENT: "The share of rows without a text has not grown beyond its limit.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""
CHANCE = 0.5


class TextDriftPolicy(BaseModel):
    """How text columns are sampled and compared.

    Attributes
    ----------
    sample_rows
        Texts of the reference that travel with a version, per column.
    characters
        Of each text; what is beyond is not compared.
    minimum_rows
        Texts each side needs.
    folds
        A text is judged by a classifier that was fitted on the others' folds.
    auc_limit
        Least AUC that counts as a shift worth telling.
    contiguous_factor
        Times the largest distance from 0.5 that a part of the reference has to the rest of it.
    alpha
        Of the p-value, adjusted by Holm over the columns.
    missing_increase_limit
        How much larger the share of rows without a text may be than in the reference.
    words
        How many of the words that tell the two apart are shown for each side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sample_rows: Annotated[int, Field(ge=50, le=20_000)] = 2000
    characters: Annotated[int, Field(ge=10, le=10_000)] = 500
    minimum_rows: Annotated[int, Field(ge=20)] = 200
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    auc_limit: Annotated[float, Field(ge=0.5, lt=1)] = 0.6
    contiguous_factor: Annotated[float, Field(ge=1)] = 1.1
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.01
    missing_increase_limit: Annotated[float, Field(ge=0, le=1)] = 0.05
    words: Annotated[int, Field(ge=0, le=50)] = 10
    seed: int = 20130401

    def limit_over(self, contiguous_auc: float | None) -> float:
        """The limit where parts of the reference reach an AUC against the rest of it.

        >>> round(TextDriftPolicy().limit_over(0.7), 3), TextDriftPolicy().limit_over(None)
        (0.72, 0.6)
        """
        if contiguous_auc is None:
            return self.auc_limit
        own = CHANCE + self.contiguous_factor * (contiguous_auc - CHANCE)
        return min(1.0, max(self.auc_limit, own))


class TextShift(Recorded):
    """One text column of the newest landed rows against the reference of a version.

    Attributes
    ----------
    reference_n, current_n
        Texts compared.
    reference_missing, current_missing
        Shares of rows without a text; None without a row.
    auc, low, high
        Out of fold, with DeLong's interval; None with too few texts.
    contiguous_auc
        Largest AUC of a partition of the reference against the rest of it; None of one partition.
    p_adjusted
        One-sided, of the two being one; by Holm over the columns.
    """

    column: str
    reference_n: int
    current_n: int
    reference_missing: float | None
    current_missing: float | None
    auc: float | None = None
    low: float | None = None
    high: float | None = None
    contiguous_auc: float | None = None
    limit: float | None = None
    p_adjusted: float | None = None
    words: tuple[TellingWord, ...] = ()
    problem: str = ""


class TextDriftRecord(Recorded):
    """What the comparison of a version's text columns saw.

    Attributes
    ----------
    partition, snapshot_digest
        The landed rows; None where no partition has landed since the version's window.
    """

    line: str
    version: int
    model_digest: str
    partition: str | None
    snapshot_digest: str | None
    shifts: tuple[TextShift, ...]


def text_record_from_json(content: bytes) -> TextDriftRecord:
    """Read a record back; `IntegrityError` if it is none."""
    return read_recorded(TextDriftRecord, content, "text drift", expected="a recorded comparison")


def judge_text_drift(
    record: TextDriftRecord,
    policy: TextDriftPolicy,
    *,
    columns: Sequence[str],
    subject_digest: str,
    evidence: Mapping[str, str],
) -> Verdict:
    """Hold every declared text column against its limit.

    A shift has to be both large (above the limit) and shown (adjusted p at most ``alpha``). Large
    but not shown is inconclusive, and so is a column that was not compared.
    """
    found = {shift.column: shift for shift in record.shifts}
    return Verdict(
        judge=JUDGE,
        line=record.line,
        subject_digest=subject_digest,
        evidence=evidence,
        findings=tuple(
            finding
            for column in columns
            for finding in _findings(column, found.get(column), record, policy)
        ),
    )


def _findings(
    column: str, shift: TextShift | None, record: TextDriftRecord, policy: TextDriftPolicy
) -> tuple[Finding, ...]:
    if shift is None:
        detail = (
            "no rows have landed since those the version learned from"
            if record.partition is None
            else "the version carries no sample of this column; train it again"
        )
        return tuple(
            Finding(rule=rule, subject=column, outcome=Outcome.INCONCLUSIVE, detail=detail)
            for rule in DESCRIPTIONS
        )
    known = shift.current_missing is not None and shift.reference_missing is not None
    return (
        _shift(shift, policy, partition=record.partition),
        compare(
            rule=PRESENT,
            subject=column,
            observed=shift.current_missing - shift.reference_missing
            if shift.current_missing is not None and shift.reference_missing is not None
            else None,
            limit=policy.missing_increase_limit,
            bound="at most",
            unit="share of rows",
            detail=f"missing in {shift.current_missing:.3g} of the rows, in the reference in"
            f" {shift.reference_missing:.3g}"
            if known
            else "",
        ),
    )


def _shift(shift: TextShift, policy: TextDriftPolicy, *, partition: str | None) -> Finding:
    words = [shift.problem] if shift.problem else []
    if shift.auc is None or shift.limit is None or shift.p_adjusted is None:
        outcome = Outcome.INCONCLUSIVE
    elif shift.auc <= shift.limit:
        outcome = Outcome.PASS
    else:
        outcome = Outcome.FAIL if shift.p_adjusted <= policy.alpha else Outcome.INCONCLUSIVE
    if shift.p_adjusted is not None:
        words.append(f"adjusted p {shift.p_adjusted:.2g}")
    if shift.contiguous_auc is not None:
        words.append(f"parts of the reference reach {shift.contiguous_auc:.3g} against the rest")
    for side, sign in (("more now", 1), ("fewer now", -1)):
        named = [one.word for one in shift.words if one.change * sign > 0]
        if named:
            words.append(f"{side}: {', '.join(named)}")
    return Finding(
        rule=SHIFT,
        subject=shift.column,
        outcome=outcome,
        observed=shift.auc,
        limit=shift.limit,
        bound="at most",
        unit=f"AUC of {partition} against the reference" if partition else "AUC",
        n=shift.current_n,
        detail="; ".join(words),
    )
