"""``python -m ml_release.serving.measure FOLDER``: load one artefact and ask it, row by row.

In a process of its own, so that its memory is its own and a model that crashes takes nothing else
down. Reads the artefact's files and ``rows.json`` (feature to list of readable values) from the
folder and prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ml_release.errors import MlReleaseError
from ml_release.serving.loaders import serving_loader

ROWS_FILE = "rows.json"
REFUSED = 1
_STATM = Path("/proc/self/statm")


def measure(folder: Path) -> dict[str, float]:
    """Load time, latency percentiles in ms, and memory in MB of the artefact in a folder."""
    import onnxruntime  # noqa: F401 (imported first: the server has it loaded before any model)

    values = _columns(json.loads((folder / ROWS_FILE).read_bytes()))
    before = _resident_mb()
    start = perf_counter()
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ROWS_FILE}
    model = serving_loader().load(files)
    rows = [{name: column[i : i + 1] for name, column in values.items()} for i in range(_n(values))]
    model.predict(rows[0])
    load_ms = (perf_counter() - start) * 1000
    times = []
    for row in rows:
        start = perf_counter()
        model.predict(row)
        times.append((perf_counter() - start) * 1000)
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    return {
        "n": len(times),
        "load_ms": load_ms,
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "p99_ms": float(p99),
        "memory_mb": _resident_mb() - before,
    }


def _columns(document: dict[str, dict[str, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    return {
        name: np.array(column["values"], dtype=np.object_)
        if column["is_word"]
        else np.array([np.nan if v is None else v for v in column["values"]], dtype=np.float64)
        for name, column in document.items()
    }


def _n(values: dict[str, np.ndarray[Any, Any]]) -> int:
    return len(next(iter(values.values())))


def _resident_mb() -> float:
    if _STATM.exists():
        return int(_STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 1e6
    # Elsewhere only the peak is known, in bytes on macOS; Linux would carry over its parent's.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main(arguments: list[str]) -> int:
    """Measure and print; 1 with a message if the artefact is no model that can be served."""
    try:
        sys.stdout.write(json.dumps(measure(Path(arguments[0]))))
    except MlReleaseError as error:
        sys.stderr.write(str(error))
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
