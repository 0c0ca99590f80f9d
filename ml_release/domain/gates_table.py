"""Whether a partition is whole as a table: schema, keys, volume, missing values, joins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.verdict import Finding, Outcome, compare

DESCRIPTIONS = {
    "schema_is_valid": "Types, ranges and allowed values are those the line declares.",
    "keys_are_unique": "No two rows have the same key.",
    "volume_is_expected": "The number of rows is in the declared band and near that of others.",
    "nulls_are_within_limits": "No column misses more values than its limit.",
    "joins_are_complete": "Hardly a row goes without its row of a companion table.",
}

Share = Annotated[float, Field(ge=0, le=1)]


class JoinPolicy(BaseModel):
    """How many rows may go without a row of one companion table.

    Attributes
    ----------
    witness
        A column of the companion that is never missing where the join found a row.
    unmatched_share_limit
        Allowed share of rows for which it found none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    witness: str
    unmatched_share_limit: Share = 0.0


class TablePolicy(BaseModel):
    """Limits on the rows of a partition as a table.

    Attributes
    ----------
    minimum_rows, maximum_rows
        Band of rows per partition.
    volume_change_limit
        Allowed change of rows against the median of the other partitions, as a fraction of it.
        Applied once at least two others are known.
    missing_share_limit
        Allowed share of missing values in a column that ``missing_share_limits`` does not name.
    missing_share_limits
        The same, per column.
    joins
        Companion table to what its join has to keep; one that is not named is not judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_rows: Annotated[int, Field(ge=1)]
    maximum_rows: Annotated[int, Field(ge=1)]
    volume_change_limit: Annotated[float, Field(gt=0)] = 0.3
    missing_share_limit: Share = 0.0
    missing_share_limits: Mapping[str, Share] = Field(default_factory=dict)
    joins: Mapping[str, JoinPolicy] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _band_is_not_empty(self) -> Self:
        if self.minimum_rows > self.maximum_rows:
            message = (
                f"minimum_rows: expected at most maximum_rows {self.maximum_rows}, found"
                f" {self.minimum_rows}"
            )
            raise ValueError(message)
        return self

    def missing_limit(self, column: str) -> float:
        """The allowed share of missing values of one column."""
        return self.missing_share_limits.get(column, self.missing_share_limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaBreach:
    """Rows of one column that break one rule of the schema.

    ``rows`` is None where the rule is about the table (a missing column), not about rows.
    """

    column: str
    rule: str
    rows: int | None
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """Rows for which a companion table held no row; None where the witness column is missing."""

    companion: str
    rows: int | None
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableEvidence:
    """What was counted on one partition as a table.

    Attributes
    ----------
    missing
        Missing values per column.
    missing_examples
        Key of a row that misses the value, per column that misses any.
    duplicate_rows
        Rows whose key another row has too, each beyond the first.
    other_rows
        Rows of the line's other partitions.
    """

    rows: int
    missing: Mapping[str, int]
    missing_examples: Mapping[str, str]
    duplicate_rows: int | None
    duplicate_example: str
    breaches: tuple[SchemaBreach, ...]
    other_rows: tuple[int, ...]
    unmatched: tuple[Unmatched, ...] = ()


def judge_table(
    partition: str, evidence: TableEvidence, policy: TablePolicy
) -> tuple[Finding, ...]:
    """Hold the partition as a table against the policy."""
    return (
        *_schema(partition, evidence),
        _keys(partition, evidence),
        *_volume(partition, evidence, policy),
        *_missing(evidence, policy),
        *_joins(evidence, policy),
    )


def shown(example: str) -> str:
    """An example as part of a finding's detail; nothing where there is none."""
    return example and f"for example {example}"


def _schema(partition: str, evidence: TableEvidence) -> tuple[Finding, ...]:
    rule = "schema_is_valid"
    if not evidence.breaches:
        return (
            Finding(
                rule=rule,
                subject=partition,
                outcome=Outcome.PASS if evidence.rows else Outcome.INCONCLUSIVE,
                n=evidence.rows,
                detail="" if evidence.rows else "an empty partition shows nothing",
            ),
        )
    return tuple(
        Finding(
            rule=rule,
            subject=breach.column,
            outcome=Outcome.FAIL,
            observed=None if breach.rows is None else float(breach.rows),
            limit=0.0,
            unit="rows",
            n=evidence.rows,
            detail=f"{breach.rule}; for example {breach.example}",
        )
        for breach in evidence.breaches
    )


def _keys(partition: str, evidence: TableEvidence) -> Finding:
    return compare(
        rule="keys_are_unique",
        subject=partition,
        observed=None if evidence.duplicate_rows is None else float(evidence.duplicate_rows),
        limit=0.0,
        bound="at most",
        unit="rows",
        n=evidence.rows,
        detail=shown(evidence.duplicate_example),
    )


def _volume(partition: str, evidence: TableEvidence, policy: TablePolicy) -> tuple[Finding, ...]:
    rule, subject, rows = "volume_is_expected", partition, float(evidence.rows)
    findings = [
        compare(
            rule=rule,
            subject=subject,
            observed=rows,
            limit=float(policy.minimum_rows),
            bound="at least",
            unit="rows",
        ),
        compare(
            rule=rule,
            subject=subject,
            observed=rows,
            limit=float(policy.maximum_rows),
            bound="at most",
            unit="rows",
        ),
    ]
    if len(evidence.other_rows) >= 2:  # noqa: PLR2004 (one other partition is no typical volume)
        typical = median(evidence.other_rows)
        findings.append(
            compare(
                rule=rule,
                subject=f"{subject} against the median of {len(evidence.other_rows)} others",
                observed=abs(rows - typical) / typical if typical else None,
                limit=policy.volume_change_limit,
                bound="at most",
            )
        )
    return tuple(findings)


def _missing(evidence: TableEvidence, policy: TablePolicy) -> tuple[Finding, ...]:
    return tuple(
        compare(
            rule="nulls_are_within_limits",
            subject=column,
            observed=count / evidence.rows if evidence.rows else float("nan"),
            limit=policy.missing_limit(column),
            bound="at most",
            n=evidence.rows,
            detail=shown(evidence.missing_examples.get(column, "")) if beyond else "",
        )
        for column, count in evidence.missing.items()
        for beyond in (count > policy.missing_limit(column) * evidence.rows,)
    )


def _joins(evidence: TableEvidence, policy: TablePolicy) -> tuple[Finding, ...]:
    found = {unmatched.companion: unmatched for unmatched in evidence.unmatched}
    findings = []
    for companion, join in policy.joins.items():
        rows = found[companion].rows if companion in found else None
        findings.append(
            compare(
                rule="joins_are_complete",
                subject=companion,
                observed=rows / evidence.rows if rows is not None and evidence.rows else None,
                limit=join.unmatched_share_limit,
                bound="at most",
                n=evidence.rows,
                detail=shown(found[companion].example) if rows else "",
            )
        )
    return tuple(findings)
