"""Is this snapshot fit to train on? Schema, keys, volume and missing values of one partition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.identity import SnapshotId, digest_of_json
from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

JUDGE = "data_gates/1"
DESCRIPTIONS = {
    "schema_is_valid": "Types, ranges and allowed values are those the line declares.",
    "keys_are_unique": "No two rows have the same key.",
    "volume_is_expected": "The number of rows is in the declared band and near that of others.",
    "nulls_are_within_limits": "No column misses more values than its limit.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)

Share = Annotated[float, Field(ge=0, le=1)]


class DataGatesPolicy(BaseModel):
    """Limits a partition has to keep.

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
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_rows: Annotated[int, Field(ge=1)]
    maximum_rows: Annotated[int, Field(ge=1)]
    volume_change_limit: Annotated[float, Field(gt=0)] = 0.3
    missing_share_limit: Share = 0.0
    missing_share_limits: Mapping[str, Share] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _band_is_not_empty(self) -> Self:
        if self.minimum_rows > self.maximum_rows:
            message = (
                f"minimum_rows: expected at most maximum_rows {self.maximum_rows}, found"
                f" {self.minimum_rows}"
            )
            raise ValueError(message)
        return self


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
class SnapshotEvidence:
    """What was counted on one partition.

    Attributes
    ----------
    missing
        Missing values per column.
    duplicate_rows
        Rows whose key another row has too, each beyond the first.
    other_rows
        Rows of the line's other partitions.
    """

    rows: int
    missing: Mapping[str, int]
    duplicate_rows: int
    duplicate_example: str
    breaches: tuple[SchemaBreach, ...]
    other_rows: tuple[int, ...]


def judge_snapshot(
    snapshot: SnapshotId, evidence: SnapshotEvidence, policy: DataGatesPolicy
) -> Verdict:
    """Hold one partition against the policy."""
    findings = (
        *_schema(snapshot, evidence),
        _keys(snapshot, evidence),
        *_volume(snapshot, evidence, policy),
        *_missing(evidence, policy),
    )
    return Verdict(
        judge=JUDGE,
        line=snapshot.line,
        subject_digest=snapshot.digest,
        evidence={
            "partition": snapshot.partition,
            "policy_digest": digest_of_json(policy.model_dump(mode="json")),
        },
        findings=findings,
    )


def _schema(snapshot: SnapshotId, evidence: SnapshotEvidence) -> tuple[Finding, ...]:
    rule = "schema_is_valid"
    if not evidence.breaches:
        return (
            Finding(
                rule=rule,
                subject=snapshot.partition,
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


def _keys(snapshot: SnapshotId, evidence: SnapshotEvidence) -> Finding:
    return compare(
        rule="keys_are_unique",
        subject=snapshot.partition,
        observed=float(evidence.duplicate_rows),
        limit=0.0,
        bound="at most",
        unit="rows",
        n=evidence.rows,
        detail=evidence.duplicate_example and f"for example {evidence.duplicate_example}",
    )


def _volume(
    snapshot: SnapshotId, evidence: SnapshotEvidence, policy: DataGatesPolicy
) -> tuple[Finding, ...]:
    rule, subject, rows = "volume_is_expected", snapshot.partition, float(evidence.rows)
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


def _missing(evidence: SnapshotEvidence, policy: DataGatesPolicy) -> tuple[Finding, ...]:
    return tuple(
        compare(
            rule="nulls_are_within_limits",
            subject=column,
            observed=count / evidence.rows if evidence.rows else float("nan"),
            limit=policy.missing_share_limits.get(column, policy.missing_share_limit),
            bound="at most",
            n=evidence.rows,
        )
        for column, count in evidence.missing.items()
    )
