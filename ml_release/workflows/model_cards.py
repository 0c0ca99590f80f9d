"""Write the model card of a candidate, and read it again before an act relies on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.card_sections import build_card
from ml_release.domain.identity import digest_hex
from ml_release.domain.model_card import LineNotes, card_from_json, require_current_card
from ml_release.domain.training_reason import reason_from_json
from ml_release.domain.waivers import split_objections
from ml_release.workflows.evaluation_records import recorded_evaluation
from ml_release.workflows.training import TRAINING_REASON
from ml_release.workflows.waiving import recorded_waivers

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.model_card import ModelCard
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.training_reason import TrainingReason
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import EvidenceStore, Experiments, ModelRegistry, ReportWriter
    from ml_release.spec.release_line import ReleaseLine

MODEL_CARD = "model_card"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenCard:
    """A card that was recorded, and where its file is."""

    card: ModelCard
    place: str


def write_card(
    line: ReleaseLine,
    *,
    model_digest: str | None = None,
    evidence: EvidenceStore,
    experiments: Experiments,
    registry: ModelRegistry,
    reports: ReportWriter,
    now: datetime,
) -> WrittenCard:
    """Write the card of an evaluated candidate, of the newest one for None.

    A candidate that does not pass gets one too: it says so, and somebody may waive what holds it.

    Raises
    ------
    NotFoundError, RefusedError, IntegrityError
        As `recorded_evaluation` says.
    """
    found = recorded_evaluation(line, model_digest, evidence=evidence)
    candidate, verdict = found.candidate, found.verdict
    waivers = recorded_waivers(line, candidate.model_digest, evidence=evidence)
    _, waived = split_objections(verdict, waivers, now=now)
    versions = {v.model_digest: v.number for v in registry.versions(line.name)}
    card = build_card(
        notes_of(line),
        candidate,
        verdict,
        found.measures,
        waived=waived,
        version=versions.get(candidate.model_digest),
        asked=_reason(line, candidate.model_digest, evidence=evidence),
    )
    markdown = card.to_markdown().encode()
    place = reports.keep(line.name, f"{digest_hex(candidate.model_digest)}.card.md", markdown)
    experiments.resume(candidate.run_id).keep("evaluation", {"model_card.md": markdown})
    # Last: with it an act goes on.
    evidence.record(line.name, MODEL_CARD, candidate.model_digest, card.to_json())
    return WrittenCard(card=card, place=place)


def require_card(
    line: ReleaseLine,
    candidate: CandidateRecord,
    verdict: Verdict,
    *,
    act: str,
    evidence: EvidenceStore,
) -> ModelCard:
    """The recorded card, if it is about this candidate, this verdict and the present declaration.

    Raises
    ------
    RefusedError
        If there is none or it is stale.
    IntegrityError
        If the record was edited.
    """
    content = evidence.find(line.name, MODEL_CARD, candidate.model_digest)
    return require_current_card(
        None if content is None else card_from_json(content),
        act=act,
        subject=f"{line.name} candidate {candidate.model_digest[:19]}",
        candidate_digest=candidate.digest,
        verdict_digest=verdict.digest,
        notes_digest=notes_of(line).digest,
    )


def _reason(
    line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore
) -> TrainingReason | None:
    content = evidence.find(line.name, TRAINING_REASON, model_digest)
    return None if content is None else reason_from_json(content)


def notes_of(line: ReleaseLine) -> LineNotes:
    """What the line declares for its reviewers."""
    return LineNotes(
        line=line.name,
        objective=line.objective,
        owner=line.owner,
        task=line.task,
        target=line.target,
        output=line.output,
        label_delay=line.label_delay,
        slices=line.slices,
        sensitive=line.sensitive,
        notes=line.card,
    )
