"""Measures a model artefact in a process of its own: its memory, and no harm if it crashes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.gates_servability import Servability
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.features import Columns

# By name: the endpoint server stands in a layer above, and runs without this one's process.
_MODULE = "ml_release.serving.measure"
_ROWS_FILE = "rows.json"


class ModelProcess:
    """`ServabilityProbe` with the endpoint server's own loader.

    Parameters
    ----------
    timeout_s
        A model that takes longer for everything cannot be served.
    """

    def __init__(self, *, timeout_s: float = 120.0) -> None:
        self._timeout_s = timeout_s

    def measure(self, files: Mapping[str, bytes], values: Columns) -> Servability:
        """Load time, latency and memory; `IntegrityError` with what the process said."""
        with tempfile.TemporaryDirectory(prefix="ml_release-measure-") as folder:
            for name, content in files.items():
                (Path(folder) / Path(name).name).write_bytes(content)
            (Path(folder) / _ROWS_FILE).write_text(json.dumps(_document(values)), encoding="utf-8")
            try:
                ended = subprocess.run(
                    [sys.executable, "-m", _MODULE, folder],
                    capture_output=True,
                    text=True,
                    timeout=self._timeout_s,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                message = (
                    f"model artefact: expected answers to {_n(values)} rows within"
                    f" {self._timeout_s:g} s, found none"
                )
                raise IntegrityError(message) from error
        if ended.returncode != 0:
            words = ended.stderr.strip().splitlines()
            how = f"signal {-ended.returncode}" if ended.returncode < 0 else "an error"
            message = (
                "model artefact: expected a process that loads it and answers, it ended with"
                f" {how}: {words[-1] if words else 'without a word'}"
            )
            raise IntegrityError(message)
        return Servability(**json.loads(ended.stdout))


def _n(values: Columns) -> int:
    return len(next(iter(values.values())))


def _document(values: Columns) -> dict[str, dict[str, object]]:
    return {
        name: {
            "is_word": column.dtype == object,
            "values": [
                None if value is None or (isinstance(value, float) and np.isnan(value)) else value
                for value in column.tolist()
            ],
        }
        for name, column in values.items()
    }
