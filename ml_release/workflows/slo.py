"""How a line stands to its promises: gathered from what was counted, judged, and recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ml_release.domain.error_budget import SliCount
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.latency_sketch import LatencySketch
from ml_release.domain.slo import judge_slo
from ml_release.domain.slo_record import SloRecord, SloStanding, standing_of
from ml_release.workflows.budget_freeze import SLO_RECORD, SLO_VERDICT, learned_to
from ml_release.workflows.log_profiles import counted_lately
from ml_release.workflows.slo_quality import fairness_seen, scores_seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ml_release.domain.bucket_profile import BucketProfile
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import Deployments, EvidenceStore, Plotter, ProfileStore
    from ml_release.spec.release_line import ReleaseLine

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SloReport:
    """The record, the verdict on it, and their picture."""

    record: SloRecord
    verdict: Verdict
    plots: Mapping[str, bytes]


def report_slo(
    line: ReleaseLine,
    *,
    environment: str,
    profiles: ProfileStore,
    deployments: Deployments,
    evidence: EvidenceStore,
    plotter: Plotter,
    now: datetime,
) -> SloReport:
    """Judge the promises of a line on everything counted so far, and record both.

    Nothing is read of the log: what is new in it is counted by the inference window.

    Raises
    ------
    IntegrityError
        If what was counted or recorded before was edited.
    """
    record = gather_slo(
        line,
        environment=environment,
        profiles=profiles,
        deployments=deployments,
        evidence=evidence,
        now=now,
    )
    content = record.to_json()
    verdict = judge_slo(record, line.policies.slo, subject_digest=digest_of_bytes(content))
    evidence.record(line.name, SLO_RECORD, environment, content)
    evidence.record(line.name, SLO_VERDICT, environment, verdict.to_json())
    has_events = any(one.events for one in record.standings)
    return SloReport(
        record=record,
        verdict=verdict,
        plots={"error_budgets.png": plotter.error_budgets(record)} if has_events else {},
    )


def gather_slo(
    line: ReleaseLine,
    *,
    environment: str,
    profiles: ProfileStore,
    deployments: Deployments,
    evidence: EvidenceStore,
    now: datetime,
) -> SloRecord:
    """How a line stands to its promises, by every version that has answered; nothing is changed.

    Windows end with the newest hour that holds an event and is not in the future. Answers that
    nobody got count for nothing.
    """
    policy, zone = line.policies.slo, ZoneInfo(line.time_zone)
    declaration = deployments.sealed(line.name, environment)
    champion = None if declaration is None else declaration.state.champion.model_digest
    seen = counted_lately(
        line,
        environment=environment,
        profiles=profiles,
        lasting=timedelta(days=policy.window_days),
        now=now,
    )
    as_of = max((_start(one, zone) for one in seen), default=None)
    until = None if as_of is None else as_of + _HOUR
    received = [one.last_received for one in seen if one.last_received]
    idle = None
    if received:
        last = max(datetime.fromisoformat(one) for one in received)
        idle = max(0.0, (now - last).total_seconds() / _HOUR.total_seconds())
    learned = {
        digest: learned_to(line, digest, evidence=evidence)
        for digest in {*(one.model_digest for one in seen), *([champion] if champion else [])}
    }
    days = scores_seen(line, environment=environment, model_digest=champion, evidence=evidence)
    fair = fairness_seen(line, environment=environment, evidence=evidence)
    last_day = None if champion is None else learned[champion]
    return SloRecord(
        line=line.name,
        environment=environment,
        judged_at=now,
        as_of=until,
        idle_hours=idle,
        window_days=policy.window_days,
        policy_digest=policy.digest,
        model_digest=champion,
        standings=tuple(
            _standings(line, seen, learned, scores=days.good_days, fair=fair.good_days, until=until)
        ),
        score=days.newest,
        score_rows=days.rows,
        model_age_days=None
        if until is None or last_day is None
        else float((until.date() - date.fromisoformat(last_day)).days),
        fairness=fair.outcome,
        fairness_said=fair.said,
    )


def _standings(
    line: ReleaseLine,
    seen: Sequence[BucketProfile],
    learned: Mapping[str, str | None],
    *,
    scores: Mapping[date, bool],
    fair: Mapping[date, bool],
    until: datetime | None,
) -> Iterable[SloStanding]:
    policy, zone = line.policies.slo, ZoneInfo(line.time_zone)
    starts = [_start(one, zone) for one in seen]
    standing = partial(standing_of, policy=policy, until=until)
    if policy.availability is not None:
        counts = [
            SliCount(start=start, events=one.requests, bad=one.failed_requests)
            for start, one in zip(starts, seen, strict=True)
        ]
        objective = policy.availability.objective
        yield standing("availability", counts, objective=objective, unit="requests")
    if policy.latency is not None:
        sketches = (LatencySketch(one.latency) for one in seen)
        counts = [
            SliCount(start=start, events=sketch.n, bad=sketch.above(policy.latency.limit_ms))
            for start, sketch in zip(starts, sketches, strict=True)
        ]
        yield standing("latency", counts, objective=policy.latency.objective, unit="requests")
    if policy.correctness is not None:
        counts = _days(scores, policy.window_days, until, zone)
        yield standing("correctness", counts, objective=policy.correctness.objective, unit="days")
    if policy.freshness is not None:
        limit = timedelta(days=policy.freshness.maximum_age_days)
        counts = []
        for start, one in zip(starts, seen, strict=True):
            last = learned.get(one.model_digest)
            # Of a model without a record, and of the kill switch, nobody knows an age.
            if last is not None:
                answered = one.requests - one.failed_requests
                is_old = start.date() - date.fromisoformat(last) > limit
                counts.append(SliCount(start=start, events=answered, bad=answered if is_old else 0))
        yield standing("freshness", counts, objective=policy.freshness.objective, unit="requests")
    if policy.fairness is not None:
        counts = _days(fair, policy.window_days, until, zone)
        yield standing("fairness", counts, objective=policy.fairness.objective, unit="days")


def _start(profile: BucketProfile, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(profile.bucket).astimezone(zone)


def _days(
    good: Mapping[date, bool], window_days: int, until: datetime | None, zone: ZoneInfo
) -> list[SliCount]:
    """Known days of the window, each one event."""
    if until is None:
        return []
    last = (until - _HOUR).date()
    return [
        SliCount(start=datetime.combine(day, time(), tzinfo=zone), events=1, bad=int(not is_good))
        for day, is_good in sorted(good.items())
        if last - timedelta(days=window_days) < day <= last
    ]
