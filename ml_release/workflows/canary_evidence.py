"""From the inference log to what the canary judge reads, a tick at a time.

A tick reads what came since the last one and adds it to the recorded tally; counting everything
from the beginning gives the same. Three things are read again: the step, until the control has
answered enough to freeze its latency; the whole log, once when a step begins; and again whenever
labels were gathered, if the policy compares quality. Rewards are not gathered here yet: a metric of
them stays unknown, and keeps the canary where it is if it is critical.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.canary_counts import CanaryEvidence
from ml_release.domain.canary_tally import REMEMBERED_IDS, CanaryTally, tally_from_json
from ml_release.domain.identity import digest_of_json
from ml_release.errors import IntegrityError, UnavailableError
from ml_release.workflows.canary_quality import last_matured_day, with_quality
from ml_release.workflows.canary_records import (
    assigned_requests,
    count_stretches,
    request_hash,
    yardstick_of,
)
from ml_release.workflows.canary_shares import declared_shares
from ml_release.workflows.labels import LABELS_TABLE, gathered_labels

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from ml_release.domain.canary_counts import Stretch
    from ml_release.domain.canary_policy import CanaryPolicy
    from ml_release.domain.canary_tally import CanaryUnderWay
    from ml_release.ports import Deployments, EvidenceStore, InferenceLog, Tables
    from ml_release.spec.release_line import ReleaseLine

_YARDSTICK_REACHES_BACK = timedelta(days=7)
"""A step is compared with how the control was just before it, not with seasons ago."""


CANARY_TALLY = "canary_tally"


def observe_canary(
    line: ReleaseLine,
    under_way: CanaryUnderWay,
    *,
    environment: str,
    policy: CanaryPolicy,
    inference_log: InferenceLog,
    deployments: Deployments,
    tables: Tables,
    evidence: EvidenceStore,
    now: datetime,
) -> CanaryEvidence:
    """Count what is new, record the tally and give the evidence of this and all earlier steps.

    A log that cannot be read leaves the tally as it was and is told in ``source_problem``.

    Raises
    ------
    IntegrityError
        If a recorded tally was edited.
    """
    tally = _newest(line, under_way, policy, evidence=evidence)
    problem = ""
    try:
        tally = _with_new(
            line,
            under_way,
            tally,
            environment=environment,
            policy=policy,
            inference_log=inference_log,
            deployments=deployments,
        )
        tally = _with_labels(
            line,
            under_way,
            tally,
            policy=policy,
            inference_log=inference_log,
            tables=tables,
            now=now,
        )
    except (UnavailableError, IntegrityError, OSError) as error:
        problem = f"the log, its labels or its routes cannot be read: {error}"
    else:
        evidence.record(line.name, CANARY_TALLY, under_way.subject(), tally.to_json())
    return CanaryEvidence(
        line=line.name,
        model_digest=under_way.canary_digest,
        champion_digest=under_way.control_digest,
        step=under_way.step,
        step_began=under_way.step_began,
        now=now,
        stretches=(*_earlier(line, under_way, evidence=evidence), *tally.stretches),
        canary_last_seen=tally.canary_last_seen,
        control_last_seen=tally.control_last_seen,
        latency_limits_ms={} if tally.yardstick is None else tally.yardstick.latency_limits_ms,
        source_problem=problem,
    )


def _newest(
    line: ReleaseLine, under_way: CanaryUnderWay, policy: CanaryPolicy, *, evidence: EvidenceStore
) -> CanaryTally:
    """The recorded tally; an empty one if there is none, or if it counted something else."""
    empty = CanaryTally(
        line=line.name,
        canary_digest=under_way.canary_digest,
        control_digest=under_way.control_digest,
        step_began=under_way.step_began.astimezone(UTC),
        policy_digest=policy.digest,
    )
    content = evidence.find(line.name, CANARY_TALLY, under_way.subject())
    if content is None:
        return empty
    found = tally_from_json(content)
    same = ("line", "canary_digest", "control_digest", "step_began", "policy_digest")
    return found if all(getattr(found, n) == getattr(empty, n) for n in same) else empty


def _earlier(
    line: ReleaseLine, under_way: CanaryUnderWay, *, evidence: EvidenceStore
) -> tuple[Stretch, ...]:
    """Stretches of earlier steps of the same two models."""
    found: list[Stretch] = []
    for step in range(under_way.step):
        content = evidence.find(line.name, CANARY_TALLY, under_way.subject(step))
        tally = None if content is None else tally_from_json(content)
        models = (under_way.canary_digest, under_way.control_digest)
        if tally is not None and (tally.canary_digest, tally.control_digest) == models:
            found.extend(tally.stretches)
    return tuple(found)


def _with_new(
    line: ReleaseLine,
    under_way: CanaryUnderWay,
    tally: CanaryTally,
    *,
    environment: str,
    policy: CanaryPolicy,
    inference_log: InferenceLog,
    deployments: Deployments,
) -> CanaryTally:
    if tally.yardstick is None:
        # Nothing that was counted without it can be kept; there are few requests until then.
        tally = replace(
            tally,
            cursor={},
            stretches=(),
            recent_ids=(),
            canary_last_seen=None,
            control_last_seen=None,
            quality_rests_on=None,
        )
    records, cursor = inference_log.records(
        line.name, after=tally.cursor, since=tally.step_began - _YARDSTICK_REACHES_BACK
    )
    requests = assigned_requests(records, under_way)
    is_within = requests["received_time"] >= tally.step_began
    within = requests[is_within]
    yardstick = tally.yardstick or yardstick_of(requests[~is_within], within, policy)
    new, recent = _unseen(within, tally.recent_ids)
    shares = declared_shares(
        line,
        under_way,
        tally.shares,
        new["route_commit"].unique(),
        environment=environment,
        deployments=deployments,
    )
    return replace(
        tally,
        cursor=cursor,
        yardstick=yardstick,
        shares=shares,
        stretches=count_stretches(
            new,
            policy,
            yardstick=yardstick,
            shares=shares,
            step=under_way.step,
            known=tally.stretches,
        ),
        canary_last_seen=_last(new[new["is_canary"]], tally.canary_last_seen),
        control_last_seen=_last(new[~new["is_canary"]], tally.control_last_seen),
        recent_ids=recent,
    )


def _unseen(
    requests: pd.DataFrame, recent: tuple[str, ...]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Requests that were not counted yet, and what is remembered after them."""
    hashes = [request_hash(name) for name in requests["request_id"]]
    seen = set(recent)
    is_new = np.array([name not in seen for name in hashes], dtype=np.bool_)
    fresh = [name for name, new in zip(hashes, is_new, strict=True) if new]
    return requests[is_new], (*recent, *fresh)[-REMEMBERED_IDS:]


