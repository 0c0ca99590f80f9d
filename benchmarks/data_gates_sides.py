"""The two sides of data_gates.py, each measured in the process that this file is run in.

python benchmarks/data_gates_sides.py make|ours|peer FOLDER ROWS [PARTITION]
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from many_flights import OTHERS, PARTITION, flights, line_for, schema

from ml_release.adapters.landing_files import LandingFiles
from ml_release.domain.data_gates import judge_snapshot
from ml_release.domain.identity import SnapshotId
from ml_release.domain.verdict import Outcome
from ml_release.workflows.snapshot_evidence import gather_evidence
from ml_release.workflows.snapshots import read_landed

if TYPE_CHECKING:
    import pandas as pd

    from ml_release.domain.column_profile import PartitionProfile
    from ml_release.domain.data_gates import SnapshotEvidence
    from ml_release.spec.release_line import ReleaseLine

REFERENCE_ROWS = 200_000
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def peak_gib() -> float:
    """The largest resident memory of this process since its start, or since it was forgotten."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def forget_peak() -> None:
    """Give back what reading left over, and start anew with the memory that is in use now."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def make(folder: Path, partition: str, *, rows: int) -> dict[str, Any]:
    """Land one partition of that many rows."""
    path = folder / str(rows) / "flights" / f"{partition}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    flights(partition, rows).to_parquet(path)
    return {}


def counted(
    line: ReleaseLine,
    table: pd.DataFrame,
    partition: str,
    references: tuple[PartitionProfile, ...] = (),
) -> tuple[SnapshotId, SnapshotEvidence]:
    """The evidence on one partition; the digest of its rows is nobody's business here."""
    snapshot = SnapshotId(
        line=line.name,
        partition=partition,
        table_version=1,
        digest="sha256:" + "0" * 64,
        rows=len(table),
    )
    return snapshot, gather_evidence(
        line,
        table,
        snapshot=snapshot,
        other_rows=(len(table),) * len(references),
        references=references,
        now=NOW,
    )


def ours(folder: Path, rows: int) -> dict[str, Any]:
    """Judge the partition by all gates."""
    # What both sides need is loaded before the clock starts.
    import pandera.pandas  # noqa: F401
    import scipy.special  # noqa: F401

    line = line_for(rows)

    profiles = [counted(line, flights(m, REFERENCE_ROWS), m)[1].profile for m in OTHERS]
    references = tuple(profile for profile in profiles if profile is not None)
    table = read_landed(line, PARTITION, landing=LandingFiles(folder / str(rows)))
    reading = peak_gib()
    forget_peak()
    start = time.perf_counter()
    snapshot, evidence = counted(line, table, PARTITION, references)
    verdict = judge_snapshot(snapshot, evidence, line.policies.data_gates, target=line.target)
    taken = time.perf_counter() - start
    if verdict.outcome is not Outcome.PASS:
        raise SystemExit(f"the rows should pass: {[f.sentence() for f in verdict.objections]}")  # noqa: EM102, TRY003 (a script)
    return {
        "seconds": taken,
        "peak_gib": peak_gib(),
        "reading_peak_gib": reading,
        "table_gib": float(table.memory_usage().sum()) / 2**30,
        "rules": len(line.policies.data_gates.judged),
        "findings": len(verdict.findings),
    }


def peer(folder: Path, rows: int) -> dict[str, Any]:
    """Validate the partition with pandera, and compare it with another one with Evidently."""
    import warnings

    import pandera.pandas  # noqa: F401

    warnings.simplefilter("ignore")
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    line = line_for(rows)
    landing = LandingFiles(folder / str(rows))
    current, other = (read_landed(line, p, landing=landing) for p in (PARTITION, OTHERS[0]))
    kinds: dict[str, list[str]] = {"f": [], "i": [], "O": [], "M": []}
    for name in current:
        kinds[current[name].dtype.kind].append(str(name))
    definition = DataDefinition(
        numerical_columns=kinds["f"] + kinds["i"],
        categorical_columns=kinds["O"],
        datetime_columns=kinds["M"],
    )
    forget_peak()
    start = time.perf_counter()
    schema().validate(current, lazy=True)
    validated = time.perf_counter()
    Report([DataDriftPreset()]).run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(other, data_definition=definition),
    )
    end = time.perf_counter()
    return {
        "seconds": end - start,
        "pandera_s": validated - start,
        "evidently_s": end - validated,
        "peak_gib": peak_gib(),
    }


def main() -> None:
    """Measure one side, and print what was measured as one JSON line."""
    side, folder, rows, *partition = sys.argv[1:]
    if side == "make":
        measured = make(Path(folder), *partition, rows=int(rows))
    else:
        measured = {"ours": ours, "peer": peer}[side](Path(folder), int(rows))
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
