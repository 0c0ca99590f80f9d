"""Requests that no version may accept, made out of one that it does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.artefact import Signature
    from ml_release.domain.features import FieldType

_UNKNOWN = "a_column_that_nobody_declared"
_DEPTH = 2_000
_WRONG: Mapping[FieldType, object] = {
    "number": "12",
    "string": 12,
    "timestamp": "2013-10-01T06:30:00+00:00",
}
"""Per type a value that a lenient reader would take for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A body in the place of ``dataframe_records``, and what is wrong with it."""

    name: str
    body: bytes


def malformed_requests(signature: Signature, record: Mapping[str, object]) -> tuple[Malformed, ...]:
    """Bodies in MLflow's scoring format, each with one thing wrong.

    Parameters
    ----------
    signature
        Of the version that is to refuse them.
    record
        One row that it accepts.
    """
    found = {
        "no body": b"",
        "no JSON": b"{dataframe_records: oops",
        "no UTF-8": b'{"dataframe_records": "\xff\xfe"}',
        "a list": b"[]",
        "an object of another format": b'{"rows": []}',
        "no row": _body([]),
        "a row that is no object": _body([[1, 2, 3]]),
        "not a number in JSON": b'{"dataframe_records": [{"x": NaN}]}',
        "too deep": b"[" * _DEPTH + b"]" * _DEPTH,
        "an unknown column": _body([{**record, _UNKNOWN: 1}]),
    }
    for field in signature.inputs:
        name = field.name
        without = {key: value for key, value in record.items() if key != name}
        found[f"no column {name}"] = _body([without])
        found[f"a {field.type} of another type in {name}"] = _body(
            [{**record, name: _WRONG[field.type]}]
        )
        found[f"a truth value in {name}"] = _body([{**record, name: True}])
        found[f"a list in {name}"] = _body([{**record, name: [record.get(name)]}])
        if field.type == "number":
            found[f"an infinite number in {name}"] = _body([{**record, name: "1e999"}]).replace(
                b'"1e999"', b"1e999"
            )
        if not field.nullable:
            found[f"null in {name}"] = _body([{**record, name: None}])
    return tuple(Malformed(name=name, body=body) for name, body in found.items())


def _body(rows: list[object]) -> bytes:
    return json.dumps({"dataframe_records": rows}).encode()
