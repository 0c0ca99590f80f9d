"""Protocols: both request formats end in the same columns, and nothing is guessed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from ml_release.domain.artefact import InputField, Signature
from ml_release.errors import InputError
from ml_release.serving.protocols import (
    PredictionRequest,
    decode_any,
    decode_infer,
    decode_invocations,
    encode_infer,
    encode_invocations,
)
from ml_release.serving.request_columns import MAX_STRING_CHARACTERS
from ml_release_tests.serving.world import ROW, v2_body

SIGNATURE = Signature(
    line="small_line",
    inputs=(
        InputField(name="distance", type="number", nullable=True),
        InputField(name="carrier", type="string", nullable=True),
        InputField(name="departure", type="timestamp", nullable=False),
    ),
    output="probability_late",
)
STRICT = Signature(
    line="small_line",
    inputs=(
        InputField(name="distance", type="number", nullable=False),
        InputField(name="carrier", type="string", nullable=False),
    ),
    output="probability_late",
)
ROWS: list[dict[str, Any]] = [
    ROW,
    {"distance": None, "carrier": None, "departure": "2013-10-02T00:00"},
    {"distance": 12, "carrier": "É", "departure": "2013-10-03"},
]
SPLIT = {
    "dataframe_split": {
        "index": [0, 1, 2],
        "columns": list(ROW),
        "data": [list(row.values()) for row in ROWS],
    }
}
BY_COLUMN = {name: [row[name] for row in ROWS] for name in ROW}


def invocations(document: object, signature: Signature = SIGNATURE) -> PredictionRequest:
    return decode_invocations(json.dumps(document).encode(), signature)


def infer(document: object, signature: Signature = SIGNATURE) -> PredictionRequest:
    return decode_infer(json.dumps(document).encode(), signature)


def nested(body: dict[str, Any]) -> dict[str, Any]:
    for tensor in body["inputs"]:
        tensor["shape"] = [*tensor["shape"], 1]
        tensor["data"] = [[value] for value in tensor["data"]]
    return body


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(v2_body(ROWS), id="v2"),
        pytest.param(nested(v2_body(ROWS)), id="v2 nested"),
        pytest.param(SPLIT, id="dataframe_split"),
        pytest.param({"dataframe_records": ROWS}, id="dataframe_records"),
        pytest.param({"instances": ROWS}, id="instances"),
        pytest.param({"inputs": BY_COLUMN}, id="inputs"),
    ],
)
def test_every_format_ends_in_the_same_columns(document: object) -> None:
    """Numbers are float64, words objects, timestamps local moments; null is missing."""
    request = decode_any(json.dumps(document).encode(), SIGNATURE)
    assert request.rows == 3
    np.testing.assert_array_equal(request.columns["distance"], [733.0, np.nan, 12.0])
    assert request.columns["carrier"].tolist() == ["UA", None, "É"]
    assert request.columns["departure"].dtype == np.dtype("datetime64[us]")
    assert request.columns["departure"][0] == np.datetime64("2013-10-01T06:30")


def row(**changes: object) -> dict[str, Any]:
    return {**ROW, **changes}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(row(distance="12"), "row 0, field 'distance': .*the string '12'", id="quoted"),
        pytest.param(row(distance=True), "'distance'.*the truth value true", id="bool"),
        pytest.param(row(distance=[1]), "'distance'", id="list"),
        pytest.param(row(distance={}), "'distance'|inputs\\[0\\].data", id="object"),
        pytest.param(row(distance=10**400), "'distance'", id="huge integer"),
        pytest.param(row(carrier=7), "'carrier': expected a string or null", id="number as word"),
        pytest.param(row(carrier=False), "'carrier'", id="bool as word"),
        pytest.param(row(carrier="x" * 257), "'carrier': expected at most 256", id="long word"),
        pytest.param(row(carrier="a\0"), "'carrier': expected text without NUL", id="NUL"),
        pytest.param(row(carrier="\ud800"), "UTF-8|surrogate", id="lone surrogate"),
        pytest.param(row(departure=None), "'departure': .*found null", id="null timestamp"),
        pytest.param(row(departure="soon"), "'departure': expected a local time", id="no time"),
        pytest.param(row(departure="2013-10-01T06:30Z"), "without a zone", id="zone Z"),
        pytest.param(row(departure="2013-10-01T06:30-04:00"), "without a zone", id="zone offset"),
        pytest.param(row(departure=1380000000), "'departure': .*found the number", id="epoch"),
        pytest.param(row(extra=1), "unknown fields 'extra'", id="unknown field"),
        pytest.param(
            {"carrier": "UA"}, r"missing fields \['distance', 'departure'\]", id="missing"
        ),
    ],
)
@pytest.mark.parametrize("decode", ["infer", "invocations"])
def test_a_value_that_does_not_fit_is_refused_by_name(
    given: dict[str, Any], message: str, decode: str
) -> None:
    """Both protocols name the row and the field, what was expected and what was found."""
    decoded, document = (
        (infer, v2_body([given]))
        if decode == "infer"
        else (invocations, {"dataframe_records": [given]})
    )
    with pytest.raises(InputError, match=message):
        decoded(document)


def test_all_problems_are_reported_together() -> None:
    """One message names the bad value of each field and the row it is in."""
    bad = {"distance": "far", "carrier": 7, "departure": "soon"}
    with pytest.raises(InputError) as caught:
        invocations({"dataframe_records": [ROW, bad]})
    for name in ROW:
        assert f"row 1, field '{name}'" in str(caught.value)


def test_null_is_refused_where_a_value_is_needed() -> None:
    """A field that is not nullable takes neither a missing number nor a missing word."""
    with pytest.raises(InputError, match="'distance': expected a number, found null") as caught:
        invocations({"inputs": {"distance": [None], "carrier": [None]}}, STRICT)
    assert "'carrier': expected a string, found null" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"inputs": {"distance": [NaN], "carrier": ["UA"]}}', id="NaN"),
        pytest.param('{"inputs": {"distance": [Infinity], "carrier": ["UA"]}}', id="Infinity"),
        pytest.param('{"inputs": {"distance": [-Infinity], "carrier": ["UA"]}}', id="-Infinity"),
        pytest.param('{"inputs": {"distance": [1e999], "carrier": ["UA"]}}', id="overflow"),
        pytest.param(
            '{"inputs": {"distance": [1], "distance": [2], "carrier": ["UA"]}}', id="twice"
        ),
        pytest.param('{"inputs": {"distance": [1], "carrier": ["UA", "DL"]}}', id="uneven"),
        pytest.param('{"inputs": {"distance": 1, "carrier": "UA"}}', id="no lists"),
        pytest.param('{"inputs": {"distance": [], "carrier": []}}', id="no rows"),
        pytest.param('{"dataframe_records": []}', id="no records"),
        pytest.param('{"dataframe_records": {"distance": 1}}', id="records as object"),
        pytest.param('{"instances": [[1, "UA"]]}', id="positional instances"),
        pytest.param(
            '{"instances": [{"distance": 1, "carrier": "UA"}, {"distance": 1}]}', id="ragged"
        ),
        pytest.param(
            '{"dataframe_records": [{"distance": 1, "distance": 2, "carrier": ""}]}',
            id="twice in a record",
        ),
        pytest.param('{"dataframe_split": {"columns": ["distance"]}}', id="split without data"),
        pytest.param(
            '{"dataframe_split": {"columns": ["distance", "distance"], "data": [[1, 2]]}}',
            id="twice in split",
        ),
        pytest.param(
            '{"dataframe_split": {"columns": ["distance", "carrier"], "data": [[1]]}}',
            id="short row in split",
        ),
        pytest.param('{"inputs": {}, "instances": []}', id="two formats"),
        pytest.param('{"rows": []}', id="unknown format"),
        pytest.param("{}", id="nothing"),
        pytest.param("[]", id="list"),
        pytest.param("null", id="null"),
        pytest.param("", id="empty"),
        pytest.param("{", id="cut off"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param('{"inputs": ' + "9" * 5000 + "}", id="number without end"),
    ],
)
def test_malformed_invocations_are_refused(text: str) -> None:
    """Whatever is wrong ends as an input error, not as another exception."""
    with pytest.raises(InputError):
        decode_invocations(text.encode(), STRICT)


def tensor(**changes: object) -> dict[str, Any]:
    return {"name": "distance", "shape": [1], "datatype": "FP64", "data": [1.5], **changes}


CARRIER = {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param([tensor(), tensor(), CARRIER], "expected once", id="twice"),
        pytest.param([tensor(shape=[2]), CARRIER], r"expected shape \[1\]", id="shape"),
        pytest.param([tensor(shape=[1, 2]), CARRIER], "shape", id="two columns"),
        pytest.param([tensor(shape=[]), CARRIER], "shape", id="scalar"),
        pytest.param([tensor(datatype="BYTES"), CARRIER], "expected datatype FP64", id="datatype"),
        pytest.param([tensor(datatype="BOOL", data=[True]), CARRIER], "datatype", id="BOOL"),
        pytest.param([tensor(datatype="INT64"), CARRIER], "a whole number", id="half an INT64"),
        pytest.param([tensor(data=[1, 2], shape=[2]), CARRIER], "expected 2 rows", id="uneven"),
        pytest.param([tensor(data=[[1]]), CARRIER], r"expected shape \[1, 1\]", id="nested"),
        pytest.param(
            [tensor(data=[[1, 2]], shape=[1, 1]), CARRIER], "found a list", id="two in a row"
        ),
        pytest.param([], "missing fields", id="no tensors"),
    ],
)
def test_malformed_tensors_are_refused(inputs: list[object], message: str) -> None:
    """Name, shape, datatype and number of values of a tensor have to agree."""
    with pytest.raises(InputError, match=message):
        infer({"inputs": inputs}, STRICT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"inputs": {"distance": [1]}}',
        '{"inputs": [{"name": "distance", "shape": [1], "datatype": "FP64", "data": [NaN]}]}',
        '{"inputs": [{"name": "distance", "shape": [1], "datatype": "FP64", "data": [1e999]}]}',
        "[" * 100_000,
        '{"inputs": [], "id": 7}',
    ],
)
def test_malformed_v2_bodies_are_refused(text: str) -> None:
    """Whatever is wrong ends as an input error, not as another exception."""
    with pytest.raises(InputError):
        decode_infer(text.encode(), STRICT)


def test_bytes_that_are_no_text_are_refused() -> None:
    """A body that is not UTF-8 is an input error in both protocols."""
    for decode in (decode_infer, decode_invocations):
        with pytest.raises(InputError):
            decode(b'{"inputs": "\xff\xfe"}', STRICT)


def test_integers_are_welcome_as_numbers() -> None:
    """INT64 data of a number field becomes float64."""
    request = infer({"inputs": [tensor(datatype="INT64", data=[7]), CARRIER], "id": "a"}, STRICT)
    assert request.columns["distance"].tolist() == [7.0]
    assert request.columns["distance"].dtype == np.float64
    assert request.request_id == "a"


def test_an_output_that_is_not_there_is_refused() -> None:
    """A client that asks for another output is told the name of the only one."""
    with pytest.raises(InputError, match="expected 'probability_late', found 'label'"):
        infer(v2_body([ROW], outputs=[{"name": "label"}]))
    assert infer(v2_body([ROW], outputs=[{"name": "probability_late"}])).rows == 1


def test_a_word_may_be_as_long_as_the_limit() -> None:
    """The limit itself is allowed."""
    word = "x" * MAX_STRING_CHARACTERS
    assert infer(v2_body([row(carrier=word)])).columns["carrier"].tolist() == [word]


def test_answers_have_the_form_of_their_protocol() -> None:
    """Version 2 names model, version, request and output; MLflow's format is a list."""
    body = encode_infer([0.25, 0.5], signature=SIGNATURE, version=3, request_id="a")
    assert json.loads(body) == {
        "model_name": "small_line",
        "model_version": "3",
        "id": "a",
        "outputs": [
            {"name": "probability_late", "datatype": "FP64", "shape": [2], "data": [0.25, 0.5]}
        ],
    }
    assert json.loads(encode_invocations([0.25, 0.5])) == {"predictions": [0.25, 0.5]}
