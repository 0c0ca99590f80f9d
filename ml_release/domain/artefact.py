"""What is in a model artefact, and the signature that says what a request has to carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.features import FeaturePlan, FieldType
from ml_release.domain.masking import Mask
from ml_release.errors import IntegrityError

MODEL_FILE = "model.onnx"
SKOPS_FILE = "model.skops"
SKOPS_RECORD_FILE = "skops.json"
PLAN_FILE = "plan.json"
SIGNATURE_FILE = "signature.json"
REFERENCE_FILE = "reference.json"
EXAMPLE_FILE = "example.json"

OutputKind = Literal["probability", "value"]


class InputField(BaseModel):
    """One column of a request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: FieldType
    nullable: bool
    description: str = ""


class Signature(BaseModel):
    """What the model takes and gives.

    Attributes
    ----------
    inputs
        Columns a request has to carry, one value per row each.
    output
        Name of the answer, one per row.
    output_kind
        ``probability`` of the positive class, from 0 to 1; or ``value`` of a regression, any
        finite number in the unit of the target.
    personal
        Input column to how its values are masked in the inference log.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    inputs: tuple[InputField, ...]
    output: str
    output_kind: OutputKind = "probability"
    personal: Mapping[str, Mask] = Field(default_factory=dict)

    def to_json(self) -> bytes:
        """JSON form, kept in the artefact.

        Without personal columns it is what it was before there were any, and so is the digest of
        the artefact.
        """
        left_out = None if self.personal else {"personal"}
        return self.model_dump_json(exclude=left_out).encode()


def signature_of(
    line: str,
    plan: FeaturePlan,
    *,
    output: str,
    output_kind: OutputKind = "probability",
    personal: Mapping[str, Mask] | None = None,
) -> Signature:
    """The signature that the features of a plan need.

    Parameters
    ----------
    personal
        Columns to mask; those that no feature of the plan uses are left out.
    """
    inputs = tuple(
        InputField(name=field.name, type=field.type, nullable=field.nullable)
        for field in plan.request_fields()
    )
    declared = personal or {}
    return Signature(
        line=line,
        inputs=inputs,
        output=output,
        output_kind=output_kind,
        personal={field.name: declared[field.name] for field in inputs if field.name in declared},
    )


def signature_from_json(content: bytes) -> Signature:
    """Read a signature back; `IntegrityError` if it is none."""
    try:
        return Signature.model_validate_json(content)
    except ValidationError as error:
        message = f"signature: expected a recorded signature, found something else ({error})"
        raise IntegrityError(message) from error
