"""Two request formats to columns of the signature, and predictions back to two answer formats.

Open Inference Protocol v2 (one tensor per column) and MLflow's scoring formats (dataframe_split,
dataframe_records, instances, inputs). Both end in the same columns, checked by the same rules in
`request_columns`. Nothing is coerced: a number in quotes, a truth value or an unknown column is
refused, because a guess here would reach the model as a fact. Sizes of bodies are the transport's
concern.

https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn, cast

import msgspec

from ml_release.domain.artefact import CLASSES
from ml_release.domain.features import Columns
from ml_release.errors import InputError
from ml_release.serving.binary_tensors import BinaryData, BinaryWish
from ml_release.serving.csv_rows import values_of_csv
from ml_release.serving.plain_json import decode_plain
from ml_release.serving.request_columns import Values, columns_of
from ml_release.serving.single_row import reader_of
from ml_release.serving.tensor_types import DATATYPE, TENSOR_TYPES
from ml_release.serving.v2_parameters import Parameters, binary_wish, require_supported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.artefact import Signature

DECISION = "decision"
"""Output that stands beside the prediction where a threshold is declared."""

_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")

Predictions = Sequence[float] | Sequence[Sequence[float]]
"""One number per row, or one per row and class."""

_Scalar = int | float | str | bool | None


class PredictionRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a client asks, checked against the signature.

    Attributes
    ----------
    columns
        One array of shape (rows,) per input of the signature; a `SingleRow` for most single rows.
    request_id
        As the body names it; None if it does not.
    binary
        Which outputs go back as binary data; None for none.
    outputs
        Those the client names; empty if it names none, and gets all.
    """

    columns: Columns
    rows: int
    request_id: str | None = None
    binary: BinaryWish | None = None
    outputs: tuple[str, ...] = ()


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[_Scalar | list[_Scalar]] | None = None
    parameters: Parameters | None = None


class _RequestedOutput(msgspec.Struct):
    name: str
    parameters: Parameters | None = None


