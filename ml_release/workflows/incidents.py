"""Write an incident: from Git, from verdicts, from the inference log, and from what people say.

Written again it is made anew from what is there then. Equal content writes nothing, other content
is kept as the next revision, and the one before stays on record.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.incident import as_revision, carried_on, incident_from_json, with_follow_ups
from ml_release.domain.incident_words import with_words
from ml_release.domain.taken_back import taken_back
from ml_release.errors import MlReleaseError, NotFoundError
from ml_release.workflows.incident_gathering import gather_incident
from ml_release.workflows.training import find_candidate

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.incident import Incident, Verification
    from ml_release.domain.incident_words import Words
    from ml_release.domain.taken_back import TakenBack
    from ml_release.ports import (
        Deployments,
        EvidenceStore,
        Experiments,
        InferenceLog,
        ModelLoader,
        ModelStore,
        ReportWriter,
        Tables,
    )
    from ml_release.spec.release_line import ReleaseLine

INCIDENT = "incident"
INCIDENT_HISTORY = "incident_history"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenIncident:
    """An incident with its page.

    Attributes
    ----------
    changed
        Whether this is another revision than was on record.
    place
        Where the file of the page is.
    """

    incident: Incident
    changed: bool
    place: str
    page_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIncident:
    """A rollback of a line; ``incident`` is None while its document is not written."""

    taken: TakenBack
    incident: Incident | None


def known_incidents(
    line: ReleaseLine, *, environment: str, deployments: Deployments, evidence: EvidenceStore
) -> tuple[KnownIncident, ...]:
    """Every rollback that Git knows, oldest first, with its document.

    Raises
    ------
    IntegrityError
        If a document was edited.
    """
    return tuple(
        KnownIncident(
            taken=taken, incident=recorded_incident(line, taken.incident_id, evidence=evidence)
        )
        for taken in taken_back(deployments.history(line.name, environment))
    )


def recorded_incident(
    line: ReleaseLine, incident_id: str, *, evidence: EvidenceStore
) -> Incident | None:
    """The newest revision, None if none was written; `IntegrityError` if it was edited."""
    content = evidence.find(line.name, INCIDENT, incident_id)
    return None if content is None else incident_from_json(content)


def find_rollback(
    line: ReleaseLine, named: str | None, *, environment: str, deployments: Deployments
) -> TakenBack:
    """A rollback by its incident or the beginning of its commit; the newest for None.

    Raises
    ------
    NotFoundError
        If there is none, or several, naming those there are.
    """
    found = taken_back(deployments.history(line.name, environment))
    chosen = [
        one
        for one in found
        if named is None or one.incident_id == named or one.after.commit.startswith(named)
    ]
    # One commit may take back several versions; then the whole name is needed.
    if not chosen or (named is not None and len(chosen) > 1):
        known = ", ".join(one.incident_id for one in found) or "none"
        message = (
            f"incident of {line.name}: expected"
            f" {'a rollback' if named is None else f'one rollback named {named!r}'} in"
            f" {environment}, found {known}"
        )
        raise NotFoundError(message)
    return chosen[-1]


def write_incident(
    line: ReleaseLine,
    named: str | None = None,
    *,
    words: Words | None = None,
    verification: Verification | None = None,
    environment: str,
    inference_log: InferenceLog,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    loader: ModelLoader,
    experiments: Experiments,
    deployments: Deployments,
    reports: ReportWriter,
    now: datetime,
) -> WrittenIncident:
    """Write the incident of a rollback, of the newest one for None, and its page.

    Whatever cannot be read, MLflow for one, is named as missing and keeps nothing back.

    Raises
    ------
    NotFoundError
        If there is no such rollback.
    InputError
        If ``words`` are nobody's, or about no question or follow-up that there is.
    IntegrityError
        If the recorded incident was edited.
    """
    taken = find_rollback(line, named, environment=environment, deployments=deployments)
    before = recorded_incident(line, taken.incident_id, evidence=evidence)
    made = gather_incident(
        line,
        taken,
        verification=verification or (None if before is None else before.verification),
        inference_log=inference_log,
        tables=tables,
        evidence=evidence,
        models=models,
        loader=loader,
        experiments=experiments,
        deployments=deployments,
        now=now,
    )
    made = with_follow_ups(carried_on(made, before))
    if words is not None:
        made = with_follow_ups(with_words(made, words, at=now.isoformat()))
    kept = as_revision(made, before)
    if before is not None and kept != before:
        evidence.record(line.name, INCIDENT_HISTORY, before.digest, before.to_json())
    if kept != before:
        evidence.record(line.name, INCIDENT, kept.incident_id, kept.to_json())
    page = reports.incident_page(kept)
    name = f"incident-{kept.incident_id}.html"
    place = reports.keep(line.name, name, page)
    _keep_in_run(line, kept, name, page, evidence=evidence, experiments=experiments)
    return WrittenIncident(
        incident=kept, changed=kept != before, place=place, page_digest=digest_of_bytes(page)
    )


def _keep_in_run(
    line: ReleaseLine,
    incident: Incident,
    name: str,
    page: bytes,
    *,
    evidence: EvidenceStore,
    experiments: Experiments,
) -> None:
    """Beside the run that trained the bad version, if it is there; the file stands either way."""
    with suppress(MlReleaseError):
        record = find_candidate(line, incident.bad.model_digest, evidence=evidence)
        experiments.resume(record.run_id).keep("incident", {name: page})
