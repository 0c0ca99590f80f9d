"""Model artefacts in a folder, one sub-folder per digest.

The digest of an artefact is the digest of its manifest, which lists the SHA-256 of every file. An
artefact is moved into place whole, so that a reader never meets half of one. Only data is kept:
nothing here unpickles or imports what it reads.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ml_release.domain.identity import (
    canonical_json,
    check_digest,
    digest_hex,
    digest_of_bytes,
)
from ml_release.errors import InputError, IntegrityError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "manifest.json"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


class ModelFiles:
    """`ModelStore` in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def publish(self, files: Mapping[str, bytes]) -> str:
        """Keep a set of files; return the model digest."""
        if not files or not all(_PLAIN.fullmatch(name) and name != MANIFEST for name in files):
            message = (
                f"model artefact: expected plain file names other than {MANIFEST}, found"
                f" {sorted(files)}"
            )
            raise InputError(message)
        manifest = canonical_json(
            {"format": 1, "files": {n: digest_of_bytes(c) for n, c in files.items()}}
        )
        digest = digest_of_bytes(manifest)
        target = self._root / digest_hex(digest)
        if target.exists():
            # Published before: verify instead of trusting the name of the folder.
            self.read(digest)
            return digest
        self._root.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._root))
        try:
            for name, content in {**files, MANIFEST: manifest}.items():
                _write(draft / name, content)
            draft.chmod(0o755)
            draft.rename(target)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            if not target.exists():
                raise
        return digest

    def read(self, model_digest: str) -> dict[str, bytes]:
        """The files of an artefact, each verified against the manifest, the manifest by digest."""
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
        files = {}
        for name, expected in json.loads(manifest)["files"].items():
            try:
                content = (folder / name).read_bytes()
            except FileNotFoundError as error:
                message = f"model {model_digest}: the manifest names {name}, which is missing"
                raise IntegrityError(message) from error
            subject = f"{name} of model in {folder}"
            check_digest(subject, expected=expected, found=digest_of_bytes(content))
            files[name] = content
        return files


def _write(path: Path, content: bytes) -> None:
    # On disk before the folder is moved: after a power cut a file could otherwise be there empty.
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
