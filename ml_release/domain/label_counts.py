"""What was counted when late labels were gathered, and the record of it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from ml_release.errors import IntegrityError


class LabelCounts(BaseModel):
    """The rows one source told at one gathering; each is counted once.

    Attributes
    ----------
    told
        All of them: the sum of the others.
    unusable
        The label is neither 0 nor 1, or the request or the time it was known is not stated.
    unknown
        No such request was served (yet): a snapshot holds the outcomes of all its rows.
    early
        Known before the event.
    not_due
        Known later than now.
    repeated
        The request has this label already, from here or elsewhere.
    contradicting
        The request has the other label already; the first one stands.
    gathered
        New labels that were kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    told: NonNegativeInt = 0
    unusable: NonNegativeInt = 0
    unknown: NonNegativeInt = 0
    early: NonNegativeInt = 0
    not_due: NonNegativeInt = 0
    repeated: NonNegativeInt = 0
    contradicting: NonNegativeInt = 0
    gathered: NonNegativeInt = 0


class LabelsRecord(BaseModel):
    """The labels of a line after a gathering.

    Attributes
    ----------
    labels
        Requests whose label was gathered, ever.
    contradicted
        Those of them of which some source still tells the other label.
    digest
        Over the digests of the partitions of the labels table; None without labels.
    sources
        Counts of this gathering by source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    labels: int = Field(ge=0)
    contradicted: int = Field(ge=0)
    digest: str | None
    sources: Mapping[str, LabelCounts]


def labels_from_json(content: bytes) -> LabelsRecord:
    """Read a record back; `IntegrityError` if it is none."""
    try:
        return LabelsRecord.model_validate_json(content)
    except ValidationError as error:
        message = f"gathered labels: expected a record of them, found something else ({error})"
        raise IntegrityError(message) from error
