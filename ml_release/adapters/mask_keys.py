"""The key that personal values are hashed with: made once, readable by its owner only.

Whoever has the key and the log can try values until one fits. Deleting it makes the hashes of the
past unlinkable with those to come, and with any value.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from ml_release.errors import UnavailableError

_BYTES = 32


class MaskKeyFile:
    """A key in a file, read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key: bytes | None = None

    def read(self) -> bytes:
        """The key; made on first use.

        Raises
        ------
        UnavailableError
            If it cannot be read or made, or is too short. Nothing may be logged without it.
        """
        if self._key is None:
            try:
                key = self._made() if not self._path.exists() else self._path.read_bytes()
            except OSError as error:
                message = f"key of masked columns: {self._path} cannot be used ({error})"
                raise UnavailableError(message) from error
            if len(key) < _BYTES:
                message = (
                    f"key of masked columns: expected {_BYTES} bytes in {self._path}, found"
                    f" {len(key)}. Restore it, or delete it to begin with another one"
                )
                raise UnavailableError(message)
            self._key = key
        return self._key

    def _made(self) -> bytes:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp gives a file that only its owner can read.
        handle, draft = tempfile.mkstemp(dir=self._path.parent, prefix=".draft-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_BYTES))
                file.flush()
                os.fsync(file.fileno())
            # A link, not a move: of two processes that make the key at once one wins.
            os.link(draft, self._path)
        except FileExistsError:
            pass
        finally:
            Path(draft).unlink()
        return self._path.read_bytes()
