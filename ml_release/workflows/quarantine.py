"""Which partitions are set aside, by their recorded verdicts, and which of a run may go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.data_gates import unreadable_landing
from ml_release.domain.identity import digest_of_json
from ml_release.domain.quarantine import SetAside, goes_on_without
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import InputError, NotFoundError
from ml_release.workflows.snapshots import DATA_VERDICT, SNAPSHOT_TABLE, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ml_release.domain.identity import SnapshotId
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import EvidenceStore, Landing, Tables
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.snapshots import SnapshotTaken

UNREADABLE = "unreadable_landing"


def set_aside(
    line: ReleaseLine,
    partition: str,
    *,
    snapshots: Mapping[str, SnapshotId],
    evidence: EvidenceStore,
) -> SetAside | None:
    """Why nothing may be built on a partition; None if no recorded verdict is against it.

    None is not a pass: a partition that nobody judged under the present policy is refused by the
    acts themselves, which then say what to do.

    Parameters
    ----------
    snapshots
        Current snapshot per partition.

    Raises
    ------
    IntegrityError
        If a recorded verdict was edited.
    """
    own = _own_reason(line, partition, snapshots=snapshots, evidence=evidence)
    if own is not None:
        return SetAside(partition=partition, reason=own)
    if line.policies.quarantine.history_may_lack:
        return None
    for earlier in line.landing.with_earlier(partition, count=line.lookback_partitions)[:-1]:
        if _own_reason(line, earlier, snapshots=snapshots, evidence=evidence) is not None:
            reason = f"its history looks back into {earlier}, which is set aside"
            return SetAside(partition=partition, reason=reason)
    return None


def partitions_that_go_on(
    line: ReleaseLine, partitions: Sequence[str], *, tables: Tables, evidence: EvidenceStore
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Of some partitions those to build on, and those left out with the reason.

    All of them, with nothing left out, where the policy tolerates nothing or none would be left:
    building them then refuses with what is wrong.
    """
    if not line.policies.quarantine.tolerates_any:
        return tuple(partitions), {}
    snapshots = {s.partition: s for s in tables.current(line.name, SNAPSHOT_TABLE)}
    left_out: dict[str, str] = {}
    for partition in partitions:
        found = set_aside(line, partition, snapshots=snapshots, evidence=evidence)
        if found is not None:
            left_out[partition] = found.reason
    going_on = tuple(partition for partition in partitions if partition not in left_out)
    return (going_on, left_out) if going_on else (tuple(partitions), {})


def run_goes_on(
    line: ReleaseLine,
    outcomes: Mapping[str, Outcome],
    *,
    tables: Tables,
    evidence: EvidenceStore,
) -> bool:
    """Whether a run of snapshots may go on with those that passed, by the declared coverage."""
    last = max(outcomes, default="")
    snapshots = {s.partition: s for s in tables.current(line.name, SNAPSHOT_TABLE)}
    others = {}
    for name in snapshots:
        if name not in outcomes and name < last:
            verdict = _own_verdict(line, name, snapshots=snapshots, evidence=evidence)
            # What nobody judged under the present policy is not known to be fit.
            others[name] = Outcome.INCONCLUSIVE if verdict is None else verdict.outcome
    return goes_on_without(outcomes, others, line.policies.quarantine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A landed partition that gave no rows: its failing verdict, and the error that says why."""

    verdict: Verdict
    error: InputError


def take_or_set_aside(
    line: ReleaseLine,
    partition: str,
    *,
    landing: Landing,
    tables: Tables,
    evidence: EvidenceStore,
    now: datetime,
) -> SnapshotTaken | Unreadable:
    """`take_snapshot`; what cannot be read is recorded as set aside, so that others can go on.

    An older snapshot of the partition stays what it was.

    Raises
    ------
    NotFoundError
        If the partition has not arrived: there is nothing to set aside.
    """
    try:
        return take_snapshot(
            line, partition, landing=landing, tables=tables, evidence=evidence, now=now
        )
    except NotFoundError:
        raise
    except InputError as error:
        verdict = unreadable_landing(
            line.name, partition, str(error), policy=line.policies.data_gates
        )
        evidence.record(line.name, UNREADABLE, partition, verdict.to_json())
        return Unreadable(verdict=verdict, error=error)


def _own_reason(
    line: ReleaseLine,
    partition: str,
    *,
    snapshots: Mapping[str, SnapshotId],
    evidence: EvidenceStore,
) -> str | None:
    verdict = _own_verdict(line, partition, snapshots=snapshots, evidence=evidence)
    if verdict is None or verdict.outcome is Outcome.PASS:
        return None
    return "; ".join(f.sentence() for f in verdict.objections) or verdict.outcome.value


def _own_verdict(
    line: ReleaseLine,
    partition: str,
    *,
    snapshots: Mapping[str, SnapshotId],
    evidence: EvidenceStore,
) -> Verdict | None:
    """The recorded verdict on the partition's present rows under the present policy, if any."""
    snapshot = snapshots.get(partition)
    if snapshot is None:
        content = evidence.find(line.name, UNREADABLE, partition)
    else:
        content = evidence.find(line.name, DATA_VERDICT, snapshot.digest)
    if content is None:
        return None
    verdict = verdict_from_json(content)
    policy = digest_of_json(line.policies.data_gates.model_dump(mode="json"))
    is_present = verdict.evidence.get("policy_digest") == policy
    of_these_rows = snapshot is None or verdict.subject_digest == snapshot.digest
    return verdict if is_present and of_these_rows else None
