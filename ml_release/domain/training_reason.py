"""Why a candidate was trained: goes with it into its run, its record and its card."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from ml_release.domain.identity import canonical_json
from ml_release.errors import IntegrityError


class TrainingReason(BaseModel):
    """Why a candidate was trained, as its run and its card keep it.

    Attributes
    ----------
    request
        Key of the governor's request; None where nobody was governed.
    backtest
        What the trial before it found, in one line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trigger: str
    reason: str
    request: str | None = None
    backtest: str | None = None
    backtest_digest: str | None = None

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(self.model_dump(mode="json"))

    def tags(self) -> dict[str, str]:
        """For the experiment-tracking run; what is not known has no tag."""
        return {
            f"ml_release.{name}": str(value)[:5000]
            for name, value in self.model_dump().items()
            if value is not None
        }


def reason_from_json(content: bytes) -> TrainingReason:
    """Read a recorded reason back; `IntegrityError` if it is none."""
    try:
        return TrainingReason.model_validate_json(content)
    except ValidationError as error:
        message = f"reason of a training: expected a recorded one, found something else ({error})"
        raise IntegrityError(message) from error
