"""The forms a file of a model artefact may have: by its name, and by how its content begins.

A signature says who made a file, not what reading it does. So nothing is kept or handed out that
could be a Python pickle, whoever signed it: no pickle begins as one of these forms does, because
their first byte is no instruction of a pickle, or, for an archive, refers to an object that only a
reader made for it could supply.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Suffix: what it is, and its first bytes. An ONNX graph is a protobuf message, whose field 1 is
# ir_version (onnx.proto); field 1 as a number is written as 0x08.
_FORMS = {
    ".onnx": ("an ONNX graph", b"\x08"),
    ".skops": ("an archive of skops", b"PK\x03\x04"),
    ".json": ("a JSON object", b"{"),
}
_ARCHIVE = ".skops"
_ARCHIVE_SCHEMA = "schema.json"
_ARCHIVE_SUFFIXES = (".npy", ".npz")
# PROTO, the first instruction of every pickle since protocol 2.
_PICKLE = b"\x80"


def form_problem(files: Mapping[str, bytes]) -> str | None:
    """What is wrong with the form of the first file that has none of the known ones, or None.

    Examples
    --------
    >>> form_problem({"plan.json": b"{}"})
    >>> form_problem({"model.onnx": bytes([0x80, 4])})
    'model.onnx: expected an ONNX graph, found a Python pickle'
    """
    for name, content in sorted(files.items()):
        suffix = PurePosixPath(name).suffix
        if suffix not in _FORMS:
            return f"{name}: expected one of the forms {', '.join(sorted(_FORMS))}, found another"
        what, opening = _FORMS[suffix]
        if not content.startswith(opening):
            return f"{name}: expected {what}, found {_found(content)}"
        if suffix == _ARCHIVE and (stranger := _stranger(content)):
            return f"{name}: expected {what}, found {stranger}"
    return None


def _found(content: bytes) -> str:
    if not content:
        return "an empty file"
    if content.startswith(_PICKLE):
        return "a Python pickle"
    return f"a file that begins with {content[:4]!r}"


def _stranger(content: bytes) -> str | None:
    """What an archive holds that skops does not write there: a pickle can hide in any archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        return f"no archive ({error})"
    strangers = [
        name
        for name in names
        if name != _ARCHIVE_SCHEMA and PurePosixPath(name).suffix not in _ARCHIVE_SUFFIXES
    ]
    return f"one with {strangers[0]} in it" if strangers else None
