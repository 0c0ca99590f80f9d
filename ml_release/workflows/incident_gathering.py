"""Gather everything that is known of a rollback; nothing is recorded here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml_release.domain.incident import Incident
from ml_release.domain.incident_impact import Impact
from ml_release.domain.incident_timeline import Times
from ml_release.workflows.incident_evidence import (
    Gaps,
    all_differences,
    decided_by,
    evaluation_gaps,
    recorded_release,
    two_models,
)
from ml_release.workflows.incident_log import Asked, read_log
from ml_release.workflows.labels import gathered_labels

if TYPE_CHECKING:
    from ml_release.domain.incident import Verification
    from ml_release.domain.taken_back import TakenBack
    from ml_release.ports import (
        Deployments,
        EvidenceStore,
        Experiments,
        InferenceLog,
        ModelLoader,
        ModelStore,
        Tables,
    )
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.incident_evidence import TwoModels
    from ml_release.workflows.incident_log import Seen

TAIL = timedelta(days=1)
"""So long after the commit a server may still answer with the bad version, or answer at all."""


def gather_incident(
    line: ReleaseLine,
    taken: TakenBack,
    *,
    verification: Verification | None,
    inference_log: InferenceLog,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    loader: ModelLoader,
    experiments: Experiments,
    deployments: Deployments,
    now: datetime,
) -> Incident:
    """Everything that is known now, apart from what people say; nothing is recorded."""
    gaps = Gaps()
    champion = taken.after.state.champion
    versions = [
        recorded_release(
            line, version, digest, evidence=evidence, experiments=experiments, gaps=gaps
        )
        for version, digest in (
            (taken.version, taken.model_digest),
            (champion.version, champion.model_digest),
        )
    ]
    found = two_models(taken, champion.model_digest, models=models, loader=loader, gaps=gaps)
    seen = _seen(
        line,
        taken,
        found,
        inference_log=inference_log,
        tables=tables,
        deployments=deployments,
        gaps=gaps,
    )
    impact = Impact() if seen is None else seen.impact
    decided = decided_by(line, taken, evidence=evidence, gaps=gaps)
    open_findings, waived = evaluation_gaps(line, taken, evidence=evidence, gaps=gaps)
    times = Times(
        declared=taken.declared[0].committed_at,
        committed=taken.after.committed_at,
        first_request=impact.first_request or impact.first_shadow,
        last_request=impact.last_request,
        first_sign=impact.first_sign,
        decided=decided.at,
        first_restored=impact.first_restored,
        verified=None if verification is None else verification.verified_at,
    )
    return Incident(
        incident_id=taken.incident_id,
        line=line.name,
        environment=taken.after.state.environment,
        commit=taken.after.commit,
        release=taken.release,
        bad=versions[0][0],
        restored=versions[1][0],
        method=taken.method,
        legs=taken.legs,
        trigger=decided.trigger,
        times=times,
        impact=impact,
        blast_radius=None if seen is None else seen.blast,
        blast_problem=found.unaskable,
        threshold=taken.after.state.threshold,
        threshold_before=taken.before.state.threshold,
        unit=found.unit,
        differences=all_differences(versions[0][1], versions[1][1], found),
        open_findings=open_findings,
        waived=waived,
        verification=verification,
        missing=tuple(gaps.found),
        made_at=now.isoformat(),
    )


def _seen(
    line: ReleaseLine,
    taken: TakenBack,
    found: TwoModels,
    *,
    inference_log: InferenceLog,
    tables: Tables,
    deployments: Deployments,
    gaps: Gaps,
) -> Seen | None:
    """What the log shows; without the comparison if that breaks, None if it cannot be read."""
    prices = line.policies.evaluation.quality.costs
    labels = None
    if prices is not None:
        labels = gaps.had("labels", lambda: gathered_labels(line, tables=tables))
    until = datetime.fromisoformat(taken.after.committed_at) + TAIL
    if taken.declared_again_at is not None:
        until = min(until, datetime.fromisoformat(taken.declared_again_at))
    history = [one.commit for one in deployments.history(line.name, taken.after.state.environment)]
    asked = Asked(
        version=taken.version,
        model_digest=taken.model_digest,
        since=datetime.fromisoformat(taken.declared[0].committed_at),
        until=until,
        routes=frozenset(history[history.index(taken.after.commit) :]),
        thresholds={one.commit: one.state.threshold for one in taken.declared},
        restored=found.restored,
        restored_threshold=taken.after.state.threshold,
        unaskable=found.unaskable,
        labels={}
        if labels is None
        else dict(zip(labels["request_id"], labels["label"].astype("float64"), strict=True)),
        prices=prices,
    )
    seen = gaps.had("inference log", lambda: read_log(line, asked, inference_log=inference_log))
    if seen is not None or found.restored is None:
        return seen
    unasked = replace(asked, restored=None, unaskable="the restored version did not answer")
    return gaps.had("impact", lambda: read_log(line, unasked, inference_log=inference_log))
