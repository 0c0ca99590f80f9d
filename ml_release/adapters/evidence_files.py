"""Recorded verdicts and candidates as files, written in one step, never half, and sealed.

A record decides whether a model may be released, so that one edited by hand must not count. Each
carries a message authentication code (HMAC-SHA256, RFC 2104) over its line, kind, subject and
content, under a key that is made with the folder. Who has the key can forge a record; who edits,
swaps or copies files without it is noticed when the record is read.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from ml_release.domain.identity import check_line_name, digest_of_bytes
from ml_release.errors import IntegrityError

_NEWEST = "newest"
_KEY = "key"
_KEY_BYTES = 32


class EvidenceFiles:
    """`EvidenceStore` in a folder: ``<line>/<kind>/<hash of the subject>.json``, seal first."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def record(self, line: str, kind: str, subject: str, document: bytes) -> str:
        """Keep a document as the newest of its subject and of its kind; return its digest."""
        folder = self._folder(line, kind)
        folder.mkdir(parents=True, exist_ok=True)
        seal = self._seal(line, kind, subject, document)
        _replace(folder / _file_name(subject), seal + b"\n" + document)
        seal = self._seal(line, kind, _NEWEST, subject.encode())
        _replace(folder / _NEWEST, seal + b"\n" + subject.encode())
        return digest_of_bytes(document)

    def find(self, line: str, kind: str, subject: str) -> bytes | None:
        """The newest document of a subject, None if there is none.

        Raises
        ------
        IntegrityError
            If the record was changed since it was written.
        """
        return self._read(self._folder(line, kind) / _file_name(subject), line, kind, subject)

    def newest_subject(self, line: str, kind: str) -> str | None:
        """The subject recorded last, None if there is none; `IntegrityError` as `find`."""
        content = self._read(self._folder(line, kind) / _NEWEST, line, kind, _NEWEST)
        return None if content is None else content.decode()

    def _read(self, path: Path, line: str, kind: str, subject: str) -> bytes | None:
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            return None
        seal, _, document = found.partition(b"\n")
        if not hmac.compare_digest(seal, self._seal(line, kind, subject, document)):
            message = (
                f"evidence {line} {kind} of {subject[:19]}: {path} was changed after it was"
                " recorded, or its key was. Judge again."
            )
            raise IntegrityError(message)
        return document

    def _seal(self, line: str, kind: str, subject: str, document: bytes) -> bytes:
        about = f"{line}\0{kind}\0{subject}".encode()
        code = hmac.new(self._key(), about + b"\0" + document, hashlib.sha256)
        return b"hmac-sha256:" + code.hexdigest().encode()

    def _key(self) -> bytes:
        path = self._root / _KEY
        if not path.exists():
            self._root.mkdir(parents=True, exist_ok=True)
            draft = _draft(self._root, secrets.token_bytes(_KEY_BYTES))
            try:
                # A link, not a move: of two processes that make the key at once one wins.
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_bytes()

    def _folder(self, line: str, kind: str) -> Path:
        return self._root / check_line_name(line) / check_line_name(kind)


def _file_name(subject: str) -> str:
    # Subjects are digests or free names; hashing makes any of them a safe file name.
    return hashlib.sha256(subject.encode()).hexdigest() + ".json"


def _replace(path: Path, content: bytes) -> None:
    _draft(path.parent, content).replace(path)


def _draft(folder: Path, content: bytes) -> Path:
    handle, draft = tempfile.mkstemp(dir=folder, prefix=".draft-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Path(draft)
