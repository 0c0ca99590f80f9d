"""Notices as lines of a file: what there is where nobody has said whom to tell."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from ml_release.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from ml_release.domain.notices import Notice

_ONLY_OWNER = 0o600


class NoticeFile:
    """`Notifier` that appends one JSON object per notice, with the time it was written."""

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        self._path = path
        self._now = now

    def send(self, notice: Notice) -> None:
        """Append a notice in one write; `UnavailableError` if the file cannot be written."""
        entry = {"at": self._now().isoformat(), **notice.model_dump(mode="json")}
        line = json.dumps(entry, ensure_ascii=False, sort_keys=True).encode() + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            handle = os.open(self._path, flags, _ONLY_OWNER)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
        except OSError as error:
            message = f"notices {self._path}: expected a file to append to, found {error.strerror}"
            raise UnavailableError(message) from error
