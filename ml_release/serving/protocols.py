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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from ml_release.errors import InputError
from ml_release.serving.plain_json import decode_plain
from ml_release.serving.request_columns import Values, columns_of
from ml_release.serving.single_row import reader_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.artefact import Signature
    from ml_release.domain.features import Columns

_TENSOR_TYPES = {
    "number": frozenset(
        {f"FP{bits}" for bits in (16, 32, 64)}
        | {f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
    ),
    "string": frozenset({"BYTES"}),
    "timestamp": frozenset({"BYTES"}),
}
_DATATYPE = {"number": "FP64", "string": "BYTES", "timestamp": "BYTES"}
_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")

_Scalar = int | float | str | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRequest:
    """What a client asks, checked against the signature.

    Attributes
    ----------
    columns
        One array of shape (rows,) per input of the signature; a `SingleRow` for most single rows.
    request_id
        As the body names it; None if it does not.
    """

    columns: Columns
    rows: int
    request_id: str | None = None


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[_Scalar | list[_Scalar]]


class _RequestedOutput(msgspec.Struct):
    name: str


class _InferRequest(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    outputs: list[_RequestedOutput] | None = None


_INFER = msgspec.json.Decoder(_InferRequest)


def decode_infer(body: bytes, signature: Signature) -> PredictionRequest:
    """Read a request of the Open Inference Protocol v2.

    Raises
    ------
    InputError
        If it is malformed or does not fit the signature, naming row and field.
    """
    request = _decode_v2(body)
    for output in request.outputs or ():
        if output.name != signature.output:
            message = f"outputs: expected {signature.output!r}, found {output.name!r}"
            raise InputError(message)
    if (row := reader_of(signature).of_tensors(request.inputs)) is not None:
        return PredictionRequest(columns=row, rows=1, request_id=request.id)
    types = {field.name: field.type for field in signature.inputs}
    given: dict[str, Values] = {}
    whole: set[str] = set()
    rows: int | None = None
    for tensor in request.inputs:
        name = tensor.name
        if name in given:
            _refuse_duplicate(name)
        type_ = types.get(name)
        if type_ is not None and tensor.datatype not in _TENSOR_TYPES[type_]:
            message = (
                f"field {name!r}: expected datatype {_DATATYPE[type_]} for a {type_}, found"
                f" {tensor.datatype!r}"
            )
            raise InputError(message)
        if tensor.datatype[:3] in {"INT", "UIN"}:
            whole.add(name)
        values = _flat(tensor)
        rows = len(values) if rows is None else rows
        if len(values) != rows:
            message = (
                f"field {name!r}: expected {rows} rows as in the first tensor, found {len(values)}"
            )
            raise InputError(message)
        given[name] = values
    columns = columns_of(signature, given, rows=rows or 0, whole=frozenset(whole))
    return PredictionRequest(columns=columns, rows=rows or 0, request_id=request.id)


def _decode_v2(body: bytes) -> _InferRequest:
    try:
        return _INFER.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        message = f"request body: expected an inference request of protocol v2, found {error}"
        raise InputError(message) from error


def _flat(tensor: _Tensor) -> Values:
    """The values of a tensor of shape [n] or [n, 1], written flat or nested."""
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


def decode_invocations(body: bytes, signature: Signature) -> PredictionRequest:
    """Read a request in one of MLflow's scoring formats.

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
    """Values per column and number of rows of a request in one of MLflow's formats."""
    document = _strict_json(body)
    found = sorted(document)
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
    predictions: Sequence[float],
    *,
    signature: Signature,
    version: int,
    request_id: str,
    decisions: Sequence[int] | None = None,
) -> bytes:
    """The answer in the Open Inference Protocol v2, decisions as a second output."""
    n = len(predictions)
    outputs: list[dict[str, object]] = [
        {"name": signature.output, "datatype": "FP64", "shape": [n], "data": predictions}
    ]
    if decisions is not None:
        outputs.append({"name": "decision", "datatype": "INT64", "shape": [n], "data": decisions})
    return msgspec.json.encode(
        {
            "model_name": signature.line,
            "model_version": str(version),
            "id": request_id,
            "outputs": outputs,
        }
    )


def encode_static(predictions: Sequence[float], *, line: str, request_id: str) -> bytes:
    """An answer that no model gave, in the Open Inference Protocol v2."""
    n = len(predictions)
    return msgspec.json.encode(
        {
            "model_name": line,
            "model_version": "0",
            "id": request_id,
            "outputs": [{"name": "static", "datatype": "FP64", "shape": [n], "data": predictions}],
        }
    )


def encode_invocations(
    predictions: Sequence[float], *, decisions: Sequence[int] | None = None
) -> bytes:
    """The answer in MLflow's scoring format, decisions beside the predictions."""
    if decisions is None:
        return msgspec.json.encode({"predictions": predictions})
    return msgspec.json.encode({"predictions": predictions, "decisions": decisions})


def count_rows(body: bytes, *, is_v2: bool) -> tuple[int, str | None]:
    """Rows of a request, and the id its body names, without a signature to check it against.

    Raises
    ------
    InputError
        If it is not of the protocol.
    """
    if is_v2:
        request = _decode_v2(body)
        return (len(_flat(request.inputs[0])) if request.inputs else 0), request.id
    return _rows_of(body)[1], None


def model_metadata(
    signature: Signature, versions: Sequence[int], *, platform: str
) -> dict[str, object]:
    """What the Open Inference Protocol v2 tells about a model."""
    return {
        "name": signature.line,
        "versions": [str(version) for version in versions],
        "platform": platform,
        "inputs": [
            {"name": field.name, "datatype": _DATATYPE[field.type], "shape": [-1]}
            for field in signature.inputs
        ],
        "outputs": [{"name": signature.output, "datatype": "FP64", "shape": [-1]}],
    }


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
    """A JSON object without NaN, infinities and names that are given twice."""
    if (plain := decode_plain(body)) is not None:
        return plain
    try:
        document = json.loads(
            body.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
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


def _refuse_constant(constant: str) -> NoReturn:
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
