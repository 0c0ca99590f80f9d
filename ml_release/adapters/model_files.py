"""Model artefacts in a folder, one sub-folder per digest.

The digest of an artefact is the digest of its manifest, which lists the SHA-256 of every file. The
signature lies beside the manifest and is not in it: it differs from time to time, and the digest of
the same files must not. An artefact is moved into place whole, so that a reader never meets half of
one. Only data is kept: nothing here unpickles or imports what it reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ml_release.domain.artefact_forms import form_problem
from ml_release.domain.identity import (
    canonical_json,
    check_digest,
    digest_hex,
    digest_of_bytes,
)
from ml_release.domain.signed_statement import require_signed
from ml_release.errors import InputError, IntegrityError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


class Signatures(Protocol):
    """Signs files, and says what was signed."""

    def sign(self, files: Mapping[str, bytes], *, name: str) -> bytes:
        """The signature over files; its bytes differ from time to time."""

    def statement(self, signature: bytes, *, subject: str) -> bytes:
        """What was signed; `IntegrityError` if no trusted key did."""


class ModelFiles:
    """`ModelStore` in a folder."""

    def __init__(self, root: Path, signatures: Signatures) -> None:
        self._root = root
        self._signatures = signatures

    def publish(self, files: Mapping[str, bytes]) -> str:
        """Keep a set of files, signed; return the model digest.

        Files that were published before are compared. A signature of theirs that is missing, or
        of a key that is not trusted any more, is replaced: who publishes holds the files and the
        key.
        """
        if not files or not all(
            _PLAIN.fullmatch(name) and name not in {MANIFEST, SIGNATURE} for name in files
        ):
            message = (
                f"model artefact: expected plain file names other than {MANIFEST} and {SIGNATURE},"
                f" found {sorted(files)}"
            )
            raise InputError(message)
        if problem := form_problem(files):
            message = f"model artefact: {problem}. Nothing was kept."
            raise InputError(message)
        manifest = canonical_json(
            {"format": 1, "files": {n: digest_of_bytes(c) for n, c in files.items()}}
        )
        digest = digest_of_bytes(manifest)
        target = self._root / digest_hex(digest)
        if target.exists():
            # Published before: verify instead of trusting the name of the folder.
            found = self._contents(digest)
            try:
                self._require_signature(digest, found)
            except IntegrityError:
                _replace(target / SIGNATURE, self._signature(digest, {**files, MANIFEST: manifest}))
            return digest
        signature = self._signature(digest, {**files, MANIFEST: manifest})
        self._root.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._root))
        try:
            for name, content in {**files, MANIFEST: manifest, SIGNATURE: signature}.items():
                _write(draft / name, content)
            draft.chmod(0o755)
            draft.rename(target)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            if not target.exists():
                raise
        return digest

    def read(self, model_digest: str) -> dict[str, bytes]:
        """The files of an artefact, verified.

        Each file is read once, into memory, and everything after that is asked of those bytes:
        that the manifest has the model digest, that it lists these files and no others with these
        digests, that a trusted key has signed all of them and the manifest, and that each has a
        form that holds no code. The same bytes are returned, so that a file that is exchanged
        after it was verified is not read by anybody.
        """
        found = self._contents(model_digest)
        self._require_signature(model_digest, found)
        files = {n: c for n, c in found.items() if n not in {MANIFEST, SIGNATURE}}
        if problem := form_problem(files):
            message = (
                f"model {model_digest}: {problem}. It is signed, and yet nothing is loaded from it;"
                " train again, and find out who signed it."
            )
            raise IntegrityError(message)
        return files

    def _contents(self, model_digest: str) -> dict[str, bytes]:
        """Every file in the folder, the manifest compared with the digest, the others with it."""
        folder = self._root / digest_hex(model_digest)
        try:
            manifest = (folder / MANIFEST).read_bytes()
        except FileNotFoundError as error:
            message = (
                f"model {model_digest}: no artefact in {self._root}. Train and register it again,"
                " or restore the folder."
            )
            raise NotFoundError(message) from error
        subject = f"manifest of model in {folder}"
        check_digest(subject, expected=model_digest, found=digest_of_bytes(manifest))
        listed: dict[str, str] = json.loads(manifest)["files"]
        if others := sorted({p.name for p in folder.iterdir()} - {*listed, MANIFEST, SIGNATURE}):
            message = (
                f"model {model_digest}: expected no file besides those of the manifest, found"
                f" {others} in {folder}. Remove what does not belong there, and find out who put it"
                " there."
            )
            raise IntegrityError(message)
        files = {MANIFEST: manifest}
        for name, expected in listed.items():
            try:
                content = (folder / name).read_bytes()
            except FileNotFoundError as error:
                message = f"model {model_digest}: the manifest names {name}, which is missing"
                raise IntegrityError(message) from error
            subject = f"{name} of model in {folder}"
            check_digest(subject, expected=expected, found=digest_of_bytes(content))
            files[name] = content
        with contextlib.suppress(FileNotFoundError):
            files[SIGNATURE] = (folder / SIGNATURE).read_bytes()
        return files

    def _require_signature(self, model_digest: str, found: Mapping[str, bytes]) -> None:
        subject = f"model {model_digest}"
        if SIGNATURE not in found:
            message = (
                f"{subject}: expected the signature {SIGNATURE} in its folder, found none. It was"
                " made before artefacts were signed, or the file was removed; train again, or"
                " restore the file."
            )
            raise IntegrityError(message)
        statement = self._signatures.statement(found[SIGNATURE], subject=subject)
        signed = {name: content for name, content in found.items() if name != SIGNATURE}
        require_signed(statement, signed, subject=subject)

    def _signature(self, digest: str, signed: Mapping[str, bytes]) -> bytes:
        signature = self._signatures.sign(signed, name=digest_hex(digest))
        # A key that signs and is not trusted would make artefacts that nobody may load.
        self._require_signature(digest, {**signed, SIGNATURE: signature})
        return signature


def _replace(path: Path, content: bytes) -> None:
    # Drafted in the folder above: inside, a reader would take the draft for a file too many.
    handle, draft = tempfile.mkstemp(prefix=".draft-", dir=path.parent.parent)
    os.close(handle)
    _write(Path(draft), content)
    Path(draft).chmod(0o644)
    Path(draft).replace(path)


def _write(path: Path, content: bytes) -> None:
    # On disk before the folder is moved: after a power cut a file could otherwise be there empty.
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
