"""The signature of a model artefact."""

from __future__ import annotations

import pytest

from ml_release.domain.artefact import InputField, signature_from_json, signature_of
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
