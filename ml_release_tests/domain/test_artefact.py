"""The signature of a model artefact."""

from __future__ import annotations

import numpy as np
import pytest

from ml_release.domain.artefact import (
    InputField,
    class_names,
    signature_from_json,
    signature_of,
)
from ml_release.domain.features import Calendar, Category, FeaturePlan, History, Number
from ml_release.errors import IntegrityError

PLAN = FeaturePlan(
    features=(
        Number(name="distance", column="distance"),
        Calendar(name="weekday", column="at", part="weekday"),
        Category(name="carrier", column="carrier"),
        History(name="late_rate", keys=("carrier", "dest")),
    ),
    vocabularies={"carrier": ("AA",)},
)


def test_a_signature_asks_for_every_column_the_features_need_and_no_other() -> None:
    """History is looked up, so its keys are asked for and its value is not."""
    signature = signature_of("line", PLAN, output="probability_late")
    assert signature.inputs == (
        InputField(name="distance", type="number", nullable=True),
        InputField(name="at", type="timestamp", nullable=False),
        InputField(name="carrier", type="string", nullable=True),
        InputField(name="dest", type="string", nullable=True),
    )
    assert (signature.line, signature.output) == ("line", "probability_late")


def test_a_signature_reads_back_from_the_artefact() -> None:
    """The server asks for what the model was made for."""
    signature = signature_of("line", PLAN, output="minutes", output_kind="value")
    assert signature_from_json(signature.to_json()) == signature


def test_a_signature_from_before_kinds_gives_probabilities() -> None:
    """What was released then is served as it was."""
    content = b'{"line":"line","inputs":[],"output":"p"}'
    assert signature_from_json(content).output_kind == "probability"


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"line":"l","inputs":[]}', b'{"line":"l","inputs":[],"output":"p","x":1}'],
)
def test_what_is_no_signature_is_refused(content: bytes) -> None:
    """A broken file is an integrity error."""
    with pytest.raises(IntegrityError, match="signature"):
        signature_from_json(content)


def test_without_personal_columns_a_signature_is_what_it_was() -> None:
    """Byte for byte, so that digests of released models stand."""
    signature = signature_of("line", PLAN, output="p")
    assert b"personal" not in signature.to_json()
    assert signature_from_json(signature.to_json()).personal == {}


def test_personal_columns_travel_with_the_model() -> None:
    """Those that it asks for."""
    signature = signature_of("line", PLAN, output="p", personal={"dest": "drop", "other": "hash"})
    assert signature_from_json(signature.to_json()).personal == {"dest": "drop"}


def test_without_classes_a_signature_is_what_it_was() -> None:
    """Byte for byte, of every other kind."""
    for kind in ("probability", "value"):
        assert b"classes" not in signature_of("line", PLAN, output="p", output_kind=kind).to_json()


def test_classes_travel_with_the_model_in_their_order() -> None:
    """The order is that of the columns of an answer."""
    names = ("late", "early", "on time")
    signature = signature_of("line", PLAN, output="p", output_kind="probabilities", classes=names)
    assert signature_from_json(signature.to_json()).classes == names


@pytest.mark.parametrize(
    ("kind", "classes"),
    [
        ("probability", ("0", "1", "2")),
        ("value", ("0", "1", "2")),
        ("probabilities", ()),
        ("probabilities", ("0", "1")),
        ("probabilities", ("0", "1", "1")),
        ("probabilities", ("0", "1", "")),
    ],
)
def test_classes_that_do_not_fit_the_kind_are_refused(kind: str, classes: tuple[str, ...]) -> None:
    """Two classes are a probability, and every column has a name of its own."""
    with pytest.raises(ValueError, match="classes: expected"):
        signature_of("line", PLAN, output="p", output_kind=kind, classes=classes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (np.array([0, 1, 2]), ("0", "1", "2")),
        (np.array([0.0, 1.5]), ("0", "1.5")),
        (np.array([False, True]), ("0", "1")),
        (np.array(["b", "a"], dtype=object), ("b", "a")),
        ((), ()),
        ([np.array([0, 1]), np.array([0, 1])], ()),
        ([np.array([0, 1]), np.array([0, 1, 2])], ()),
    ],
)
def test_classes_are_named_as_they_were_fitted(classes: object, names: tuple[str, ...]) -> None:
    """In their order; an estimator of several outputs has no one list of them."""
    assert class_names(classes) == names  # type: ignore[arg-type]
