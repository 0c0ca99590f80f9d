"""What differs between the environment a model was trained in and the one that runs now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.build_record import differences
from ml_release.errors import IntegrityError, NotFoundError
from ml_release.workflows.training import find_candidate, modules_of

if TYPE_CHECKING:
    from ml_release.domain.build_record import Difference
    from ml_release.ports import EvidenceStore, Workplace
    from ml_release.spec.release_line import ReleaseLine


def environment_drift(
    line: ReleaseLine, model_digest: str, *, evidence: EvidenceStore, workplace: Workplace
) -> tuple[Difference, ...] | None:
    """Every difference, as a remark: it decides nothing. None if the record cannot be read.

    A remark must not stop what it stands beside, least of all a rollback, so that a lost or edited
    record is no error here.
    """
    try:
        candidate = find_candidate(line, model_digest, evidence=evidence)
    except (IntegrityError, NotFoundError):
        return None
    return differences(candidate.build, workplace.build(modules_of(line)))