class _InferRequest(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    outputs: list[_RequestedOutput] | None = None
    parameters: Parameters | None = None


class _Output(msgspec.Struct, gc=False):
    name: str
    datatype: str
    shape: list[int]
    data: Predictions | Sequence[int]
    parameters: Parameters | msgspec.UnsetType = msgspec.UNSET


class _InferAnswer(msgspec.Struct, gc=False):
    model_name: str
    model_version: str
    id: str
    outputs: list[_Output]


_ENCODER = msgspec.json.Encoder()
_INFER = msgspec.json.Decoder(_InferRequest)
_NO_DATA = BinaryData(b"")
"""Nothing can be taken from it, so requests share it."""


def decode_infer(body: bytes, signature: Signature, *, binary: bytes = b"") -> PredictionRequest:
    """Read a request of the Open Inference Protocol v2.

    Parameters
    ----------
    body
        The JSON object.
    binary
        The values of those tensors that are sent as binary data, behind the object.

    Raises
    ------
    InputError
        If it is malformed or does not fit the signature, naming row and field.
    """
    reader = reader_of(signature)
    if not binary and (usual := reader.of_body(body)) is not None:
        return PredictionRequest(columns=usual[0], rows=1, request_id=usual[1])
    request = _decode_v2(body)
    wish = _wish(request, signature)
    outputs = tuple(output.name for output in request.outputs or ())
    is_plain = all(tensor.parameters is None for tensor in request.inputs)
    if is_plain and (row := reader.of_tensors(request.inputs)) is not None:
        # What stands behind the object belongs to no tensor then.
        (BinaryData(binary) if binary else _NO_DATA).require_all_taken()
        return PredictionRequest(
            columns=row, rows=1, request_id=request.id, binary=wish, outputs=outputs
        )
    types = {field.name: field.type for field in signature.inputs}
    given: dict[str, Values] = {}
    whole: set[str] = set()
    rows: int | None = None
    data = BinaryData(binary) if binary else _NO_DATA
    for tensor in request.inputs:
        name = tensor.name
        if name in given:
            _refuse_duplicate(name)
        type_ = types.get(name)
        if type_ is not None and tensor.datatype not in TENSOR_TYPES[type_]:
            message = (
                f"field {name!r}: expected datatype {DATATYPE[type_]} for a {type_}, found"
                f" {tensor.datatype!r}"
            )
            raise InputError(message)
        if tensor.datatype[:3] in {"INT", "UIN"}:
            whole.add(name)
        if tensor.parameters is not None:
            _take_binary(tensor, data, signature)
        values = _flat(tensor)
        rows = len(values) if rows is None else rows
        if len(values) != rows:
            message = (
                f"field {name!r}: expected {rows} rows as in the first tensor, found {len(values)}"
            )
            raise InputError(message)
        given[name] = values
    if binary:
        data.require_all_taken()
    columns = columns_of(signature, given, rows=rows or 0, whole=frozenset(whole))
    return PredictionRequest(
        columns=columns,
        rows=rows or 0,
        request_id=request.id,
        binary=wish,
        outputs=outputs,
    )


def _decode_v2(body: bytes) -> _InferRequest:
    try:
        return _INFER.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        message = f"request body: expected an inference request of protocol v2, found {error}"
        raise InputError(message) from error


def _wish(request: _InferRequest, signature: Signature) -> BinaryWish | None:
    """Which outputs are to be binary data, if all are there and nothing else is asked."""
    if request.parameters is None and not request.outputs:
        return None
    require_supported("request", request.parameters)
    outputs = request.outputs or ()
    for output in outputs:
        if output.name not in {signature.output, DECISION}:
            message = f"outputs: expected {signature.output!r}, found {output.name!r}"
            raise InputError(message)
        require_supported(f"output {output.name!r}", output.parameters)
    return binary_wish(request.parameters, [(output.name, output.parameters) for output in outputs])


def _take_binary(tensor: _Tensor, data: BinaryData, signature: Signature) -> None:
    """Put the values that stand behind the JSON object into their tensor."""
    parameters = tensor.parameters or {}
    require_supported(f"field {tensor.name!r}", parameters)
    if "binary_data_size" not in parameters:
        return
    if tensor.data is not None:
        message = f"field {tensor.name!r}: expected data or binary_data_size, found both"
        raise InputError(message)
    nullable = any(field.nullable for field in signature.inputs if field.name == tensor.name)
    size = parameters["binary_data_size"]
    tensor.data = data.take(tensor.name, tensor.datatype, size, nullable=nullable)


def _flat(tensor: _Tensor) -> Values:
    """The values of a tensor of shape [n] or [n, 1], written flat or nested."""
    if tensor.data is None:
        message = f"field {tensor.name!r}: expected data, found none"
        raise InputError(message)
    data: list[Any] = tensor.data
    n = len(data)
    is_nested = n > 0 and type(data[0]) is list
    if is_nested:
        # Anything else than one value stays as it is, and is refused as a value.
        data = [item[0] if type(item) is list and len(item) == 1 else item for item in data]
    if tensor.shape != [n, 1] and (is_nested or tensor.shape != [n]):
        message = (
            f"field {tensor.name!r}: expected shape {'' if is_nested else f'[{n}] or '}[{n}, 1],"
            f" found {tensor.shape} with {n} {'lists' if is_nested else 'values'}"
        )
        raise InputError(message)
    return data


def decode_csv(body: bytes, signature: Signature) -> PredictionRequest:
    """Read a request in MLflow's scoring format of content type text/csv.

    Raises
    ------
    InputError
        If it is malformed or does not fit the signature, naming row and field.
    """
    given, rows = values_of_csv(body, signature)
    return PredictionRequest(columns=columns_of(signature, given, rows=rows), rows=rows)


def decode_invocations(body: bytes, signature: Signature) -> PredictionRequest:
    """Read a request in one of MLflow's scoring formats in JSON.

    Its client writes a missing value of pandas as NaN, which is read as null.

    Raises
    ------
    InputError
        If it is malformed or does not fit the signature, naming row and field.
    """
    given, rows = _rows_of(body)
    if rows == 1 and (row := reader_of(signature).of_values(given)) is not None:
        return PredictionRequest(columns=row, rows=1)
    return PredictionRequest(columns=columns_of(signature, given, rows=rows), rows=rows)


def _rows_of(body: bytes) -> tuple[dict[str, Values], int]:
    """Values per column and number of rows of a request in one of MLflow's formats in JSON."""
    document = _strict_json(body)
    if (params := document.get("params")) not in (None, {}):
        message = f"params: expected none, found {str(params)[:80]!a}; a model takes rows only"
        raise InputError(message)
    found = sorted(set(document) - {"params"})
    if len(found) != 1 or found[0] not in _FORMATS:
        message = f"request body: expected exactly one of {', '.join(_FORMATS)}, found {found}"
        raise InputError(message)
    name, content = found[0], document[found[0]]
    if name == "dataframe_split":
        given, rows = _from_split(content)
    elif name == "inputs":
        given, rows = _from_columns(content)
    else:
        given, rows = _from_records(name, content)
    return given, rows


def decode_any(body: bytes, signature: Signature) -> PredictionRequest:
    """Read a request in either protocol: the example that travels in a model artefact.

    Raises
    ------
    InputError
        If it is neither.
    """
    document = _strict_json(body)
    if isinstance(document.get("inputs"), list):
        return decode_infer(body, signature)
    return decode_invocations(body, signature)


def encode_infer(
    predictions: Predictions,
    *,
    signature: Signature,
    version: int,
    request_id: str,
    decisions: Sequence[int] | None = None,
) -> bytes:
    """The answer in the Open Inference Protocol v2, decisions as a second output.

    Probabilities of k classes have the shape [n, k], row by row; the output's parameters name the
    classes.
    """
    n = len(predictions)
    output = _Output(signature.output, "FP64", [n], predictions)
    if signature.classes:
        output.shape = [n, len(signature.classes)]
        output.parameters = _class_parameters(signature)
        output.data = list(chain.from_iterable(cast("Sequence[Sequence[float]]", predictions)))
    outputs = [output]
    if decisions is not None:
        outputs.append(_Output(DECISION, "INT64", [n], decisions))
    return _ENCODER.encode(_InferAnswer(signature.line, str(version), request_id, outputs))


def _class_parameters(signature: Signature) -> dict[str, str]:
    """A parameter of the protocol is a word, a number or a truth value: the names are JSON text."""
    return {CLASSES: msgspec.json.encode(signature.classes).decode()}


def encode_static(
    predictions: Sequence[float], *, line: str, output: str, request_id: str
) -> bytes:
    """An answer that no model gave, in the Open Inference Protocol v2."""
    n = len(predictions)
    answer = _Output(output, "FP64", [n], predictions)
    return _ENCODER.encode(_InferAnswer(line, "0", request_id, [answer]))


def encode_invocations(
    predictions: Predictions,
    *,
    decisions: Sequence[int] | None = None,
    classes: tuple[str, ...] = (),
) -> bytes:
    """The answer in MLflow's scoring format, decisions beside the predictions.

    Probabilities of several classes are a list per row, as MLflow answers ``predict_proba`` of
    scikit-learn, with the names of the classes beside them.
    """
    if classes:
        return msgspec.json.encode({"predictions": predictions, "classes": classes})
    if decisions is None:
        return msgspec.json.encode({"predictions": predictions})
    return msgspec.json.encode({"predictions": predictions, "decisions": decisions})


def count_rows(body: bytes) -> tuple[int, str | None]:
    """Rows of a request of protocol v2, and the id it names, without a signature to check it.

    Raises
    ------
    InputError
        If it is not of the protocol.
    """
    request = _decode_v2(body)
    if not request.inputs:
        return 0, request.id
    first = request.inputs[0]
    # The values of a binary tensor stand elsewhere: its shape says how many there are.
    rows = len(_flat(first)) if first.data is not None else (first.shape or [0])[0]
    return max(rows, 0), request.id


def count_invocations(body: bytes) -> int:
    """Rows of a request in one of MLflow's formats in JSON; `InputError` if it is none."""
    return _rows_of(body)[1]


def model_metadata(
    signature: Signature, versions: Sequence[int], *, platform: str
) -> dict[str, object]:
    """What the Open Inference Protocol v2 tells about a model."""
    return {
        "name": signature.line,
        "versions": [str(version) for version in versions],
        "platform": platform,
        "inputs": [
            {"name": field.name, "datatype": DATATYPE[field.type], "shape": [-1]}
            for field in signature.inputs
        ],
        "outputs": [_output_metadata(signature)],
    }


def _output_metadata(signature: Signature) -> dict[str, object]:
    output: dict[str, object] = {"name": signature.output, "datatype": "FP64", "shape": [-1]}
    if signature.classes:
        output["shape"] = [-1, len(signature.classes)]
        output["parameters"] = _class_parameters(signature)
    return output


def _from_split(content: object) -> tuple[dict[str, Values], int]:
    if not isinstance(content, dict) or not {"columns", "data"} <= set(content):
        _refuse("dataframe_split", "an object with columns and data", content)
    if unknown := sorted(set(content) - {"columns", "data", "index"}):
        _refuse("dataframe_split", "columns, data and index only", unknown)
    names, table = content["columns"], content["data"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        _refuse("dataframe_split.columns", "a list of column names", names)
    if len(set(names)) != len(names):
        _refuse_duplicate(next(name for name in names if names.count(name) > 1))
    if not isinstance(table, list):
        _refuse("dataframe_split.data", "a list of rows", table)
    for row, values in enumerate(table):
        if not isinstance(values, list) or len(values) != len(names):
            size = len(values) if isinstance(values, list) else "no list"
            message = f"row {row}: expected a list of {len(names)} values, found {size}"
            raise InputError(message)
    columns = zip(*table, strict=True) if table else ((),) * len(names)
    return dict(zip(names, map(list, columns), strict=True)), len(table)


def _from_records(format_: str, content: object) -> tuple[dict[str, Values], int]:
    if not isinstance(content, list):
        _refuse(format_, "a list of objects, one per row", content)
    given: dict[str, Values] = {}
    for row, record in enumerate(content):
        if not isinstance(record, dict):
            _refuse(f"{format_}, row {row}", "an object of named fields", record)
        if row == 0:
            given = {name: [] for name in record}
        if record.keys() != given.keys():
            differing = sorted(record.keys() ^ given.keys())
            message = (
                f"{format_}, row {row}: expected the fields of row 0, found a difference in"
                f" {differing}"
            )
            raise InputError(message)
        for name, value in record.items():
            given[name].append(value)
    return given, len(content)


def _from_columns(content: object) -> tuple[dict[str, Values], int]:
    if not isinstance(content, dict):
        _refuse("inputs", "an object with a list of values per field", content)
    given: dict[str, Values] = {}
    rows: int | None = None
    for name, values in content.items():
        if not isinstance(values, list):
            _refuse(f"inputs, field {name!r}", "a list with one value per row", values)
        rows = len(values) if rows is None else rows
        if len(values) != rows:
            message = (
                f"inputs, field {name!r}: expected {rows} rows as in the first field, found"
                f" {len(values)}"
            )
            raise InputError(message)
        given[name] = values
    return given, rows or 0


def _strict_json(body: bytes) -> Mapping[str, Any]:
    """A JSON object without infinities and names that are given twice; NaN is null."""
    if (plain := decode_plain(body)) is not None:
        return plain
    try:
        document = json.loads(
            body.decode(), object_pairs_hook=_without_duplicates, parse_constant=_constant
        )
    except (ValueError, RecursionError) as error:
        message = f"request body: expected JSON, found {error}"
        raise InputError(message) from error
    if not isinstance(document, dict):
        _refuse("request body", "an object", document)
    return document


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        _refuse_duplicate(next(name for name in names if names.count(name) > 1))
    return result


def _constant(constant: str) -> None:
    if constant == "NaN":
        return
    message = f"request body: expected finite numbers, found {constant}; a missing value is null"
    raise InputError(message)


def _refuse_duplicate(name: str) -> NoReturn:
    message = f"field {name!r}: expected once, found twice"
    raise InputError(message)


def _refuse(subject: str, expected: str, found: object) -> NoReturn:
    message = f"{subject}: expected {expected}, found {type(found).__name__}"
    if isinstance(found, list):
        message = f"{subject}: expected {expected}, found {str(found)[:80]}"
    raise InputError(message)
