"""Binary tensors: whole values of the stated size, NaN only where a value may be missing."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.artefact import InputField, Signature
from ml_release.errors import InputError
from ml_release.serving.binary_tensors import BinaryWish, json_length, with_binary_outputs
from ml_release.serving.protocols import PredictionRequest, decode_infer
from ml_release_tests.serving.test_endpoint import INFER, Client
from ml_release_tests.serving.world import ROW, World, v2_body

NULLABLE = Signature(
    line="small_line",
    inputs=(
        InputField(name="distance", type="number", nullable=True),
        InputField(name="carrier", type="string", nullable=False),
    ),
    output="probability_late",
)
STRICT = NULLABLE.model_copy(
    update={"inputs": (InputField(name="distance", type="number", nullable=False),)}
)


def words(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def request(
    tensors: list[tuple[str, str, bytes]], *, signature: Signature = NULLABLE, **more: Any
) -> PredictionRequest:
    """Decode tensors of (name, datatype, bytes) with the shape of two rows, or as ``more`` says."""
    shape = more.pop("shape", [2])
    inputs = [
        {
            "name": name,
            "shape": shape,
            "datatype": datatype,
            "parameters": {"binary_data_size": len(part)},
        }
        for name, datatype, part in tensors
    ]
    body = json.dumps({"inputs": inputs, **more}).encode()
    return decode_infer(body, signature, binary=b"".join(part for _, _, part in tensors))


CARRIERS = ("carrier", "BYTES", words(b"UA", "É".encode()))


@pytest.mark.parametrize(
    ("datatype", "code"),
    [
        ("FP64", "<f8"),
        ("FP32", "<f4"),
        ("FP16", "<f2"),
        ("INT64", "<i8"),
        ("INT32", "<i4"),
        ("INT16", "<i2"),
        ("INT8", "<i1"),
        ("UINT64", "<u8"),
        ("UINT32", "<u4"),
        ("UINT16", "<u2"),
        ("UINT8", "<u1"),
    ],
)
@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_numbers_of_any_width_are_read(datatype: str, code: str, shape: list[int]) -> None:
    """Little endian, as float64 in the end."""
    numbers = np.array([7, 100], dtype=code).tobytes()
    found = request([("distance", datatype, numbers), CARRIERS], shape=shape)
    assert found.columns["distance"].tolist() == [7.0, 100.0]
    assert found.columns["distance"].dtype == np.float64
    assert found.columns["carrier"].tolist() == ["UA", "É"]


def test_nan_is_missing_where_a_field_may_be() -> None:
    """As null is in JSON; elsewhere it is refused with its row."""
    numbers = np.array([7, np.nan], dtype="<f4").tobytes()
    found = request([("distance", "FP32", numbers), CARRIERS])
    np.testing.assert_array_equal(found.columns["distance"], [7.0, np.nan])
    with pytest.raises(InputError, match="row 1, field 'distance': expected a number, found NaN"):
        request([("distance", "FP32", numbers)], signature=STRICT)


@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
@pytest.mark.parametrize("signature", [NULLABLE, STRICT])
def test_infinity_is_refused(signature: Signature, infinity: float) -> None:
    """In every field, with its row."""
    numbers = np.array([7, infinity], dtype="<f8").tobytes()
    tensors = [("distance", "FP64", numbers), CARRIERS][: len(signature.inputs)]
    with pytest.raises(InputError, match="row 1, field 'distance': expected a finite number"):
        request(tensors, signature=signature)


TWO = np.array([7, 8], dtype="<f8").tobytes()


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        pytest.param([("distance", "FP64", TWO[:-1])], "multiple of 8 bytes", id="half a number"),
        pytest.param([("distance", "FP64", TWO[:8]), CARRIERS], "shape", id="one of two"),
        pytest.param([("distance", "FP64", TWO * 2), CARRIERS], "shape", id="four of two"),
        pytest.param([("distance", "FP64", b""), CARRIERS], "shape", id="nothing"),
        pytest.param([("distance", "BF16", TWO), CARRIERS], "expected datatype", id="BF16"),
        pytest.param([("distance", "BOOL", b"\1\0"), CARRIERS], "expected datatype", id="BOOL"),
        pytest.param([("distance", "BYTES", words(b"1", b"2"))], "datatype", id="words"),
        pytest.param([("other", "COMPLEX", TWO)], "expected one of", id="no datatype"),
        pytest.param([("carrier", "BYTES", b"\1\0\0")], "row 0 ends early", id="half a length"),
        pytest.param([("carrier", "BYTES", b"\2\0\0\0a")], "row 0 ends early", id="half a word"),
        pytest.param(
            [("carrier", "BYTES", words(b"UA") + b"\xff\xff\xff\xff")],
            "row 1 ends early",
            id="a word of 4 GB",
        ),
        pytest.param([("carrier", "BYTES", words(b"UA", b"\xff"))], "UTF-8", id="no text"),
        pytest.param(
            [("distance", "FP64", TWO), ("carrier", "BYTES", words(b"a\0", b"b"))],
            "without NUL",
            id="NUL",
        ),
        pytest.param([("distance", "FP64", TWO)] * 2, "expected once", id="twice"),
    ],
)
def test_bytes_that_are_not_the_values_are_refused(
    tensors: list[tuple[str, str, bytes]], message: str
) -> None:
    """Cut off, too many, of another type: one error that names the field."""
    with pytest.raises(InputError, match=message):
        request(tensors)


def tensor(**more: Any) -> dict[str, Any]:
    return {"name": "distance", "shape": [2], "datatype": "FP64", **more}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (tensor(parameters={"binary_data_size": 17}), "at most the 16 bytes"),
        (tensor(parameters={"binary_data_size": -8}), "at most the 16 bytes"),
        (tensor(parameters={"binary_data_size": 10**30}), "at most the 16 bytes"),
        (tensor(parameters={"binary_data_size": "16"}), "at most the 16 bytes"),
        (tensor(parameters={"binary_data_size": True}), "at most the 16 bytes"),
        (tensor(parameters={"binary_data_size": 16}, data=[7, 8]), "found both"),
        (tensor(data=[7, 8]), "found 16 more"),
        (tensor(), "expected data, found none"),
        (tensor(parameters={"shared_memory_region": "a"}), "shares no memory"),
        (tensor(parameters={"content_type": "base64"}, data=[7, 8]), "base64"),
    ],
)
def test_a_tensor_says_where_its_values_are(given: dict[str, Any], message: str) -> None:
    """In the object or behind it, all of it and nothing else."""
    with pytest.raises(InputError, match=message):
        decode_infer(json.dumps({"inputs": [given]}).encode(), STRICT, binary=TWO)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"parameters": {"sequence_id": 3}}, "keeps no state"),
        ({"parameters": {"binary_data_output": "yes"}}, "binary_data_output: expected true"),
        (
            {"outputs": [{"name": STRICT.output, "parameters": {"classification": 2}}]},
            "sorts no classes",
        ),
        (
            {"outputs": [{"name": STRICT.output, "parameters": {"binary_data": 1}}]},
            "binary_data: expected true",
        ),
    ],
)
def test_parameters_that_change_the_answer_are_refused(more: dict[str, Any], message: str) -> None:
    """Others, as hints of a client to another server, are passed over."""
    body = {"inputs": [tensor(data=[7, 8])]}
    with pytest.raises(InputError, match=message):
        decode_infer(json.dumps({**body, **more}).encode(), STRICT)
    hints = {"parameters": {"priority": 1, "timeout": 5, "mine": "x"}}
    assert decode_infer(json.dumps({**body, **hints}).encode(), STRICT).rows == 2


@pytest.mark.parametrize("stated", ["", "-1", "1.0", "x", "²", "11", "9" * 5000])
def test_a_length_that_is_not_one_is_refused(stated: str) -> None:
    """The header is a number of bytes within the body."""
    with pytest.raises(InputError, match="inference-header-content-length: expected the bytes"):
        json_length(stated, b"x" * 10)
    assert json_length("10", b"x" * 10) == 10


def test_without_its_header_binary_data_is_no_json(world: World) -> None:
    """400, as is a length that cuts the object."""
    parts = world.parts()
    body = json.dumps(v2_body([ROW])).encode()
    for content, headers in (
        (body + TWO, {}),
        (body, {"inference-header-content-length": "5"}),
        (body + TWO, {"inference-header-content-length": str(len(body))}),
    ):
        assert Client(parts).send("POST", INFER, content, headers).status == 400


@given(
    data=st.binary(max_size=60),
    size=st.integers(0, 60),
    datatype=st.sampled_from(["FP64", "INT8", "BYTES", "FP16"]),
)
def test_any_bytes_are_read_or_refused(data: bytes, size: int, datatype: str) -> None:
    """Never another exception than an input error, and never a number that is not finite."""
    type_: Any = "string" if datatype == "BYTES" else "number"
    field = InputField(name="distance", type=type_, nullable=False)
    signature = STRICT.model_copy(update={"inputs": (field,)})
    given_tensor = {
        "name": "distance",
        "shape": [1],
        "datatype": datatype,
        "parameters": {"binary_data_size": size},
    }
    body = json.dumps({"inputs": [given_tensor]}).encode()
    try:
        found = decode_infer(body, signature, binary=data)
    except InputError:
        return
    assert found.rows == 1
    assert size == len(data)
    if type_ == "number":
        assert np.isfinite(found.columns["distance"].astype(np.float64)).all()


def test_outputs_go_out_as_they_were_asked_for() -> None:
    """An output's own word counts before that of the request; words stay in JSON."""
    answer = {
        "model_name": "small_line",
        "outputs": [
            {"name": "a", "datatype": "FP64", "shape": [2], "data": [0.25, 0.1]},
            {"name": "b", "datatype": "INT64", "shape": [2], "data": [1, 0]},
            {"name": "c", "datatype": "BYTES", "shape": [1], "data": ["x"]},
        ],
    }
    content = json.dumps(answer).encode()
    body, length = with_binary_outputs(content, BinaryWish(others=True, named={"b": False}))
    assert length is not None
    head = json.loads(body[:length])
    assert np.frombuffer(body[length:], "<f8").tolist() == [0.25, 0.1]
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert "data" not in head["outputs"][0]
    assert head["outputs"][1:] == answer["outputs"][1:]
    nothing = BinaryWish(others=False, named={"d": True})
    assert with_binary_outputs(content, nothing) == (content, None)
