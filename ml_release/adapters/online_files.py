"""The online history table of each line as one JSON file, replaced in one step."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from ml_release.domain.history_table import history_table_from_json
from ml_release.domain.identity import check_line_name

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.history_table import HistoryTable


class OnlineFiles:
    """`OnlineHistory` in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, line: str) -> Path:
        """Where the table of a line is, so that a reader can see by its time that it changed."""
        return self._root / f"{check_line_name(line)}.json"

    def publish(self, line: str, table: HistoryTable) -> None:
        """Replace the table in one step."""
        path = self.path(line)
        self._root.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self._root, prefix=f".{line}-")
        with os.fdopen(handle, "wb") as file:
            file.write(table.to_json())
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)  # noqa: PTH105 (draft is a plain string)

    def read(self, line: str) -> HistoryTable | None:
        """The table, None if none was published."""
        try:
            content = self.path(line).read_bytes()
        except FileNotFoundError:
            return None
        return history_table_from_json(content)
