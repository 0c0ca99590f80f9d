"""Our side of `drift.py` in a process of its own: seconds and memory.

    python benchmarks/drift_ours.py fit|judge FOLDER

``fit`` freezes the reference of the reference file and writes it; ``judge`` reads that reference,
counts the current file in batches into hours, adds them up and judges the sum. Reading the files
is timed. Prints one JSON line.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from ml_release.domain.bucket_profile import BucketProfile, merged  # noqa: E402 (the line before)
from ml_release.domain.drift import judge_drift  # noqa: E402
from ml_release.domain.drift_departure import WindowCounts  # noqa: E402
from ml_release.domain.drift_policy import DriftPolicy  # noqa: E402
from ml_release.domain.reference_profile import fit_profile, profile_from_json  # noqa: E402
from ml_release.workflows.bucket_counting import ModelBins, count_feature  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from ml_release.domain.reference_profile import ReferenceProfile
    from ml_release.domain.verdict import Verdict

    Columns = dict[str, npt.NDArray[np.generic]]

ROWS_PER_BATCH = 250_000
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
    """The columns of a Parquet file, so many rows at a time, in the form features have."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(ROWS_PER_BATCH):
        columns: dict[str, Any] = batch.to_pandas().to_dict("series")
        yield {name: column.to_numpy() for name, column in columns.items()}


def fit(folder: Path) -> int:
    """Freeze the reference and write it, as an artefact holds it; returns the rows."""
    parts = list(batches(folder / "reference.parquet"))
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    n = len(next(iter(values.values())))
    days = np.datetime64("2013-01-01") + np.arange(n) * REFERENCE_DAYS // n
    profile = fit_profile(values, days)
    (folder / "reference.json").write_bytes(profile.model_dump_json().encode())
    return n


def judge(folder: Path) -> int:
    """Count the current rows by hour and judge their sum; returns the rows."""
    profile = profile_from_json((folder / "reference.json").read_bytes())
    known = ModelBins.of(profile, masked=frozenset())
    buckets: dict[int, BucketProfile] = {}
    rows = 0
    for columns in batches(folder / "current.parquet"):
        n = len(next(iter(columns.values())))
        group = np.sort(np.arange(n) * HOURS // n)
        counted = {
            name: count_feature(
                own, columns[name], group, groups=HOURS, limits=known.ranges.get(name)
            )
            for name, own in known.bins.items()
        }
        for hour in range(HOURS):
            new = BucketProfile(
                line="drift",
                version=1,
                model_digest=_DIGEST,
                variant="champion",
                bucket=f"{hour:04}",
                features={name: own[hour] for name, own in counted.items()},
            )
            buckets[hour] = new if hour not in buckets else buckets[hour] + new
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
