"""How much longer a release takes with everything around it than as one plain script.

Ours is ``ml-release train flight_delay --from 2013-01 --to 2013-03`` in a process of its own: Delta
snapshots with gates, features, training, MLflow, evaluation by the artefact, registration. The
floor is plain_release.py, which does the same pandas and scikit-learn work and nothing else. Both
are measured in turn, process start and imports included. The figures:

- ``ratio``: a home folder whose MLflow and Dagster databases exist, as for any release but the
  first; lake, evidence and models are empty;
- ``ratio_first_release``: an empty home folder, the databases are made on the way;
- ``imports_s``: what a process pays that imports Dagster and MLflow and does nothing. It is part of
  ours, does not grow with the data, and is why the ratio falls on larger lines.

    python benchmarks/lead_time.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import Progress

PROJECT = Path(__file__).resolve().parents[1]
GOAL = 1.5
MADE_BY_A_RELEASE = ("lake", "evidence", "models", "online")


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Wall time of a command that has to succeed."""
    start = time.perf_counter()
    ended = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise SystemExit(f"{command[-1]} ended with {ended.returncode}:\n{ended.stderr}")  # noqa: EM102, TRY003 (a script)
    return time.perf_counter() - start


def main() -> int:
    """Measure, and print one JSON line; return 0 if the goal is met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round instead of three")
    rounds = 1 if parser.parse_args().quick else 3
    train = [sys.executable, "-m", "ml_release", "train", "flight_delay"]
    train += ["--from", "2013-01", "--to", "2013-03"]
    plain = [sys.executable, str(PROJECT / "benchmarks" / "plain_release.py")]
    imports = [
        sys.executable,
        "-c",
        "import dagster, mlflow.tracking, mlflow.store.tracking.sqlalchemy_store",
    ]
    ours, first, floor, vendors = [], [], [], []
    with tempfile.TemporaryDirectory() as scratch, Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("lead time", total=4 * rounds)
        for number in range(rounds):
            home = Path(scratch) / f"home-{number}"
            environment = {
                **os.environ,
                "ML_RELEASE_HOME": str(home),
                "ML_RELEASE_DATA": str(PROJECT / "data"),
            }
            floor.append(seconds([*plain, str(PROJECT / "data"), scratch], environment))
            bar.advance(task)
            vendors.append(seconds(imports, environment))
            bar.advance(task)
            first.append(seconds(train, environment))
            bar.advance(task)
            for name in MADE_BY_A_RELEASE:
                shutil.rmtree(home / name)
            ours.append(seconds(train, environment))
            bar.advance(task)
    measured = {
        "plain_script_s": round(median(floor), 2),
        "train_s": round(median(ours), 2),
        "first_train_s": round(median(first), 2),
        "imports_s": round(median(vendors), 2),
        "ratio": round(median(ours) / median(floor), 2),
        "ratio_first_release": round(median(first) / median(floor), 2),
        "rounds": rounds,
    }
    met = measured["ratio"] < GOAL
    document = {
        "benchmark": "lead_time",
        "measured": measured,
        "goals": {"ratio": f"below {GOAL}"},
        "met": met,
    }
    print(json.dumps(document))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
