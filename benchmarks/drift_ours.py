"""Our side of `drift.py` in a process of its own: seconds and memory.

    python benchmarks/drift_ours.py fit|judge FOLDER

``fit`` freezes the reference of the reference file and writes it; ``judge`` reads that reference,
counts the current file in batches into hours, adds them up and judges the sum. Reading the files
is timed. Prints one JSON line.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

# The judge imports these when it first needs them: importing is no work of either side.
for _needed in ("scipy.special", "scipy.spatial.distance", "scipy.stats"):
    importlib.import_module(_needed)

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from ml_release.domain.bucket_profile import BucketProfile, merged  # noqa: E402 (the line before)
from ml_release.domain.drift import judge_drift  # noqa: E402
from ml_release.domain.drift_departure import WindowCounts  # noqa: E402
from ml_release.domain.drift_policy import DriftPolicy  # noqa: E402
from ml_release.domain.reference_profile import fit_profile, profile_from_json  # noqa: E402
from ml_release.workflows.bucket_counting import ModelBins  # noqa: E402
from ml_release.workflows.feature_counting import count_feature  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.reference_profile import ReferenceProfile
    from ml_release.domain.verdict import Verdict

    Columns = dict[str, npt.NDArray[np.generic] | pd.Categorical]

ROWS_PER_BATCH = 65_536
HOURS = 168
DAYS = 7
REFERENCE_DAYS = 28
_DIGEST = "sha256:" + "0" * 64


def judged(profile: ReferenceProfile, counts: Mapping[str, tuple[int, ...]]) -> Verdict:
    """The one place where the judge is called."""
    return judge_drift(
        line="drift",
        profile=profile,
        window=WindowCounts(
            days=DAYS,
            counts={name: np.array(own, dtype=np.int64) for name, own in counts.items()},
        ),
        subject_digest=_DIGEST,
        policy=DriftPolicy(),
    ).verdict


def batches(path: Path) -> Iterator[Columns]:
    """The columns of a Parquet file, so many rows at a time; words with their dictionary."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    words = [field.name for field in schema if pa.types.is_string(field.type)]
    file = pq.ParquetFile(path, read_dictionary=words)
    for batch in file.iter_batches(ROWS_PER_BATCH):
        found: Columns = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            values = column.to_pandas() if name in words else None
            found[name] = column.to_numpy(zero_copy_only=False) if values is None else values.array
        yield found


def fit(folder: Path) -> int:
    """Freeze the reference and write it, as an artefact holds it; returns the rows."""
    parts = list(batches(folder / "reference.parquet"))
    values = {name: np.concatenate([_plain(part[name]) for part in parts]) for name in parts[0]}
    n = len(next(iter(values.values())))
    days = np.datetime64("2013-01-01") + np.arange(n) * REFERENCE_DAYS // n
    profile = fit_profile(values, days)
    (folder / "reference.json").write_bytes(profile.model_dump_json().encode())
    return n


def _plain(column: npt.NDArray[np.generic] | pd.Categorical) -> npt.NDArray[np.generic]:
    if isinstance(column, np.ndarray):
        return column
    words: npt.NDArray[np.generic] = np.array([*column.categories, None], dtype=np.object_)
    return words[np.asarray(column.codes)]


def judge(folder: Path) -> int:
    """Count the current rows, which are in order of time, by hour; judge their sum; the rows."""
    import pyarrow.parquet as pq

    profile = profile_from_json((folder / "reference.json").read_bytes())
    known = ModelBins.of(profile, masked=frozenset())
    path = folder / "current.parquet"
    total = pq.read_metadata(path).num_rows
    buckets: dict[int, BucketProfile] = {}
    rows = 0
    for columns in batches(path):
        n = len(next(iter(columns.values())))
        hours = (rows + np.arange(n)) * HOURS // total
        first, groups = int(hours[0]), int(hours[-1] - hours[0]) + 1
        counted = {
            name: count_feature(
                own, columns[name], hours - first, groups=groups, limits=known.ranges.get(name)
            )
            for name, own in known.bins.items()
        }
        for place in range(groups):
            new = BucketProfile(
                line="drift",
                version=1,
                model_digest=_DIGEST,
                variant="champion",
                bucket=f"{first + place:04}",
                features={name: own[place] for name, own in counted.items()},
            )
            before = buckets.get(first + place)
            buckets[first + place] = new if before is None else before + new
        rows += n
    window = merged(list(buckets.values()))
    judged(profile, {name: own.bins for name, own in window.features.items()})
    return rows


def main() -> int:
    """Run one act and print what it took."""
    act, folder = sys.argv[1], Path(sys.argv[2])
    # What it costs to import is no work of either side.
    import pandas as pd  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    start, cpu = time.perf_counter(), time.process_time()
    rows = judge(folder) if act == "judge" else fit(folder)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = {"seconds": seconds, "cpu_s": cpu, "peak_mb": peak, "rows": rows}
    sys.stdout.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
