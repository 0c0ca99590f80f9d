"""Recorded evaluations: the verdict on a candidate with the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.evaluation_measures import measures_from_json
from ml_release.domain.identity import check_digest
from ml_release.domain.verdict import verdict_from_json
from ml_release.errors import NotFoundError, RefusedError
from ml_release.workflows.training import find_candidate

if TYPE_CHECKING:
    from ml_release.domain.evaluation_measures import EvaluationMeasures
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

EVALUATION_VERDICT = "evaluation_verdict"
EVALUATION_MEASURES = "evaluation_measures"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvaluation:
    """A candidate with the verdict on it and the numbers that verdict was given on."""

    candidate: CandidateRecord
    verdict: Verdict
    measures: EvaluationMeasures


def recorded_evaluation(
    line: ReleaseLine, model_digest: str | None, *, evidence: EvidenceStore
) -> RecordedEvaluation:
    """The evaluation of a candidate, of the newest one for None.

    Raises
    ------
    NotFoundError
        If there is no such candidate, or it was not evaluated.
    RefusedError
        If the numbers are those of another verdict, or the verdict is on another record.
    IntegrityError
        If a record is not one.
    """
    candidate = find_candidate(line, model_digest, evidence=evidence)
    subject = f"{line.name} candidate {candidate.model_digest[:19]}"
    found = evidence.find(line.name, EVALUATION_VERDICT, candidate.model_digest)
    numbers = evidence.find(line.name, EVALUATION_MEASURES, candidate.model_digest)
    if found is None or numbers is None:
        message = (
            f"{subject}: expected a recorded evaluation, found"
            f" {'no verdict' if found is None else 'a verdict without its numbers'}."
            f" Materialize {line.name}/evaluation first."
        )
        raise NotFoundError(message)
    verdict, measures = verdict_from_json(found), measures_from_json(numbers)
    check_digest(
        f"verdict on {subject}", expected=candidate.model_digest, found=verdict.subject_digest
    )
    for name, expected, about in (
        ("verdict", verdict.digest, measures.verdict_digest),
        ("candidate", candidate.digest, measures.candidate_digest),
    ):
        if expected != about:
            message = (
                f"{subject}: the recorded {name} is {expected[:19]}, the numbers are about"
                f" {about[:19]}. Evaluate again."
            )
            raise RefusedError(message)
    return RecordedEvaluation(candidate=candidate, verdict=verdict, measures=measures)
