"""Recorded verdicts and candidates as files, written in one step and never half."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from ml_release.domain.identity import check_line_name, digest_of_bytes

_NEWEST = "newest"


class EvidenceFiles:
    """`EvidenceStore` in a folder: ``<line>/<kind>/<hash of the subject>.json``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def record(self, line: str, kind: str, subject: str, document: bytes) -> str:
        """Keep a document as the newest of its subject and of its kind; return its digest."""
        folder = self._folder(line, kind)
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / _file_name(subject), document)
        _replace(folder / _NEWEST, subject.encode())
        return digest_of_bytes(document)

    def find(self, line: str, kind: str, subject: str) -> bytes | None:
        """The newest document of a subject, None if there is none."""
        try:
            return (self._folder(line, kind) / _file_name(subject)).read_bytes()
        except FileNotFoundError:
            return None

    def newest_subject(self, line: str, kind: str) -> str | None:
        """The subject recorded last, None if there is none."""
        try:
            return (self._folder(line, kind) / _NEWEST).read_bytes().decode()
        except FileNotFoundError:
            return None

    def _folder(self, line: str, kind: str) -> Path:
        return self._root / check_line_name(line) / check_line_name(kind)


def _file_name(subject: str) -> str:
    # Subjects are digests or free names; hashing makes any of them a safe file name.
    return hashlib.sha256(subject.encode()).hexdigest() + ".json"


def _replace(path: Path, content: bytes) -> None:
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(draft).replace(path)
