"""Whether the partition holds personal data that the line did not declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.personal_data import KINDS
from ml_release.domain.verdict import Finding, Outcome

DESCRIPTIONS = {
    "no_personal_data": "No column holds personal data that the line did not declare.",
}


class PersonalDataPolicy(BaseModel):
    """Where personal data may be.

    Attributes
    ----------
    allowed
        Column to the kinds of personal data it may hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _kinds_are_known(self) -> Self:
        unknown = sorted({kind for kinds in self.allowed.values() for kind in kinds} - set(KINDS))
        if unknown:
            message = f"allowed: expected kinds of {list(KINDS)}, found {unknown}"
            raise ValueError(message)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalColumn:
    """One kind of personal data in one column.

    Attributes
    ----------
    rows
        Rows whose value has the kind's form; None where the name of the column says so.
    example
        One of them, masked.
    """

    column: str
    kind: str
    rows: int | None
    example: str


def judge_privacy(
    partition: str,
    found: tuple[PersonalColumn, ...] | None,
    policy: PersonalDataPolicy,
    *,
    rows: int,
) -> tuple[Finding, ...]:
    """Every kind found in a column needs a declaration; nothing found in no rows shows nothing."""
    rule = "no_personal_data"
    if not found:
        seen = found is not None and rows > 0
        return (
            Finding(
                rule=rule,
                subject=partition,
                outcome=Outcome.PASS if seen else Outcome.INCONCLUSIVE,
                n=rows,
                detail="" if seen else "no rows, nothing to look at",
            ),
        )
    return tuple(
        Finding(
            rule=rule,
            subject=f"{hit.column}: {hit.kind}",
            outcome=Outcome.PASS if allowed else Outcome.FAIL,
            observed=None if hit.rows is None else float(hit.rows),
            limit=None if allowed else 0.0,
            unit="rows",
            n=rows,
            detail=("declared as allowed; " if allowed else "")
            + ("the name of the column says so" if hit.rows is None else hit.example),
        )
        for hit in found
        for allowed in (hit.kind in policy.allowed.get(hit.column, ()),)
    )
