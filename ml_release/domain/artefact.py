"""What is in a model artefact, and the signature that says what a request has to carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

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

CLASSES = "classes"
"""Under this word a graph and an answer name several classes, in the order of their columns."""

OutputKind = Literal["probability", "probabilities", "value"]

SUM_TOLERANCE = 1e-9
"""How far from 1 the probabilities of a row may add up to, and still be an answer."""

TWO_CLASSES = ("0", "1")
"""Names of the classes of `probability`, which is that of the second."""

FEWEST_CLASSES = 3
"""Of `probabilities`: what two classes answer is one `probability`."""


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
        ``probability`` of the positive class, from 0 to 1; ``probabilities`` of all ``classes``,
        each from 0 to 1, which add to 1 within `SUM_TOLERANCE`; or ``value`` of a regression, any
        finite number in the unit of the target.
    classes
        Names of the classes in the order of their probabilities, three or more of them; empty for
        the other kinds.
    personal
        Input column to how its values are masked in the inference log.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    inputs: tuple[InputField, ...]
    output: str
    output_kind: OutputKind = "probability"
    classes: tuple[str, ...] = ()
    personal: Mapping[str, Mask] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_its_classes(self) -> Self:
        found = list(self.classes)
        if self.output_kind != "probabilities":
            if found:
                message = f"classes: expected none for a {self.output_kind}, found {found}"
                raise ValueError(message)
        elif len(found) < FEWEST_CLASSES or len({*found}) < len(found) or "" in found:
            message = (
                f"classes: expected {FEWEST_CLASSES} names or more for probabilities, each once and"
                f" none empty, found {found}. Two classes answer a probability"
            )
            raise ValueError(message)
        return self

    def to_json(self) -> bytes:
        """JSON form, kept in the artefact.

        Without personal columns it is what it was before there were any, and so is the digest of
        the artefact; without classes likewise.
        """
        left_out = {name for name in ("classes", "personal") if not getattr(self, name)}
        return self.model_dump_json(exclude=left_out).encode()


def signature_of(
    line: str,
    plan: FeaturePlan,
    *,
    output: str,
    output_kind: OutputKind = "probability",
    classes: tuple[str, ...] = (),
    personal: Mapping[str, Mask] | None = None,
) -> Signature:
    """The signature that the features of a plan need.

    Parameters
    ----------
    classes
        As `class_names` has them, for ``probabilities``.
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
        classes=classes,
        personal={field.name: declared[field.name] for field in inputs if field.name in declared},
    )


def signature_from_json(content: bytes) -> Signature:
    """Read a signature back; `IntegrityError` if it is none."""
    try:
        return Signature.model_validate_json(content)
    except ValidationError as error:
        message = f"signature: expected a recorded signature, found something else ({error})"
        raise IntegrityError(message) from error


def class_names(classes: npt.ArrayLike) -> tuple[str, ...]:
    """Names of the classes of a fitted classifier, in their order; empty if it has none.

    A word names itself, a whole number is written without a point, a truth value as 0 or 1.

    Parameters
    ----------
    classes
        ``classes_`` of an estimator of scikit-learn, shape (k,). Of one with several outputs it is
        a list of arrays, which is none here.

    Examples
    --------
    >>> class_names([0.0, 1.0, 2.0]), class_names(["early", "late"]), class_names([False, True])
    (('0', '1', '2'), ('early', 'late'), ('0', '1'))
    """
    try:
        found = np.asarray(classes)
    # Arrays of several lengths.
    except ValueError:
        return ()
    if found.ndim != 1:
        return ()
    return tuple(_class_name(value) for value in found.tolist())


def _class_name(value: object) -> str:
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return str(value)
