"""What the very artefact that would serve answers, and what that takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.gates_servability import ServabilityEvidence
from ml_release.errors import IntegrityError
from ml_release.workflows.training import ESTIMATOR_ANSWERS

if TYPE_CHECKING:
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.ports import EvidenceStore, ModelStore, ServabilityProbe
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.holdout_answers import Answered, Holdout

_PROBED_ROWS = 500


def servability_evidence(
    line: ReleaseLine,
    candidate: CandidateRecord,
    answered: Answered,
    holdout: Holdout,
    *,
    evidence: EvidenceStore,
    models: ModelStore,
    probe: ServabilityProbe,
) -> ServabilityEvidence:
    """Whether the artefact answers like its estimator, and what loading and asking it takes."""
    parity = _parity(line, candidate, answered, evidence=evidence)
    problem, measured, repeats = answered.problem, None, False
    if not problem and answered.model is not None and holdout.n:
        sample = holdout.sample(_PROBED_ROWS)
        first, second = (answered.model.predict(sample.values) for _ in range(2))
        repeats = bool(np.array_equal(first, second))
        try:
            measured = probe.measure(models.read(candidate.model_digest), sample.values)
        except IntegrityError as error:
            problem = str(error)
    return ServabilityEvidence(
        rows=holdout.n, parity=parity, repeats=repeats, measured=measured, problem=problem
    )


def _parity(
    line: ReleaseLine, candidate: CandidateRecord, answered: Answered, *, evidence: EvidenceStore
) -> float:
    content = evidence.find(line.name, ESTIMATOR_ANSWERS, candidate.model_digest)
    try:
        expected = np.array([] if content is None else json.loads(content), dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = (
            f"{line.name} candidate {candidate.model_digest[:19]}: expected the recorded answers of"
            f" its estimator, found something else ({error}). Train again."
        )
        raise IntegrityError(message) from error
    if expected.shape != answered.answers.shape or not len(expected):
        return float("nan")
    return float(np.max(np.abs(expected - answered.answers)))
