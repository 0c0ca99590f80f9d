"""Gather what a retraining trigger looks at, and which window a retraining would use."""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING

from ml_release.domain.retraining import RetrainingEvidence
from ml_release.errors import NotFoundError
from ml_release.workflows.feature_building import FEATURES_TABLE
from ml_release.workflows.monitoring import newest_window
from ml_release.workflows.training import CANDIDATE, find_candidate

if TYPE_CHECKING:
    from datetime import date

    from ml_release.ports import Deployments, EvidenceStore, Landing, Tables
    from ml_release.spec.release_line import ReleaseLine


def retraining_evidence(
    line: ReleaseLine,
    *,
    environment: str,
    evidence: EvidenceStore,
    deployments: Deployments,
    landing: Landing,
    last_request: date | None,
) -> RetrainingEvidence:
    """What a trigger looks at, as of the newest event in the inference log."""
    declaration = deployments.sealed(line.name, environment)
    champion = None if declaration is None else declaration.state.champion.model_digest
    newest = evidence.newest_subject(line.name, CANDIDATE)
    window = newest_window(line, environment=environment, evidence=evidence)
    as_of = None if window is None else window.as_of
    return RetrainingEvidence(
        champion=champion,
        trained_to=None if champion is None else _trained_to(line, champion, evidence=evidence),
        tried_to=None if newest is None else _trained_to(line, newest, evidence=evidence),
        newest_partition=None if as_of is None else _newest_matured(line, as_of, landing=landing),
        as_of=as_of,
        last_request=last_request,
    )


def retraining_window(line: ReleaseLine, newest: str, *, tables: Tables) -> tuple[str, str]:
    """First partition to train on, and the first one whose features have to be made."""
    made = {features.partition for features in tables.current(line.name, FEATURES_TABLE)}
    first = line.landing.first_partition
    missing = [name for name in line.landing.between(first, newest) if name not in made]
    return first, min(missing, default=newest)


def _trained_to(line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore) -> str | None:
    try:
        return find_candidate(line, model_digest, evidence=evidence).last_partition
    except NotFoundError:
        return None


def _newest_matured(line: ReleaseLine, as_of: date, *, landing: Landing) -> str | None:
    """Newest landed partition whose last label was known when ``as_of`` began."""
    # Moments, not days: a date forgets the hours of a delay.
    now = datetime.combine(as_of, time())
    matured = (
        partition
        for partition in landing.partitions(line.landing)
        if _end_of(line, partition) + line.label_delay <= now
    )
    return max(matured, default=None)


def _end_of(line: ReleaseLine, partition: str) -> datetime:
    return datetime.fromisoformat(f"{line.landing.following(partition)}-01")
