"""Whether what is kept of a registered version is what was made: read, compared, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from ml_release.domain.identity import check_digest
from ml_release.domain.verdict import verdict_from_json
from ml_release.errors import IntegrityError, MlReleaseError, NotFoundError
from ml_release.workflows.evaluation import EVALUATION_VERDICT, VERDICT_TAG
from ml_release.workflows.promotion import find_version
from ml_release.workflows.training import CANDIDATE_TAG, find_candidate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import EvidenceStore, ModelRegistry, ModelStore
    from ml_release.spec.release_line import ReleaseLine


class Checked(BaseModel):
    """One thing that was read again; ``said`` is what checked out, or why it did not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    is_genuine: bool
    said: str


class Verification(BaseModel):
    """All that was read of one version. Whether it may be released is another question."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    version: int
    model_digest: str
    checks: tuple[Checked, ...]

    @property
    def is_genuine(self) -> bool:
        """Everything checked out."""
        return bool(self.checks) and all(check.is_genuine for check in self.checks)


def verify_version(
    line: ReleaseLine,
    number: int,
    *,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
) -> Verification:
    """Read artefact, candidate record, verdict and experiment run of a version again.

    Each is asked whatever became of the others, so that all that is wrong is said at once.

    Raises
    ------
    NotFoundError
        If there is no such version.
    """
    version = find_version(line, number, registry=registry)
    digest = version.model_digest

    def candidate() -> CandidateRecord:
        return find_candidate(line, digest, evidence=evidence)

    def verdict() -> Verdict:
        content = evidence.find(line.name, EVALUATION_VERDICT, digest)
        if content is None:
            message = f"{line.name}: expected a recorded verdict on {digest[:19]}, found none"
            raise NotFoundError(message)
        found = verdict_from_json(content)
        check_digest("verdict", expected=digest, found=found.subject_digest)
        return found

    def run() -> str:
        record = candidate()
        tags = registry.run_tags(record.run_id)
        for tag, recorded in ((CANDIDATE_TAG, record.digest), (VERDICT_TAG, verdict().digest)):
            if tags.get(tag) != recorded:
                message = (
                    f"experiment run {record.run_id}: expected {tag} to be {recorded}, found"
                    f" {tags.get(tag, 'none')}. One of the two was changed; evaluate again."
                )
                raise IntegrityError(message)
        return f"{record.run_id} carries the digests of candidate and verdict"

    return Verification(
        line=line.name,
        version=version.number,
        model_digest=digest,
        checks=(
            _checked("artefact", lambda: _artefact(models.read(digest))),
            _checked("candidate", lambda: f"recorded, sealed, trained at {candidate().trained_at}"),
            _checked("verdict", lambda: f"recorded, sealed, {verdict().outcome.value}"),
            _checked("experiment run", run),
        ),
    )


def _artefact(files: dict[str, bytes]) -> str:
    return f"{len(files)} files as listed, signed by a trusted key, none of which holds code"


def _checked(what: str, look: Callable[[], str]) -> Checked:
    try:
        return Checked(what=what, is_genuine=True, said=look())
    except MlReleaseError as error:
        return Checked(what=what, is_genuine=False, said=str(error))
