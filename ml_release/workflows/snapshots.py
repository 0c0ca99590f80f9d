"""Take a snapshot of one landed partition, and judge whether it is fit to train on.

A snapshot that fails its gate is kept with its verdict: people need to look at it. That nothing is
built on it is the business of the acts that come after, each of which reads the verdict again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.column_profile import PartitionProfile, partition_profile_from_json
from ml_release.domain.data_gates import judge_snapshot
from ml_release.domain.identity import canonical_json, check_digest, digest_of_json
from ml_release.domain.verdict import (
    Outcome,
    Verdict,
    require_evidence,
    require_pass,
    verdict_from_json,
)
from ml_release.errors import InputError, IntegrityError
from ml_release.workflows.row_examples import masked_texts
from ml_release.workflows.snapshot_evidence import gather_evidence

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from ml_release.domain.identity import SnapshotId
    from ml_release.ports import EvidenceStore, Landing, Tables
    from ml_release.spec.release_line import ReleaseLine

SNAPSHOT_TABLE = "snapshot"
DATA_VERDICT = "data_verdict"
DATA_PROFILE = "data_profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotTaken:
    """A snapshot with its verdict, its first rows (personal data masked), and its spread.

    ``references`` are the profiles of the partitions it was compared with.
    """

    snapshot: SnapshotId
    verdict: Verdict
    sample: pd.DataFrame
    profile: PartitionProfile | None
    references: tuple[PartitionProfile, ...]


def take_snapshot(
    line: ReleaseLine,
    partition: str,
    *,
    landing: Landing,
    tables: Tables,
    evidence: EvidenceStore,
    now: datetime,
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
        other for other in tables.current(line.name, SNAPSHOT_TABLE) if other.partition != partition
    )
    counted = gather_evidence(
        line,
        rows,
        snapshot=snapshot,
        other_rows=tuple(other.rows for other in others),
        references=_references(others, evidence=evidence),
        now=now,
    )
    verdict = judge_snapshot(snapshot, counted, line.policies.data_gates, target=line.target)
    evidence.record(line.name, DATA_VERDICT, snapshot.digest, verdict.to_json())
    if verdict.outcome is Outcome.PASS and counted.profile is not None:
        document = canonical_json(counted.profile.model_dump(mode="json"))
        evidence.record(line.name, DATA_PROFILE, snapshot.digest, document)
    return SnapshotTaken(
        snapshot=snapshot,
        verdict=verdict,
        sample=masked_texts(rows.head(5)),
        profile=counted.profile,
        references=counted.references,
    )


def _references(
    others: tuple[SnapshotId, ...], *, evidence: EvidenceStore
) -> tuple[PartitionProfile, ...]:
    """Profiles of the partitions whose present rows have a passing verdict.

    The verdict may be of another policy than today's: a partition that was fit then is a better
    reference than none. A record that was edited makes no reference; the acts that build on that
    partition say so.
    """
    found = []
    for other in others:
        try:
            content = evidence.find(other.line, DATA_VERDICT, other.digest)
            profile = evidence.find(other.line, DATA_PROFILE, other.digest)
            if content is None or profile is None:
                continue
            verdict = verdict_from_json(content)
            if verdict.outcome is Outcome.PASS and verdict.subject_digest == other.digest:
                found.append(partition_profile_from_json(profile))
        except IntegrityError:
            continue
    return tuple(found)


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
