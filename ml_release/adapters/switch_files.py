"""Pulled kill switches, one small JSON file per line and environment, replaced in one step."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from ml_release.domain.identity import check_line_name
from ml_release.domain.kill_switch import pulled_from_json
from ml_release.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.kill_switch import Pulled


class SwitchFiles:
    """`Switches` in a folder: ``<root>/<environment>/<line>.json``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def pull(self, line: str, environment: str, pulled: Pulled) -> None:
        """Keep what was done; `UnavailableError` if it cannot be."""
        folder = self._root / environment
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=folder, prefix=".draft-")
            with os.fdopen(handle, "wb") as file:
                file.write(pulled.to_json())
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self._path(line, environment))  # noqa: PTH105 (draft is a plain string)
        except OSError as error:
            message = f"kill switch of {line}: it cannot be kept in {folder} ({error})"
            raise UnavailableError(message) from error

    def lines(self, environment: str) -> tuple[str, ...]:
        """Lines whose switch was pulled and is not in Git yet."""
        return tuple(sorted(path.stem for path in (self._root / environment).glob("[a-z]*.json")))

    def read(self, line: str, environment: str) -> Pulled | None:
        """What was done last and is not in Git yet; None if there is nothing."""
        try:
            content = self._path(line, environment).read_bytes()
        except FileNotFoundError:
            return None
        return pulled_from_json(content)

    def clear(self, line: str, environment: str, pulled: Pulled) -> bool:
        """Forget exactly this; False if something else was done since."""
        if self.read(line, environment) != pulled:
            return False
        self._path(line, environment).unlink(missing_ok=True)
        return True

    def _path(self, line: str, environment: str) -> Path:
        return self._root / environment / f"{check_line_name(line)}.json"
