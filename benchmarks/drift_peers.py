"""One drift library on the two files of `drift.py`, in a process of its own: seconds and memory.

    PYTHON benchmarks/drift_peers.py SIDE FOLDER

Knows nothing of ml_release, so that PYTHON may be that of another environment. Reading the files
and importing the library are not timed. Telemetry is switched off by the caller's environment.
Prints one JSON line; ends with 3 if the library is not installed.
"""

from __future__ import annotations

import importlib
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


def evidently(reference: pd.DataFrame, current: pd.DataFrame, *, method: str | None) -> str:
    """The data drift preset, by its own choice of tests or by PSI."""
    from evidently import DataDefinition, Dataset, Report, __version__
    from evidently.presets import DataDriftPreset

    numbers = [name for name in reference if reference[name].dtype != object]
    words = [name for name in reference if name not in numbers]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=words)
    sides = [Dataset.from_pandas(frame, definition) for frame in (current, reference)]
    preset = DataDriftPreset() if method is None else DataDriftPreset(method=method)
    Report([preset]).run(*sides).dict()
    return __version__


def nannyml(reference: pd.DataFrame, current: pd.DataFrame) -> str:
    """Its univariate drift calculator, by its own choice of distances, in ten chunks."""
    import nannyml as nml

    words = [name for name in reference if reference[name].dtype == object]
    calculator = nml.UnivariateDriftCalculator(
        column_names=list(reference), treat_as_categorical=words, chunk_number=10
    )
    calculator.fit(reference).calculate(current)
    return nml.__version__


def whylogs(_reference: pd.DataFrame, current: pd.DataFrame) -> str:
    """Profiling the current rows alone: less than the others do, for nothing is compared."""
    from importlib.metadata import version

    import whylogs as why

    why.log(pandas=current).view()
    return version("whylogs")


def scipy(reference: pd.DataFrame, current: pd.DataFrame) -> str:
    """A careful loop of Kolmogorov-Smirnov and chi-squared tests."""
    import numpy as np
    from scipy import __version__
    from scipy.stats import chi2_contingency, ks_2samp

    for name in reference:
        sides = [frame[name].dropna() for frame in (reference, current)]
        if reference[name].dtype != object:
            ks_2samp(*sides)
            continue
        counted = [side.value_counts() for side in sides]
        found = counted[0].index.union(counted[1].index)
        chi2_contingency(np.array([one.reindex(found, fill_value=0) for one in counted]))
    return __version__


def _import(side: str) -> None:
    """What it costs to import is no work of the library."""
    needed = {"evidently": "evidently.presets", "scipy": "scipy.stats"}
    name = side.split(maxsplit=1)[0]
    importlib.import_module(needed.get(name, name))


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
        _import(side)
        start, cpu = time.perf_counter(), time.process_time()
        version = sides[side]()
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
