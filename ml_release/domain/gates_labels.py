"""Whether labels are known, known not too early, and as frequent as they should be."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.gates_table import shown
from ml_release.domain.intervals import rate_interval
from ml_release.domain.verdict import Finding, Outcome, compare

DESCRIPTIONS = {
    "labels_are_matured": "The label delay has passed for every row, and then its label is known.",
    "classes_are_balanced": "The share of label 1 is in the declared band and near that of others.",
}


class BalancePolicy(BaseModel):
    """What share of label 1 is believed.

    A limit is held if the whole Wilson interval keeps it, broken if the whole interval breaks it;
    between the two the rows do not decide.

    Attributes
    ----------
    minimum_rate, maximum_rate
        Band of the share of label 1.
    rate_change_limit
        Allowed difference from the median share of the reference partitions, in share points.
    confidence
        Of the interval, two-sided.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_rate: Annotated[float, Field(ge=0, le=1)]
    maximum_rate: Annotated[float, Field(ge=0, le=1)]
    rate_change_limit: Annotated[float, Field(gt=0, le=1)]
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.99

    @model_validator(mode="after")
    def _band_is_not_empty(self) -> Self:
        if self.minimum_rate >= self.maximum_rate:
            message = (
                f"minimum_rate: expected less than maximum_rate {self.maximum_rate}, found"
                f" {self.minimum_rate}"
            )
            raise ValueError(message)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelEvidence:
    """What was counted on the labels of one partition.

    Attributes
    ----------
    positives, known
        Rows with label 1; rows with label 0 or 1.
    immature_rows, immature_known
        Rows whose label delay has not passed; those of them that have a label all the same.
    matured_rows, matured_missing
        Rows whose label delay has passed; those of them without a label.
    """

    positives: int
    known: int
    immature_rows: int
    immature_known: int
    immature_example: str
    matured_rows: int
    matured_missing: int
    missing_example: str


def judge_maturity(
    partition: str, evidence: LabelEvidence | None, *, missing_limit: float
) -> tuple[Finding, ...]:
    """Hold the labels against the time at which they can be known.

    Rows that are not due hold the partition as inconclusive: it is to be judged again later. A
    label that is there before it can be known is a fault.
    """
    rule, immature = "labels_are_matured", 0 if evidence is None else evidence.immature_rows
    total = None if evidence is None else evidence.immature_rows + evidence.matured_rows
    due = Finding(
        rule=rule,
        subject=f"{partition}: label not due yet",
        outcome=Outcome.PASS if total and not immature else Outcome.INCONCLUSIVE,
        observed=None if evidence is None else float(immature),
        limit=0.0,
        unit="rows",
        n=total,
        detail=(evidence.immature_example and f"judge again later; {_eg(evidence)}")
        if evidence
        else "",
    )
    early = compare(
        rule=rule,
        subject=f"{partition}: label known before it is due",
        observed=None if evidence is None else float(evidence.immature_known),
        limit=0.0,
        bound="at most",
        unit="rows",
        n=total,
        detail=_eg(evidence) if evidence and evidence.immature_known else "",
    )
    matured = 0 if evidence is None else evidence.matured_rows
    known = compare(
        rule=rule,
        subject=f"{partition}: label due and missing",
        observed=evidence.matured_missing / matured if evidence and matured else None,
        limit=missing_limit,
        bound="at most",
        n=matured,
        detail=shown(evidence.missing_example) if evidence else "",
    )
    return due, early, known


def _eg(evidence: LabelEvidence) -> str:
    return shown(evidence.immature_example)


def judge_balance(
    partition: str,
    evidence: LabelEvidence | None,
    policy: BalancePolicy | None,
    *,
    reference_rates: tuple[float, ...],
) -> tuple[Finding, ...]:
    """Hold the share of label 1 against the band and the reference; nothing without a policy."""
    if policy is None:
        return ()
    positives, known = (0, 0) if evidence is None else (evidence.positives, evidence.known)
    interval = rate_interval(positives, known, confidence=policy.confidence)
    low, high = interval.low, interval.high
    rate = positives / known if known else None
    described = f"{policy.confidence:.0%} interval {low:.4f} to {high:.4f}" if known else ""
    rule = "classes_are_balanced"
    findings = [
        Finding(
            rule=rule,
            subject=f"{partition}: share of label 1",
            outcome=_held(low >= policy.minimum_rate, broken=high < policy.minimum_rate),
            observed=rate,
            limit=policy.minimum_rate,
            bound="at least",
            n=known,
            detail=described,
        ),
        Finding(
            rule=rule,
            subject=f"{partition}: share of label 1",
            outcome=_held(high <= policy.maximum_rate, broken=low > policy.maximum_rate),
            observed=rate,
            limit=policy.maximum_rate,
            n=known,
            detail=described,
        ),
    ]
    if not reference_rates:
        detail = "no other partition has passed yet: nothing to compare with, no vote"
        findings.append(
            Finding(
                rule=rule,
                subject=f"{partition} against the reference",
                outcome=Outcome.INCONCLUSIVE,
                limit=policy.rate_change_limit,
                n=known,
                votes=False,
                detail=detail,
            )
        )
        return tuple(findings)
    typical = median(reference_rates)
    limit = policy.rate_change_limit
    findings.append(
        Finding(
            rule=rule,
            subject=f"{partition} against the median of {len(reference_rates)} others",
            outcome=_held(
                max(typical - low, high - typical) <= limit,
                broken=low > typical + limit or high < typical - limit,
            ),
            observed=None if rate is None else abs(rate - typical),
            limit=limit,
            n=known,
            detail=f"the median is {typical:.4f}; {described}",
        )
    )
    return tuple(findings)


def _held(held: bool, *, broken: bool) -> Outcome:  # noqa: FBT001 (two halves of one question)
    """NaN makes both false: the rows do not decide."""
    if held:
        return Outcome.PASS
    return Outcome.FAIL if broken else Outcome.INCONCLUSIVE
