"""What is recorded beside a model file of scikit-learn: its digest, its types, its versions."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from ml_release.domain.artefact import SKOPS_RECORD_FILE
from ml_release.errors import IntegrityError


class MarginCalibration(BaseModel):
    """Slope and intercept of a `CalibratedMargin`; the file holds the estimator inside it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    slope: float
    intercept: float


class SkopsRecord(BaseModel):
    """Written when the model was compiled, compared when it is loaded.

    Attributes
    ----------
    digest
        Of the model file.
    types
        Every type the file names, by module and class.
    scikit_learn
        The version it was fitted with. Another one may answer otherwise without a word.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    types: tuple[str, ...]
    scikit_learn: str
    calibration: MarginCalibration | None = None

    def to_json(self) -> bytes:
        """JSON form, kept in the artefact."""
        return self.model_dump_json().encode()


def skops_record_from_json(content: bytes) -> SkopsRecord:
    """Read a record back; `IntegrityError` if it is none."""
    try:
        return SkopsRecord.model_validate_json(content)
    except ValidationError as error:
        message = f"{SKOPS_RECORD_FILE}: expected a recorded model, found something else ({error})"
        raise IntegrityError(message) from error
