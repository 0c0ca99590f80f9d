"""OpenAPI: a document that others can read, and that says what the server does."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from ml_release.serving.openapi_schemas import LOCAL_TIME, PRINTABLE_ID
from ml_release.serving.request_headers import is_usable_id
from ml_release.serving.routes import ADDRESSES
from ml_release_tests.serving.test_endpoint import INFER, INVOCATIONS, Client
from ml_release_tests.serving.world import LINE, World

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def document(world: World) -> dict[str, Any]:
    document: dict[str, Any] = Client(world.parts()).get("/openapi.json").json
    return document


def test_an_independent_reader_finds_it_valid(document: dict[str, Any]) -> None:
    """OpenAPI 3.1 by openapi-spec-validator, schemas and references included."""
    validate(document, cls=OpenAPIV31SpecValidator)
    assert document["openapi"] == "3.1.0"


def test_without_lines_it_is_valid_too(tmp_path: Path) -> None:
    """Then it names the addresses that name no line."""
    document = Client(World.at(tmp_path).parts()).get("/openapi.json").json
    validate(document, cls=OpenAPIV31SpecValidator)
    assert set(document["paths"]) == {a.path for a in ADDRESSES if "{line}" not in a.path}


def test_a_line_that_is_not_loaded_is_named_without_fields(world: World) -> None:
    """Its addresses are there, and answer why they cannot."""
    world.line = "other_line"
    world.digests.clear()
    world.declare(9)
    document = Client(world.parts()).get("/openapi.json").json
    validate(document, cls=OpenAPIV31SpecValidator)
    assert "/v2/models/other_line/infer" in document["paths"]
    assert "small_line.row" in document["components"]["schemas"]
    assert "other_line.row" not in document["components"]["schemas"]


def test_every_address_is_in_it_once_per_line(document: dict[str, Any]) -> None:
    """The document and the route table cannot drift apart."""
    expected = {(a.path.replace("{line}", LINE), a.method.lower()) for a in ADDRESSES}
    found = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert found == expected


def schema_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        "$ref": f"#/components/schemas/{LINE}.{name}",
        "components": document["components"],
    }


@pytest.mark.parametrize(
    ("path", "asked", "answered"),
    [
        (INFER, "infer", "infer_answer"),
        (f"/v2/models/{LINE}/versions/1/infer", "infer", "infer_answer"),
        (INVOCATIONS, "invocations", "predictions"),
        ("/invocations", "invocations", "predictions"),
    ],
)
def test_its_examples_are_answered_as_it_says(
    world: World, document: dict[str, Any], path: str, asked: str, answered: str
) -> None:
    """Example, schema and server agree, in both directions."""
    documented = document["paths"][re.sub(r"/versions/1/", "/versions/{version}/", path)]
    content = documented["post"]["requestBody"]["content"]["application/json"]
    example = content["examples"]["example"]["value"]
    jsonschema.validate(example, schema_of(document, asked), jsonschema.Draft202012Validator)
    reply = Client(world.parts()).post(path, example)
    assert reply.status == 200
    jsonschema.validate(reply.json, schema_of(document, answered), jsonschema.Draft202012Validator)


@given(st.from_regex(LOCAL_TIME, fullmatch=False).map(lambda text: text.rstrip("\n")))
def test_a_time_of_the_pattern_exists(text: str) -> None:
    """Every text that fits is a moment without a zone."""
    assert datetime.fromisoformat(text).tzinfo is None


@given(st.datetimes())
def test_every_moment_fits_the_pattern(moment: datetime) -> None:
    """Leap days and the ends of months included."""
    assert re.search(LOCAL_TIME, moment.isoformat())


@pytest.mark.parametrize(
    "text", ["2013-02-29T00:00", "1900-02-29T00:00", "0000-01-01T00:00", "2013-04-31T00:00"]
)
def test_a_time_that_does_not_exist_does_not_fit(text: str) -> None:
    """The pattern knows the calendar."""
    assert not re.search(LOCAL_TIME, text)


@given(st.text(st.characters(max_codepoint=300), max_size=130))
def test_the_pattern_of_an_id_is_the_rule_of_the_server(text: str) -> None:
    """Both say the same of any text."""
    fits = bool(re.search(PRINTABLE_ID.removesuffix("$") + r"\Z", text))
    assert fits == is_usable_id(text)
