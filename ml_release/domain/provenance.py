"""What features and candidates were built from, by digest.

A record is evidence: an act compares it with what is current before it relies on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.build_record import BuildRecord
from ml_release.domain.calibrated_margin import CalibrationRecord
from ml_release.domain.day_spans import DaySpan
from ml_release.domain.identity import canonical_json, digest_of_json
from ml_release.domain.search import SearchRecord
from ml_release.errors import IntegrityError

# A record that names no data would leave an act nothing to compare.
Digests = Annotated[Mapping[str, str], Field(min_length=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """Digest of the canonical byte form."""
        return digest_of_json(self.model_dump(mode="json"))


class FeaturesRecord(_Record):
    """The features of one partition.

    Attributes
    ----------
    features_digest
        Digest of the feature rows.
    snapshots
        Partition to digest of every snapshot that was read: the partition's own and those before
        it that the history features look back into.
    declaration
        Digest of the declared features.
    """

    line: str
    partition: str
    features_digest: str
    snapshots: Digests
    declaration: str


class KeptOut(DaySpan):
    """Days that a candidate was not fitted on, with the labelled rows it did without for it."""

    rows: int


class CandidateRecord(_Record):
    """One trained candidate.

    Attributes
    ----------
    run_id
        Experiment-tracking run.
    partitions
        Partition to digest of the feature rows that the window holds.
    snapshots
        Partition to digest of every snapshot below those features.
    left_out
        Partition to reason of those inside the window that are set aside.
    kept_out
        Name of a declared set of days to those days: in no fit, no fold and no calibration.
    policy_digest, training_policy_digest
        Of the evaluation policy at the time, and of the training policy as it was applied: another
        budget than the declared one is another digest.
    algorithm
        Package and class of the estimator; None in a record of before this was kept.
    parameters
        What the estimator was fitted with: the declared ones, or the best of the search.
    build
        Code and environment of the process that trained it.
    search, calibration
        None if there was none.
    window_from, holdout_from, window_to
        ISO days, both ends included: fitted on ``window_from`` to the day before ``holdout_from``,
        evaluated from there to ``window_to``.
    train_rows, holdout_rows
        Labelled rows of the two parts.
    trained_by
        Who asked for it, as approvals are told from their author; None in a record of before this
        was kept.
    """

    line: str
    model_digest: str
    run_id: str
    partitions: Digests
    snapshots: Digests
    left_out: Mapping[str, str] = Field(default_factory=dict)
    kept_out: Mapping[str, KeptOut] = Field(default_factory=dict)
    feature_version: str
    policy_digest: str
    training_policy_digest: str | None = None
    seed: int
    algorithm: str | None = None
    parameters: Mapping[str, int | float | str | bool | None]
    build: BuildRecord
    search: SearchRecord | None = None
    calibration: CalibrationRecord | None = None
    window_from: str
    holdout_from: str
    window_to: str
    train_rows: int
    holdout_rows: int
    trained_at: str
    trained_by: str | None = None

    @property
    def data_digest(self) -> str:
        """Digest of the training data: every partition of the window with its digest."""
        return digest_of_json(dict(self.partitions))

    @property
    def last_partition(self) -> str:
        """Newest partition of the window."""
        return max(self.partitions)


_R = TypeVar("_R", bound=_Record)


def record_from_json(kind: type[_R], content: bytes) -> _R:
    """Read a record back.

    Raises
    ------
    IntegrityError
        If the content is not such a record.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        message = f"{kind.__name__}: expected a recorded one, found something else ({error})"
        raise IntegrityError(message) from error
