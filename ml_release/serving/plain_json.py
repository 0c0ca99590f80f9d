"""JSON objects read fast where it is certain that no name is given twice.

The fast decoder keeps the last of two equal names without a word. But every name and every string
of a text without escapes stands between two quotation marks: if the document has half as many of
both as the text has quotation marks, nothing was dropped.
"""

from __future__ import annotations

from typing import Any

import msgspec

_DECODER = msgspec.json.Decoder()


def decode_plain(body: bytes) -> dict[str, Any] | None:
    r"""The object, None if this is no object, or not certainly one without repeated names.

    Examples
    --------
    >>> decode_plain(b'{"a": ["b", 1]}')
    {'a': ['b', 1]}
    >>> decode_plain(b'{"a": 1, "a": 1}'), decode_plain(b'{"a": "\\\\n"}'), decode_plain(b"[")
    (None, None, None)
    """
    if b"\\" in body:
        return None
    try:
        document = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if type(document) is not dict or 2 * _strings_in(document) != body.count(b'"'):
        return None
    return document


def _strings_in(document: dict[str, Any]) -> int:
    """Names and strings, at any depth."""
    found = 0
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            found += len(value)
            value = value.values()
        for item in value:
            kind = type(item)
            if kind is str:
                found += 1
            elif kind is dict or kind is list:
                waiting.append(item)
    return found
