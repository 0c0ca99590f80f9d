"""One drift library on the two files of `drift.py`, in a process of its own: seconds and memory.

    PYTHON benchmarks/drift_peers.py SIDE FOLDER

Knows nothing of ml_release, so that PYTHON may be that of another environment. Reading the files
and importing the library are not timed. Telemetry is switched off by the caller's environment.
Prints one JSON line; ends with 3 if the library is not installed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NOT_INSTALLED = 3


def evidently(reference: pd.DataFrame, current: pd.DataFrame, *, method: str | None) -> None:
    """The data drift preset, by its own choice of tests or by PSI."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(
        numerical_columns=[name for name in reference if name not in _words(reference)],
        categorical_columns=_words(reference),
    )
    sides = [Dataset.from_pandas(frame, definition) for frame in (current, reference)]
    preset = DataDriftPreset() if method is None else DataDriftPreset(method=method)
    Report([preset]).run(*sides).dict()


def nannyml(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """Its univariate drift calculator, by its own choice of distances, in ten chunks."""
    calculator = importlib.import_module("nannyml").UnivariateDriftCalculator(
        column_names=list(reference), treat_as_categorical=_words(reference), chunk_number=10
    )
    calculator.fit(reference).calculate(current)


def whylogs(_reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """Profiling the current rows alone: less than the others do, for nothing is compared."""
    importlib.import_module("whylogs").log(pandas=current).view()


def scipy(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """A careful loop of Kolmogorov-Smirnov and chi-squared tests."""
    import numpy as np
    from scipy.stats import chi2_contingency, ks_2samp

    for name in reference:
        sides = [frame[name].dropna() for frame in (reference, current)]
        if name not in _words(reference):
            ks_2samp(sides[0].to_numpy(), sides[1].to_numpy())
            continue
        counted = [side.value_counts() for side in sides]
        found = counted[0].index.union(counted[1].index)
        chi2_contingency(np.array([one.reindex(found, fill_value=0) for one in counted]))


def _words(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame if frame[name].dtype == object]


def _import(side: str) -> str:
    """Import the library, which is no work of it, and say of which version it is."""
    needed = {"evidently": "evidently.presets", "scipy": "scipy.stats"}
    name = side.split(maxsplit=1)[0]
    importlib.import_module(needed.get(name, name))
    return importlib.metadata.version(name)


def main() -> int:
    """Run one side and print what it took."""
    side, folder = sys.argv[1], Path(sys.argv[2])
    import pandas as pd

    warnings.simplefilter("ignore")
    frames = [pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "current")]
    # pandas 3 reads words as its own strings; every library knows objects.
    reference, current = (
        frame.astype({name: object for name in frame if frame[name].dtype.kind != "f"})
        for frame in frames
    )
    sides: dict[str, Any] = {
        "evidently": lambda: evidently(reference, current, method=None),
        "evidently psi": lambda: evidently(reference, current, method="psi"),
        "nannyml": lambda: nannyml(reference, current),
        "whylogs": lambda: whylogs(reference, current),
        "scipy loop": lambda: scipy(reference, current),
    }
    try:
        version = _import(side)
        start, cpu = time.perf_counter(), time.process_time()
        sides[side]()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    except ImportError as error:
        sys.stderr.write(f"{side}: {error}\n")
        return NOT_INSTALLED
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = {"seconds": seconds, "cpu_s": cpu, "peak_mb": peak, "version": version}
    sys.stdout.write(json.dumps({**line, "rows": len(current)}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
