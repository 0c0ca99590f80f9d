"""Values of gauges as files, ``<environment>/<line>.json``, each replaced in one step."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from ml_release.domain.identity import check_line_name

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.gauges import GaugeFile


class GaugeFiles:
    """`GaugeBoard` in a folder that the endpoint server reads."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def show(self, gauges: GaugeFile) -> None:
        """Put the values in the place of those before."""
        folder = self._root / check_line_name(gauges.environment)
        path = folder / f"{check_line_name(gauges.line)}.json"
        folder.mkdir(parents=True, exist_ok=True)
        # A draft does not end in .json, so that no reader takes it for a line's file.
        handle, draft = tempfile.mkstemp(dir=folder, prefix=".draft-")
        with os.fdopen(handle, "wb") as file:
            file.write(gauges.to_json())
        os.replace(draft, path)  # noqa: PTH105 (draft is a plain string)
