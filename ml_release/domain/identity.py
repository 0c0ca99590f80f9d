"""Names and digests: what is judged, released or served is known by the digest of its content."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.errors import DeclarationError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LINE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def digest_of_bytes(content: bytes) -> str:
    """SHA-256 of ``content`` as ``sha256:<64 hexadecimal digits>``.

    >>> digest_of_bytes(b"")[:18]
    'sha256:e3b0c44298f'
    """
    return "sha256:" + hashlib.sha256(content).hexdigest()


def canonical_json(document: object) -> bytes:
    """The one byte form of a JSON document: sorted keys, no spaces, UTF-8, no NaN.

    Raises
    ------
    ValueError
        If a number is NaN or infinite: JSON has no such value, and a digest over a
        made-up spelling would not survive another reader.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": [1.5, None]})
    b'{"a":[1.5,null],"b":1}'
    """
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest_of_json(document: object) -> str:
    """Digest of the canonical form of a JSON document."""
    return digest_of_bytes(canonical_json(document))


def check_digest(subject: str, *, expected: str, found: str) -> None:
    """Compare a digest with the declared one.

    Raises
    ------
    IntegrityError
        If they differ, naming ``subject`` and both.
    """
    if expected != found:
        message = (
            f"{subject}: expected digest {expected}, found {found}. The content was changed after"
            " it was declared; restore it or release it again."
        )
        raise IntegrityError(message)


def digest_hex(digest: str) -> str:
    """The hexadecimal part of a digest, fit for a file name.

    Raises
    ------
    IntegrityError
        If ``digest`` is not a well-formed digest: it may come from a file somebody edited, and
        it becomes part of a path.
    """
    if not _DIGEST.fullmatch(digest):
        message = f"digest {digest!r}: expected sha256: and 64 hexadecimal digits"
        raise IntegrityError(message)
    return digest.removeprefix("sha256:")


def check_line_name(name: str) -> str:
    """Return ``name`` if it can name a release line.

    Raises
    ------
    DeclarationError
        If it is not lower-case letters, digits and underscores: it becomes part of paths,
        asset keys and URLs.
    """
    if not _LINE_NAME.fullmatch(name):
        message = (
            f"release line {name!r}: expected a lower-case letter followed by at most 62 lower-case"
            " letters, digits or underscores"
        )
        raise DeclarationError(message)
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotId:
    """What identifies the rows of one partition: who, which table version, which content."""

    line: str
    partition: str
    table_version: int
    digest: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """An entry in the registry: immutable, numbered per release line, counted from 1."""

    line: str
    number: int
    model_digest: str
    tags: Mapping[str, str]
