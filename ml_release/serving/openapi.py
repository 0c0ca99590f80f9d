"""The addresses of the server as an OpenAPI 3.1 document, for programs.

It names the lines of this moment one by one, with the fields that their models take. Addresses
whose bodies are described nowhere here are named without a schema.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml_release.serving.binary_tensors import LENGTH_HEADER
from ml_release.serving.openapi_schemas import (
    ERROR,
    PRINTABLE_ID,
    Schema,
    infer_answer_schema,
    infer_example,
    infer_schema,
    invocations_schema,
    predictions_schema,
    row_schema,
)
from ml_release.serving.protocols import decode_any
from ml_release.serving.routes import JSON_TYPE, OCTETS_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.serving.model_table import LineState, LoadedVersion
    from ml_release.serving.routes import Address

_EXAMPLE_ROWS = 2
_V2 = frozenset({"infer", "infer_version"})
_MLFLOW = frozenset({"invocations", "only_invocations"})
_PLAIN_TEXT = {"server_version": "text/plain", "page": "text/html"}
_LABEL: Schema = {
    "type": "object",
    "required": ["request_id", "label"],
    "additionalProperties": False,
    "properties": {
        "request_id": {"type": "string", "pattern": PRINTABLE_ID},
        "label": {"enum": [0, 1]},
        "event_time": {"type": ["string", "null"], "format": "date-time"},
    },
}
_LABELS: Schema = {
    "oneOf": [
        {"$ref": "#/components/schemas/label"},
        {
            "type": "object",
            "required": ["labels"],
            "additionalProperties": False,
            "properties": {
                "labels": {"type": "array", "items": {"$ref": "#/components/schemas/label"}}
            },
        },
    ]
}
_HEADERS: tuple[tuple[str, Schema, str], ...] = (
    ("x-unit-id", {"type": "string", "pattern": PRINTABLE_ID}, "what keeps its variant"),
    ("x-request-id", {"type": "string"}, "a name for the request; a random one without"),
    ("x-event-time", {"type": "string", "format": "date-time"}, "when it happened, if not now"),
)


def openapi_document(
    addresses: Sequence[Address],
    lines: Mapping[str, LineState],
    *,
    server_version: str,
    max_rows: int,
) -> dict[str, Any]:
    """All addresses, those of a line once for each line; only JSON types.

    Parameters
    ----------
    addresses
        The route table.
    lines
        As declared and as served.
    max_rows
        Of one request.
    """
    schemas: dict[str, Schema] = {"error": ERROR, "label": _LABEL}
    for line, state in lines.items():
        if state.route is not None:
            schemas |= _schemas_of(line, state.route.champion.loaded, max_rows)
    paths: dict[str, dict[str, Any]] = {}
    for address in addresses:
        names = sorted(lines) if "{line}" in address.path else [_meant_line(address, lines)]
        for line in names:
            path = address.path.replace("{line}", line)
            operation = _operation(address, path, line, lines.get(line))
            paths.setdefault(path, {})[address.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "ml_release endpoint server", "version": server_version},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _meant_line(address: Address, lines: Mapping[str, LineState]) -> str:
    """The line of MLflow's addresses, which name none; empty for all others."""
    is_meant = address.action in {"only_invocations", "only_ping"} and len(lines) == 1
    return next(iter(lines)) if is_meant else ""


def _schemas_of(line: str, loaded: LoadedVersion, max_rows: int) -> dict[str, Schema]:
    signature = loaded.signature
    row = {"$ref": f"#/components/schemas/{line}.row"}
    return {
        f"{line}.row": row_schema(signature),
        f"{line}.infer": infer_schema(signature, max_rows=max_rows),
        f"{line}.infer_answer": infer_answer_schema(signature),
        f"{line}.invocations": invocations_schema(signature, row=row, max_rows=max_rows),
        f"{line}.predictions": predictions_schema(signature),
    }


def _operation(address: Address, path: str, line: str, state: LineState | None) -> dict[str, Any]:
    loaded = None if state is None or state.route is None else state.route.champion.loaded
    operation: dict[str, Any] = {
        "operationId": re.sub(r"[^a-z0-9]+", "_", f"{address.method} {path}".lower()).strip("_"),
        "summary": address.description,
        "responses": {
            "200": {"description": "done", "content": _answer(address, line, loaded)},
            "default": {
                "description": "not done; the error says why",
                "content": {JSON_TYPE: {"schema": {"$ref": "#/components/schemas/error"}}},
            },
        },
    }
    if parameters := _parameters(address, path, state):
        operation["parameters"] = parameters
    if address.method == "POST":
        operation["requestBody"] = {
            "required": True,
            "content": {
                type_: _body(address, type_, line, loaded) for type_ in address.content_types
            },
        }
    return operation


def _parameters(address: Address, path: str, state: LineState | None) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    if "{version}" in path:
        numbers = [] if state is None or state.route is None else sorted(state.route.answering)
        schema: Schema = {"type": "string"}
        if numbers:
            schema["enum"] = [str(number) for number in numbers]
        parameters.append({"name": "version", "in": "path", "required": True, "schema": schema})
    if address.action in _V2 | _MLFLOW:
        parameters += [
            {"name": name, "in": "header", "schema": schema, "description": description}
            for name, schema, description in _HEADERS
        ]
    if address.action in _V2:
        parameters.append(
            {
                "name": LENGTH_HEADER,
                "in": "header",
                "schema": {"type": "integer", "minimum": 0},
                "description": "bytes of the JSON object, where binary data follows it",
            }
        )
    return parameters


def _body(
    address: Address, content_type: str, line: str, loaded: LoadedVersion | None
) -> dict[str, Any]:
    if content_type != JSON_TYPE:
        return {"schema": {"type": "string"}} if content_type != OCTETS_TYPE else {}
    if address.action == "labels":
        return {"schema": _LABELS}
    if loaded is None or address.action not in _V2 | _MLFLOW:
        return {"schema": {"type": "object"}}
    rows = _example_rows(loaded)
    if address.action in _V2:
        schema, example = f"{line}.infer", infer_example(loaded.signature, rows)
    else:
        schema, example = f"{line}.invocations", {"dataframe_records": rows}
    return {
        "schema": {"$ref": f"#/components/schemas/{schema}"},
        "examples": {"example": {"value": example}},
    }


def _answer(address: Address, line: str, loaded: LoadedVersion | None) -> dict[str, Any]:
    if address.action in _PLAIN_TEXT:
        return {_PLAIN_TEXT[address.action]: {}}
    if loaded is None or address.action not in _V2 | _MLFLOW:
        return {JSON_TYPE: {}}
    name = "infer_answer" if address.action in _V2 else "predictions"
    answer: dict[str, Any] = {
        JSON_TYPE: {"schema": {"$ref": f"#/components/schemas/{line}.{name}"}}
    }
    if address.action in _V2:
        answer[OCTETS_TYPE] = {}
    return answer


def _example_rows(loaded: LoadedVersion) -> list[dict[str, Any]]:
    """The first rows of the example that travels with a model, as JSON has them."""
    columns = {
        name: [_json_value(value) for value in column[:_EXAMPLE_ROWS].tolist()]
        for name, column in decode_any(loaded.example, loaded.signature).columns.items()
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _json_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    # Only NaN differs from itself; a missing moment is None already.
    return None if value != value else value  # noqa: PLR0124
