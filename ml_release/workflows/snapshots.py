"""Take a snapshot of one landed partition, and judge whether it is fit to train on.

A snapshot that fails its gate is kept with its verdict: people need to look at it. That nothing is
built on it is the business of the acts that come after, each of which reads the verdict again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.data_gates import SchemaBreach, SnapshotEvidence, judge_snapshot
from ml_release.domain.identity import check_digest, digest_of_json
from ml_release.domain.verdict import (
    Verdict,
    require_evidence,
    require_pass,
    verdict_from_json,
)
from ml_release.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from ml_release.domain.identity import SnapshotId
    from ml_release.ports import EvidenceStore, Landing, Tables
    from ml_release.spec.release_line import ReleaseLine

SNAPSHOT_TABLE = "snapshot"
DATA_VERDICT = "data_verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotTaken:
    """A snapshot with its verdict and its first rows."""

    snapshot: SnapshotId
    verdict: Verdict
    sample: pd.DataFrame


def take_snapshot(
    line: ReleaseLine,
    partition: str,
    *,
    landing: Landing,
    tables: Tables,
    evidence: EvidenceStore,
) -> SnapshotTaken:
    """Read, assemble, keep and judge one partition; the same rows again keep nothing new.

    Raises
    ------
    NotFoundError
        If the partition has not arrived.
    InputError
        If its files cannot be read or assembled; nothing is kept then.
    """
    rows = read_landed(line, partition, landing=landing)
    snapshot = tables.write(line.name, SNAPSHOT_TABLE, partition, rows)
    others = tuple(
        other.rows
        for other in tables.current(line.name, SNAPSHOT_TABLE)
        if other.partition != partition
    )
    verdict = judge_snapshot(
        snapshot, _count(line, rows, other_rows=others), line.policies.data_gates
    )
    evidence.record(line.name, DATA_VERDICT, snapshot.digest, verdict.to_json())
    return SnapshotTaken(snapshot=snapshot, verdict=verdict, sample=rows.head(5))


def read_landed(line: ReleaseLine, partition: str, *, landing: Landing) -> pd.DataFrame:
    """The assembled rows of one landed partition, judged by nobody yet.

    Raises
    ------
    NotFoundError
        If the partition has not arrived.
    InputError
        If its files cannot be read or assembled.
    """
    raw = landing.read(line.landing, partition)
    try:
        return line.assemble_rows(raw)
    # What pandas raises when a landed table is not what the line's own code expects: a missing
    # column or row, another type (`.dt` of a text), a value that cannot be converted.
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        message = (
            f"{line.name} partition {partition}: the landed tables cannot be assembled"
            f" ({type(error).__name__}: {error}). Nothing was kept; look at the landing files of"
            " this partition, or at the line's assemble function."
        )
        raise InputError(message) from error


def require_fit_snapshot(
    line: ReleaseLine, *, partition: str, digest: str, evidence: EvidenceStore, act: str
) -> Verdict:
    """The recorded passing verdict of a snapshot under the present policy.

    Raises
    ------
    RefusedError
        If there is none, it does not pass, or it was given under another policy.
    IntegrityError
        If the record was edited, or is the verdict on other rows.
    """
    content = evidence.find(line.name, DATA_VERDICT, digest)
    verdict = None if content is None else verdict_from_json(content)
    subject = f"{line.name} snapshot {partition} ({digest[:19]})"
    verdict = require_pass(verdict, act=act, subject=subject)
    check_digest(f"verdict on {subject}", expected=digest, found=verdict.subject_digest)
    require_evidence(
        verdict,
        act=f"{act} of {subject}",
        partition=partition,
        policy_digest=digest_of_json(line.policies.data_gates.model_dump(mode="json")),
    )
    return verdict


def _count(
    line: ReleaseLine, rows: pd.DataFrame, *, other_rows: tuple[int, ...]
) -> SnapshotEvidence:
    keys = list(line.keys)
    duplicate = rows.duplicated(keys) if set(keys) <= set(rows.columns) else None
    example = ""
    if duplicate is not None and duplicate.any():
        first = rows.loc[duplicate, keys].iloc[0]
        example = ", ".join(f"{name} {value}" for name, value in first.items())
    return SnapshotEvidence(
        rows=len(rows),
        missing={str(column): int(count) for column, count in rows.isna().sum().items()},
        duplicate_rows=0 if duplicate is None else int(duplicate.sum()),
        duplicate_example=example,
        breaches=_breaches(line, rows),
        other_rows=other_rows,
    )


def _breaches(line: ReleaseLine, rows: pd.DataFrame) -> tuple[SchemaBreach, ...]:
    from pandera.errors import SchemaErrors

    try:
        line.schema_of().validate(rows, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        # A case about the table names its column, the missing or the undeclared one, as its value.
        column = cases["column"].where(cases["column"].notna(), cases["failure_case"]).astype(str)
        return tuple(
            SchemaBreach(
                column=name,
                rule=rule,
                rows=len(group) if group["index"].notna().all() else None,
                example=_spelled(group["failure_case"].iloc[0]),
            )
            for (name, rule), group in cases.groupby([column, cases["check"].astype(str)])
        )
    return ()


def _spelled(value: object) -> str:
    """A value as a reader writes it; a text in quotes, to tell '1' from 1."""
    return repr(value) if isinstance(value, str) else str(value)