def _last(requests: pd.DataFrame, known: datetime | None) -> datetime | None:
    if requests.empty:
        return known
    newest: datetime = requests["received_time"].max().to_pydatetime()
    return newest if known is None else max(newest, known)


def _with_labels(
    line: ReleaseLine,
    under_way: CanaryUnderWay,
    tally: CanaryTally,
    *,
    policy: CanaryPolicy,
    inference_log: InferenceLog,
    tables: Tables,
    now: datetime,
) -> CanaryTally:
    if not any(metric.kind == "quality" for metric in policy.metrics):
        return tally
    until = last_matured_day(
        now, delay=line.label_delay, grace_days=line.policies.labels.grace_days
    )
    partitions = {p.partition: p.digest for p in tables.current(line.name, LABELS_TABLE)}
    rests_on = digest_of_json([until.isoformat(), partitions])
    if rests_on == tally.quality_rests_on:
        return tally
    records, _ = inference_log.records(line.name, after={}, since=tally.step_began)
    requests = assigned_requests(records, under_way)
    stretches = with_quality(
        tally.stretches,
        policy,
        requests=requests[requests["received_time"] >= tally.step_began],
        labels=gathered_labels(line, tables=tables),
        until=until,
    )
    return replace(tally, stretches=stretches, quality_rests_on=rests_on)
