"""What recorded values share: no unknown field, no number that is none, one byte form, one digest.

Not done here: where they are kept, see the evidence store.
"""

from __future__ import annotations

from math import isfinite
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ml_release.domain.identity import canonical_json, digest_of_bytes
from ml_release.errors import IntegrityError


class Recorded(BaseModel):
    """A value, or a part of one, that is recorded as JSON and read back strictly."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """Digest of the canonical byte form."""
        return digest_of_bytes(self.to_json())


def known(value: float) -> float | None:
    """A number as it is recorded: None where it is NaN or infinite."""
    return float(value) if isfinite(value) else None


_Kind = TypeVar("_Kind", bound=BaseModel)


def read_recorded(
    kind: type[_Kind], content: str | bytes, subject: str, *, expected: str = "a recorded one"
) -> _Kind:
    """Read a recorded value back.

    Parameters
    ----------
    subject, expected
        What it is and what it should have been, for the message.

    Raises
    ------
    IntegrityError
        If the content is something else.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        message = f"{subject}: expected {expected}, found something else ({error})"
        raise IntegrityError(message) from error
