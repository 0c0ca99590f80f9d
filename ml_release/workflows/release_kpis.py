"""How well a line releases: gathered from Git, from records and from what was counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.latency_sketch import STEP
from ml_release.domain.provenance import CandidateRecord, record_from_json
from ml_release.domain.release_attempts import declared_attempts
from ml_release.domain.release_kpi_judge import judge_kpis
from ml_release.domain.release_kpis import Answered, Attempt, release_kpis
from ml_release.domain.traffic import traffic_over_time
from ml_release.workflows.drift_evidence import DRIFT_HISTORY
from ml_release.workflows.feature_building import FEATURES_RECORD
from ml_release.workflows.incidents import recorded_incident
from ml_release.workflows.log_profiles import counted_lately
from ml_release.workflows.recorded_numbers import history_rows
from ml_release.workflows.training import CANDIDATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.deployment import Declaration
    from ml_release.domain.release_attempts import DeclaredAttempt
    from ml_release.domain.release_kpi_record import ReleaseKpis
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import Deployments, EvidenceStore, Plotter, ProfileStore
    from ml_release.spec.release_line import ReleaseLine

RELEASE_KPIS = "release_kpis"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class KpiReport:
    """The values, the verdict on them, and a picture of what was declared meanwhile."""

    kpis: ReleaseKpis
    verdict: Verdict
    plots: Mapping[str, bytes]


def report_kpis(
    line: ReleaseLine,
    *,
    environment: str,
    profiles: ProfileStore,
    deployments: Deployments,
    evidence: EvidenceStore,
    plotter: Plotter,
    now: datetime,
) -> KpiReport:
    """Count and judge the releases of the declared time, and record the values.

    Raises
    ------
    IntegrityError
        If a record was edited.
    """
    history = deployments.history(line.name, environment)
    kpis = gather_kpis(
        line,
        history,
        environment=environment,
        profiles=profiles,
        evidence=evidence,
        now=now,
    )
    content = kpis.to_json()
    evidence.record(line.name, RELEASE_KPIS, environment, content)
    points = traffic_over_time(history)
    return KpiReport(
        kpis=kpis,
        verdict=judge_kpis(kpis, line.policies.kpis, subject_digest=digest_of_bytes(content)),
        plots={"traffic.png": plotter.traffic(points, until=now)} if points else {},
    )


def gather_kpis(
    line: ReleaseLine,
    history: Sequence[Declaration],
    *,
    environment: str,
    profiles: ProfileStore,
    evidence: EvidenceStore,
    now: datetime,
    days: int | None = None,
) -> ReleaseKpis:
    """The values of the last ``days``, those of the policy for None; nothing is changed.

    Parameters
    ----------
    history
        Every declaration of the environment, oldest first.

    Raises
    ------
    IntegrityError
        If a record was edited.
    """
    policy = line.policies.kpis
    since = now - timedelta(days=policy.days if days is None else days)
    sealed = [one for one in history if not one.seal_problem]
    return release_kpis(
        line.name,
        environment,
        [_attempt(line, one, evidence=evidence) for one in declared_attempts(sealed)],
        drift_began=_drift_began(line, environment=environment, evidence=evidence),
        answered=_answered(line, environment=environment, profiles=profiles, now=now, since=since),
        first_declared=datetime.fromisoformat(sealed[0].committed_at) if sealed else None,
        policy=policy,
        since=since,
        until=now,
    )


def _attempt(line: ReleaseLine, declared: DeclaredAttempt, *, evidence: EvidenceStore) -> Attempt:
    content = evidence.find(line.name, CANDIDATE, declared.model_digest)
    record = None if content is None else record_from_json(CandidateRecord, content)
    failed_at = signed_at = None
    if declared.taken is not None:
        failed_at = datetime.fromisoformat(declared.taken.after.committed_at)
        incident = recorded_incident(line, declared.taken.incident_id, evidence=evidence)
        sign = None if incident is None else incident.times.first_sign
        signed_at = None if sign is None else datetime.fromisoformat(sign)
    return Attempt(
        version=declared.version,
        model_digest=declared.model_digest,
        began_at=declared.began_at,
        promoted_at=declared.promoted_at,
        trained_at=None if record is None else datetime.fromisoformat(record.trained_at),
        failed_at=failed_at,
        signed_at=signed_at,
        is_rebuildable=None if record is None else _is_rebuildable(line, record, evidence=evidence),
    )


def _is_rebuildable(line: ReleaseLine, record: CandidateRecord, *, evidence: EvidenceStore) -> bool:
    """Whether the record names the code of a commit, its lock, and features that are on record."""
    build = record.build
    return (
        build.code_commit is not None
        and build.code_dirty is False
        and build.lock_digest is not None
        and all(
            evidence.find(line.name, FEATURES_RECORD, digest) is not None
            for digest in record.partitions.values()
        )
    )


def _drift_began(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> tuple[datetime, ...]:
    """End of the first window of every stretch of windows with drift that hurts."""
    content = evidence.find(line.name, DRIFT_HISTORY, environment)
    if content is None:
        return ()
    hurts: dict[date, bool] = {}
    for day, row in history_rows(content, DRIFT_HISTORY, day="as_of", names=("standing",)):
        hurts[day] = hurts.get(day, False) or row["standing"] == DriftStanding.HURTING.value
    began, before = [], False
    for day in sorted(hurts):
        if hurts[day] and not before:
            end = datetime.combine(day, time(), tzinfo=ZoneInfo(line.time_zone))
            began.append(end + timedelta(days=1))
        before = hurts[day]
    return tuple(began)


def _answered(
    line: ReleaseLine,
    *,
    environment: str,
    profiles: ProfileStore,
    now: datetime,
    since: datetime,
) -> Answered:
    """What was answered in so long a time, back from the newest event that is not of the future."""
    seen = counted_lately(
        line, environment=environment, profiles=profiles, lasting=now - since, now=now
    )
    if not seen:
        return Answered(rows=0, busy_ms=0.0, hours=0.0)
    starts = [datetime.fromisoformat(one.bucket) for one in seen]
    return Answered(
        rows=sum(one.rows for one in seen),
        # A latency counts as the upper end of its bucket: at most five percent too much.
        busy_ms=sum(STEP**bucket * count for one in seen for bucket, count in one.latency.items()),
        hours=(max(starts) - min(starts) + _HOUR) / _HOUR,
    )
