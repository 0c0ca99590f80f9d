"""JSON Schemas of what one line takes and gives, from its signature.

They are as strict as the server where JSON Schema can say it. It cannot say that the lists of a
request have to be equally long, and that a shape has to be that of its values.

https://spec.openapis.org/oas/v3.1.0#schema-object
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ml_release.serving.request_columns import MAX_STRING_CHARACTERS
from ml_release.serving.request_headers import MAX_ID_CHARACTERS
from ml_release.serving.tensor_types import DATATYPE, TENSOR_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.artefact import InputField, Signature

Schema = dict[str, Any]

_LONG, _SHORT = r"(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])", r"(0[469]|11)-(0[1-9]|[12][0-9]|30)"
_COMMON_DAY = rf"[0-9]{{4}}-({_LONG}|{_SHORT}|02-(0[1-9]|1[0-9]|2[0-8]))"
_LEAP_DAY = r"([0-9][0-9](0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
LOCAL_TIME = rf"^(?!0000)({_COMMON_DAY}|{_LEAP_DAY})T{_CLOCK}$"
"""A local time that exists, without a zone."""

PRINTABLE_ID = rf"^[!-~]([ -~]{{0,{MAX_ID_CHARACTERS - 2}}}[!-~])?$"
"""As `is_usable_id` has it."""

ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}


def value_schema(field: InputField) -> Schema:
    """One value of a field."""
    schema: Schema
    if field.type == "number":
        largest = sys.float_info.max
        schema = {"type": "number", "minimum": -largest, "maximum": largest}
    elif field.type == "string":
        schema = {"type": "string", "maxLength": MAX_STRING_CHARACTERS, "pattern": r"^[^\u0000]*$"}
    else:
        schema = {"type": "string", "pattern": LOCAL_TIME}
    if field.nullable:
        schema["type"] = [schema["type"], "null"]
    if field.description:
        schema["description"] = field.description
    return schema


def row_schema(signature: Signature) -> Schema:
    """One row: all fields, no others."""
    return _closed({field.name: value_schema(field) for field in signature.inputs})


def invocations_schema(signature: Signature, *, row: Schema, max_rows: int) -> Schema:
    """MLflow's formats in JSON; ``row`` is the schema of one row."""
    rows = {"type": "array", "minItems": 1, "maxItems": max_rows}
    names = [field.name for field in signature.inputs]
    split = {
        "type": "object",
        "required": ["columns", "data"],
        "additionalProperties": False,
        "properties": {
            "columns": {
                "type": "array",
                "items": {"enum": names},
                "minItems": len(names),
                "maxItems": len(names),
                "uniqueItems": True,
            },
            "index": {},
            "data": {**rows, "items": {"type": "array", "minItems": len(names)}},
        },
    }
    by_column = _closed(
        {field.name: {**rows, "items": value_schema(field)} for field in signature.inputs}
    )
    contents = {
        "dataframe_records": {**rows, "items": row},
        "dataframe_split": split,
        "instances": {**rows, "items": row},
        "inputs": by_column,
    }
    params = {"type": ["object", "null"], "maxProperties": 0}
    return {
        "oneOf": [
            {
                "type": "object",
                "required": [name],
                "additionalProperties": False,
                "properties": {name: content, "params": params},
            }
            for name, content in contents.items()
        ]
    }


def infer_schema(signature: Signature, *, max_rows: int) -> Schema:
    """A request of the Open Inference Protocol v2, one tensor per field."""
    tensors = [_tensor_schema(field, max_rows) for field in signature.inputs]
    each_once: list[Schema] = [
        {"contains": {"type": "object", "properties": {"name": {"const": field.name}}}}
        for field in signature.inputs
    ]
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": {"type": ["object", "null"]},
            "inputs": {
                "type": "array",
                "items": {"oneOf": tensors},
                "minItems": len(tensors),
                "maxItems": len(tensors),
                "allOf": each_once,
            },
            "outputs": {
                "type": ["array", "null"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"const": signature.output},
                        "parameters": {"type": ["object", "null"]},
                    },
                },
            },
        },
    }


def _tensor_schema(field: InputField, max_rows: int) -> Schema:
    value = value_schema(field)
    bounds = {"type": "array", "minItems": 1, "maxItems": max_rows}
    nested = {"type": "array", "items": value, "minItems": 1, "maxItems": 1}
    return {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": field.name},
            "shape": {
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": max_rows},
                "minItems": 1,
                "maxItems": 2,
            },
            "datatype": {"enum": sorted(TENSOR_TYPES[field.type])},
            "parameters": {"type": ["object", "null"]},
            "data": {"anyOf": [{**bounds, "items": value}, {**bounds, "items": nested}]},
        },
    }


def predictions_schema(signature: Signature) -> Schema:
    """The answer in MLflow's format."""
    properties: Schema = {"predictions": {"type": "array", "items": _answer_schema(signature)}}
    if signature.classes:
        properties["classes"] = {"const": list(signature.classes)}
    return {"type": "object", "required": list(properties), "properties": properties}


def infer_answer_schema(signature: Signature) -> Schema:
    """The answer in the Open Inference Protocol v2, in JSON."""
    output = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "data": {"type": "array", "items": {"type": "number"}},
            "parameters": {"type": "object"},
        },
    }
    description = f"{signature.output} is the name of the output that every request gets."
    if signature.classes:
        description += (
            f" Its shape is [rows, {len(signature.classes)}], row by row; its parameter classes"
            f" names the columns as JSON text: {', '.join(signature.classes)}."
        )
    return {
        "type": "object",
        "description": description,
        "required": ["model_name", "model_version", "id", "outputs"],
        "properties": {
            "model_name": {"const": signature.line},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": output, "minItems": 1},
        },
    }


def infer_example(signature: Signature, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows as a request of the Open Inference Protocol v2."""
    return {
        "inputs": [
            {
                "name": field.name,
                "shape": [len(rows)],
                "datatype": DATATYPE[field.type],
                "data": [row[field.name] for row in rows],
            }
            for field in signature.inputs
        ]
    }


def _answer_schema(signature: Signature) -> Schema:
    if signature.output_kind == "value":
        return {"type": "number"}
    probability: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    if signature.classes:
        k = len(signature.classes)
        return {"type": "array", "items": probability, "minItems": k, "maxItems": k}
    return probability


def _closed(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": dict(properties),
    }
