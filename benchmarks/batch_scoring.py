"""What it takes to score a table that is larger than the memory one would give to it.

Ours is `score_partition`: the features of a synthetic month of flights are read from a Delta table,
verified, encoded, answered by the artefact and written to a Delta table with their keys. The floor
is a bare onnxruntime session of the same artefact on a matrix that is ready in memory: no reading,
no features, no writing. Each runs in a process of its own, one thread each. The figures:

- ``rows_per_second`` of both, and their ratio;
- ``peak_mb``: the largest resident memory of our process, ``start_mb`` of which are its imports and
  the model, beside ``table_mb``, what the table takes in memory as Arrow.

    python benchmarks/batch_scoring.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.progress import Progress

from ml_release.adapters.delta_tables import DeltaTables
from ml_release.adapters.evidence_files import EvidenceFiles
from ml_release.adapters.model_files import ModelFiles
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.onnx_models import OnnxLoader
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.domain.artefact import MODEL_FILE, PLAN_FILE, SIGNATURE_FILE, signature_of
from ml_release.domain.features import Calendar, Category, encode, fit_plan
from ml_release.domain.identity import canonical_json, digest_of_json
from ml_release.domain.provenance import FeaturesRecord
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.lines.flight_delay.line import LINE
from ml_release.workflows.batch_scoring import ROWS_PER_BATCH, score_partition
from ml_release.workflows.columns import feature_columns
from ml_release.workflows.feature_building import (
    FEATURES_RECORD,
    FEATURES_TABLE,
    declaration_digest,
)
from ml_release.workflows.scoring_version import ScoringVersion
from ml_release.workflows.snapshots import DATA_VERDICT, SNAPSHOT_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS, QUICK_ROWS = 5_000_000, 1_000_000
PARTITION = LINE.landing.first_partition
RATIO_GOAL = 0.2
"""At least this many rows a second for one of the floor."""
MEMORY_GOAL = 0.5
"""Memory on top of the start, for one of the table; of the table of the whole run."""
MISSING = 0.02
MEGABYTE = 2**20


def values(rows: int, seed: int) -> dict[str, Any]:
    """Synthetic values of every feature, with some missing."""
    rng = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for feature in LINE.features:
        if isinstance(feature, Category):
            words = np.array([f"W{n:02d}" for n in range(40)], dtype=object)
            found[feature.name] = words[rng.integers(0, len(words), rows)]
        elif isinstance(feature, Calendar):
            found[feature.name] = rng.integers(0, 1440, rows).astype(np.float64)
        else:
            found[feature.name] = np.where(
                rng.random(rows) < MISSING, np.nan, rng.normal(size=rows)
            )
    return found


def frames(rows: int) -> Iterator[pd.DataFrame]:
    """The features table, batch by batch."""
    for start in range(0, rows, ROWS_PER_BATCH):
        n = min(ROWS_PER_BATCH, rows - start)
        made = values(n, start + 1)
        moment = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(
            np.arange(start, start + n) * 2_000_000 // rows, unit="s"
        )
        keys = {
            "scheduled_departure_utc": moment.astype("datetime64[us, UTC]"),
            "carrier": "AA",
            "flight": np.arange(start, start + n),
            "origin": "JFK",
            "scheduled_departure": moment.tz_localize(None).astype("datetime64[us]"),
            "is_late": 0.0,
        }
        yield pd.DataFrame({**keys, **feature_columns(made)})


def prepare(home: Path, rows: int) -> dict[str, float]:
    """Fit a model of the line's size, and write a month of features with its records."""
    learned = values(20_000, 0)
    plan = fit_plan(LINE.features, learned)
    first = learned[next(f.name for f in LINE.features if not isinstance(f, Category))]
    target = np.nan_to_num(first) + np.random.default_rng(1).normal(size=first.size) > first.mean()
    model = LINE.build_estimator(LINE.parameters, LINE.seed).fit(encode(plan, learned), target)
    models = ModelFiles(home / "models", ModelSignatures(SigningKeys(home / "keys")))
    digest = models.publish(
        {
            MODEL_FILE: OnnxCompiler().compile(model),
            PLAN_FILE: canonical_json(plan.model_dump(mode="json")),
            SIGNATURE_FILE: signature_of(LINE.name, plan, output=LINE.output).to_json(),
        }
    )
    (home / "model_digest").write_text(digest)
    tables, evidence = DeltaTables(home / "lake"), EvidenceFiles(home / "evidence")
    size = 0

    def counted() -> Iterator[pd.DataFrame]:
        nonlocal size
        for frame in frames(rows):
            size += pa.Table.from_pandas(frame, preserve_index=False).nbytes
            yield frame

    features = tables.write_batches(LINE.name, FEATURES_TABLE, PARTITION, counted())
    numbers = (pd.DataFrame({"row": np.arange(len(frame))}) for frame in frames(rows))
    snapshot = tables.write_batches(LINE.name, SNAPSHOT_TABLE, PARTITION, numbers)
    policy = digest_of_json(LINE.policies.data_gates.model_dump(mode="json"))
    verdict = Verdict(
        judge="benchmark",
        line=LINE.name,
        subject_digest=snapshot.digest,
        findings=(Finding(rule="made_for_it", subject="rows", outcome=Outcome.PASS),),
        evidence={"partition": PARTITION, "policy_digest": policy},
    )
    evidence.record(LINE.name, DATA_VERDICT, snapshot.digest, verdict.to_json())
    record = FeaturesRecord(
        line=LINE.name,
        partition=PARTITION,
        features_digest=features.digest,
        snapshots={PARTITION: snapshot.digest},
        declaration=declaration_digest(LINE.features),
    )
    evidence.record(LINE.name, FEATURES_RECORD, features.digest, record.to_json())
    return {"table_mb": size / MEGABYTE}


