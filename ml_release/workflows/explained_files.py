"""Read everything that is kept of one version again; what cannot be read is said, not raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ml_release.domain.explained_release import VersionFiles
from ml_release.domain.explanation import Sought
from ml_release.domain.verdict import verdict_from_json
from ml_release.errors import MlReleaseError, NotFoundError
from ml_release.workflows.approving import recorded_approvals
from ml_release.workflows.evaluation_records import EVALUATION_VERDICT
from ml_release.workflows.masked import masked_features
from ml_release.workflows.promotion import find_version
from ml_release.workflows.snapshots import SNAPSHOT_TABLE
from ml_release.workflows.training import find_candidate
from ml_release.workflows.waiving import recorded_waivers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.identity import SnapshotId
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import EvidenceStore, ModelRegistry, ModelStore, Tables
    from ml_release.spec.release_line import ReleaseLine

_T = TypeVar("_T")


def version_files(
    line: ReleaseLine,
    number: int,
    model_digest: str,
    *,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
) -> VersionFiles:
    """Verdict, candidate, approvals, waivers, registration, artefact and snapshots of a version."""

    def verdict() -> Verdict:
        content = evidence.find(line.name, EVALUATION_VERDICT, model_digest)
        if content is None:
            message = "no verdict is on record"
            raise NotFoundError(message)
        return verdict_from_json(content)

    def registered() -> tuple[int, str]:
        version = find_version(line, number, registry=registry)
        return version.number, version.model_digest

    candidate = sought(lambda: find_candidate(line, model_digest, evidence=evidence))
    return VersionFiles(
        verdict=sought(verdict),
        candidate=candidate,
        approvals=sought(lambda: recorded_approvals(line, model_digest, evidence=evidence)),
        waivers=sought(lambda: recorded_waivers(line, model_digest, evidence=evidence)),
        registered=sought(registered),
        artefact=sought(lambda: _artefact(model_digest, models=models)),
        snapshots={} if candidate.found is None else _snapshots(line, candidate.found, tables),
    )


def masked_of(model_digest: str, *, models: ModelStore) -> Sought[frozenset[str]]:
    """Names of the features that a model's artefact says are masked in the log."""
    return sought(lambda: masked_features(models.read(model_digest)))


def sought(look: Callable[[], _T]) -> Sought[_T]:
    """What was found, or why it was not."""
    try:
        return Sought(found=look())
    except (MlReleaseError, OSError) as error:
        return Sought(why_not=str(error))


def _artefact(model_digest: str, *, models: ModelStore) -> str:
    return f"{len(models.read(model_digest))} files, signed, of digest {model_digest}"


def _snapshots(
    line: ReleaseLine, candidate: CandidateRecord, tables: Tables
) -> dict[str, Sought[str]]:
    current = sought(lambda: {s.partition: s for s in tables.current(line.name, SNAPSHOT_TABLE)})

    def read(partition: str, digest: str) -> str:
        found: SnapshotId | None = (current.found or {}).get(partition)
        if current.found is None or found is None:
            message = current.why_not or "the table holds no such partition"
            raise NotFoundError(message)
        if found.digest != digest:
            message = f"{digest} was replaced by {found.digest} since"
            raise NotFoundError(message)
        rows = len(tables.read(found, SNAPSHOT_TABLE))
        return f"{rows} rows, {digest}"

    return {
        partition: sought(lambda partition=partition, digest=digest: read(partition, digest))  # type: ignore[misc]
        for partition, digest in candidate.snapshots.items()
    }