def ours(home: Path) -> dict[str, float]:
    """Score the month as the asset does."""
    models = ModelFiles(home / "models", ModelSignatures(SigningKeys(home / "keys")))
    digest = (home / "model_digest").read_text()
    OnnxLoader().load(models.read(digest))
    # What is imported on first use belongs to the start.
    import deltalake  # noqa: F401
    import pyarrow.dataset
    import pyarrow.parquet  # noqa: F401

    start = peak_mb()
    scored = score_partition(
        LINE,
        PARTITION,
        ScoringVersion(version=1, model_digest=digest, threshold=0.3, route_commit=None),
        tables=DeltaTables(home / "lake"),
        evidence=EvidenceFiles(home / "evidence"),
        models=models,
        loader=OnnxLoader(),
        on_progress=lambda done, total: print(f"{done / total:.3f}", file=sys.stderr, flush=True),
    )
    return {
        "rows_per_second": scored.rows_per_second,
        "start_mb": start,
        "peak_mb": peak_mb(),
        "rows": scored.predictions.rows,
    }


def floor(home: Path) -> dict[str, float]:
    """The bare session, batch after batch of a matrix that is there."""
    import onnxruntime

    models = ModelFiles(home / "models", ModelSignatures(SigningKeys(home / "keys")))
    files = models.read((home / "model_digest").read_text())
    plan = OnnxLoader().load(files).plan
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(files[MODEL_FILE], options)
    matrix = encode(plan, values(ROWS_PER_BATCH, 1))
    session.run(None, {"matrix": matrix[:100]})
    begun, rounds = time.perf_counter(), 10
    for _ in range(rounds):
        session.run(None, {"matrix": matrix})
    return {"rows_per_second": rounds * len(matrix) / (time.perf_counter() - begun)}


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_process(side: str, home: Path, rows: int) -> dict[str, float]:
    """What a side prints last."""
    ended = subprocess.run(
        [sys.executable, __file__, "--side", side, "--home", str(home), "--rows", str(rows)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(f"{side} ended with {ended.returncode}:\n{ended.stderr[-3000:]}")  # noqa: EM102, TRY003 (a script)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Measure, and print one JSON line; return 0 if the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the rows")
    parser.add_argument("--side", choices=["prepare", "ours", "floor"], help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.side == "prepare":
        print(json.dumps(prepare(chosen.home, chosen.rows)))
        return 0
    if chosen.side:
        print(json.dumps({"ours": ours, "floor": floor}[chosen.side](chosen.home)))
        return 0
    rows = QUICK_ROWS if chosen.quick else ROWS
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch, Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("batch scoring", total=3)
        for side in ("prepare", "floor", "ours"):
            bar.update(task, description=side)
            found[side] = in_own_process(side, Path(scratch), rows)
            bar.advance(task)
    mine, table = found["ours"], found["prepare"]["table_mb"]
    measured = {
        "rows": int(mine["rows"]),
        "rows_per_second": round(mine["rows_per_second"]),
        "floor_rows_per_second": round(found["floor"]["rows_per_second"]),
        "ratio": round(mine["rows_per_second"] / found["floor"]["rows_per_second"], 2),
        "table_mb": round(table),
        "start_mb": round(mine["start_mb"]),
        "peak_mb": round(mine["peak_mb"]),
        "memory_ratio": round((mine["peak_mb"] - mine["start_mb"]) / table, 2),
    }
    # The memory is that of some batches, so only the whole run is long enough to judge it.
    met = measured["ratio"] >= RATIO_GOAL and (
        chosen.quick or (measured["memory_ratio"] < MEMORY_GOAL and measured["peak_mb"] < table)
    )
    document = {
        "benchmark": "batch_scoring",
        "measured": measured,
        "goals": {"ratio": f"at least {RATIO_GOAL}", "memory_ratio": f"below {MEMORY_GOAL}"},
        "met": met,
    }
    print(json.dumps(document))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
