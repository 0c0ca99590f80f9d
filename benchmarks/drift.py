"""What drift costs: 20 columns of a million and of ten million rows, and a tick on a long log.

Half of the rows are the reference, half are judged. Numbers and words, two in a hundred missing.
Ours counts the current rows in batches into hourly profiles, adds them up and judges the sum, once
against a reference that is stored and once with fitting it counted; our reading of the files is
timed. Evidently (its data drift preset, by its own tests and by PSI: the quicker one counts),
NannyML, whylogs (profiling alone) and a scipy loop get both sides as frames in memory, and reading
is not timed. Each in a process of its own, one after the other, telemetry off. At ten million rows
peers run with ``--peers-at-many`` only: they hold everything in memory.

Ratios are of processor seconds, so that what else the machine does is on neither side; seconds on
the wall stand beside.

A tick is what the monitor does each time: count 10,000 new records of the inference log, merge the
newest window and the three before it, judge. Measured on logs of 0.1, 1 and 10 million records.

    python benchmarks/drift.py [--quick] [--peers-python PYTHON] [--peers-at-many]

Peers that are not installed are named as missing. ``--peers-python`` names the Python of another
environment that has some of them (nannyml, whylogs, with pandas and pyarrow).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from drift_log import SEGMENT_ROWS, GrownLog
from drift_peers import NOT_INSTALLED
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from drift_log import TickMeasured

ROWS, QUICK_ROWS = 1_000_000, 100_000
MANY_ROWS, QUICK_MANY_ROWS = 10_000_000, 1_000_000
LOGS, QUICK_LOGS = (2, 20, 200), (2, 20)
TICKS = 5
EVIDENTLY = ("evidently", "evidently psi")
PEERS = (*EVIDENTLY, "nannyml", "whylogs", "scipy loop")
GOALS = {
    "times_faster_than_evidently": 40.0,
    "peak_mb": 1000.0,
    "tick_cpu_s": 1.0,
    "tick_on_the_longest_log_to_the_shortest": 1.5,
}
QUIET = {
    "OMP_NUM_THREADS": "1",
    "DO_NOT_TRACK": "1",
    "NML_DISABLE_USAGE_LOGGING": "1",
    "WHYLOGS_NO_ANALYTICS": "True",
}
_NUMBERS, _WORDS = 14, 6
_MISSING = 0.02
_PEER_SECONDS = 1800
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """What ten million rows took; the peers empty where they were not asked."""

    ours: dict[str, Any]
    peers: dict[str, Any]


def write_rows(path: Path, rows: int, *, seed: int, shift: float) -> None:
    """A Parquet file of numbers and words, written in groups so that it is never held."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = np.random.default_rng(seed)
    writer: Any = None
    for start in range(0, rows, 500_000):
        n = min(500_000, rows - start)
        columns: dict[str, Any] = {}
        for i in range(_NUMBERS):
            values = generator.normal(shift * (i == 0), 1 + i, n).round(2)
            columns[f"n{i}"] = pa.array(values, mask=generator.uniform(size=n) < _MISSING)
        for i in range(_WORDS):
            words = pa.array([f"word {k}" for k in range(5 + 5 * i)])
            codes = generator.integers(0, len(words), n)
            places = pa.array(codes, mask=generator.uniform(size=n) < _MISSING)
            columns[f"w{i}"] = words.take(places)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def main() -> int:
    """Measure, print tables and one JSON line; return 0 if the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--peers-python", default=sys.executable, help="for peers we don't have")
    parser.add_argument(
        "--peers-at-many", action="store_true", help="peers on the many rows too: gigabytes"
    )
    asked = parser.parse_args()
    console = Console(stderr=True)
    rows = QUICK_ROWS if asked.quick else ROWS
    many = QUICK_MANY_ROWS if asked.quick else MANY_ROWS
    with tempfile.TemporaryDirectory() as folder:
        ours, peers = _side_by_side(Path(folder), rows, asked.peers_python, console)
    with tempfile.TemporaryDirectory() as folder:
        console.print(f"{many} rows")
        write_rows(Path(folder) / "reference.parquet", rows // 2, seed=1, shift=0.0)
        write_rows(Path(folder) / "current.parquet", many, seed=2, shift=0.1)
        _ours("fit", folder)
        large = Large(
            ours=_ours("judge", folder),
            peers=_peers(Path(folder), asked.peers_python, console) if asked.peers_at_many else {},
        )
    with tempfile.TemporaryDirectory() as folder:
        console.print("writing one segment of the log")
        log = GrownLog(Path(folder))
        ticks = []
        for segments in QUICK_LOGS if asked.quick else LOGS:
            console.print(f"ticks on a log of {segments * SEGMENT_ROWS} records")
            ticks.append(log.tick(segments, times=TICKS))
        catch_up = SEGMENT_ROWS / log.catch_up_s
    _show(console, ours, peers, large, ticks)
    document = _document(rows, ours, peers, large, ticks, catch_up=catch_up)
    sys.stdout.write(json.dumps(document) + "\n")
    return 0 if document["met"] else 1


def _side_by_side(
    folder: Path, rows: int, peers_python: str, console: Console
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ours, and per peer what it took; None for one that is missing."""
    console.print(f"{rows} rows")
    write_rows(folder / "reference.parquet", rows // 2, seed=1, shift=0.0)
    write_rows(folder / "current.parquet", rows // 2, seed=2, shift=0.1)
    ours = {"fit": _ours("fit", str(folder))}
    # Before and after the peers: how busy the machine was changes while they run.
    first = _ours("judge", str(folder))
    peers = _peers(folder, peers_python, console)
    second = _ours("judge", str(folder))
    ours["judge"] = max(first, second, key=lambda one: one["cpu_s"])
    return ours, peers


def _peers(folder: Path, peers_python: str, console: Console) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in PEERS:
        console.print(f"  {name}")
        command = [str(_HERE / "drift_peers.py"), name, str(folder)]
        found[name] = _run([sys.executable, *command])
        if found[name] is None and peers_python != sys.executable:
            found[name] = _run([peers_python, *command])
    return found


def _ours(act: str, folder: str) -> dict[str, Any]:
    found = _run([sys.executable, str(_HERE / "drift_ours.py"), act, folder])
    if found is None:
        message = f"our own side ended without a result: {act}"
        raise RuntimeError(message)
    return found


def _run(command: list[str]) -> dict[str, Any] | None:
    done = subprocess.run(
        command,
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        timeout=_PEER_SECONDS,
        check=False,
    )
    if done.returncode == NOT_INSTALLED:
        return None
    if done.returncode:
        message = f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}"
        raise RuntimeError(message)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _show(
    console: Console,
    ours: dict[str, Any],
    peers: dict[str, Any],
    large: Large,
    ticks: list[TickMeasured],
) -> None:
    table = Table("side", "s", "processor s", "peak MB")
    table.add_row("ours, reference stored", *_cells(ours["judge"]))
    table.add_row("ours, fitting the reference", *_cells(ours["fit"]))
    for name, found in peers.items():
        table.add_row(name, *(("missing", "", "") if found is None else _cells(found)))
    rows = large.ours["rows"]
    table.add_row(f"ours, {rows} rows judged", *_cells(large.ours))
    for name, found in large.peers.items():
        told = ("missing", "", "") if found is None else _cells(found)
        table.add_row(f"{name}, {rows} rows judged", *told)
    console.print(table)
    names = ("records in the log", "archives", "count new, s", "merge, s", "judge, s", "tick, s")
    table = Table(*names, "processor s")
    for one in ticks:
        parts = (one.advance_s, one.merge_s, one.judge_s, one.tick_s, one.cpu_s)
        table.add_row(str(one.records), str(one.archives), *(f"{part:.3f}" for part in parts))
    console.print(table)


def _cells(found: dict[str, Any]) -> tuple[str, str, str]:
    return f"{found['seconds']:.2f}", f"{found['cpu_s']:.2f}", f"{found['peak_mb']:.0f}"


def _document(
    rows: int,
    ours: dict[str, Any],
    peers: dict[str, Any],
    large: Large,
    ticks: list[TickMeasured],
    *,
    catch_up: float,
) -> dict[str, Any]:
    stored, fit = ours["judge"]["cpu_s"], ours["fit"]["cpu_s"]
    quickest, quickest_at_many = _quickest(peers), _quickest(large.peers)
    ratio = None if quickest is None else quickest / stored
    ratio_at_many = None if quickest_at_many is None else quickest_at_many / large.ours["cpu_s"]
    growth = ticks[-1].cpu_s / ticks[0].cpu_s
    slowest = max(one.cpu_s for one in ticks)
    peak = max(one["peak_mb"] for one in (ours["judge"], large.ours))
    return {
        "benchmark": "drift",
        "measured": {
            "rows": rows,
            "ours": {
                "reference_stored": _plain(ours["judge"]),
                "fitting_the_reference": _plain(ours["fit"]),
                "many_rows": _plain(large.ours),
            },
            "peers": _told(peers),
            "peers_at_many_rows": _told(large.peers),
            "times_faster_than_evidently": None if ratio is None else round(ratio, 1),
            "times_faster_than_evidently_at_many_rows": None
            if ratio_at_many is None
            else round(ratio_at_many, 1),
            "times_faster_than_evidently_fitting_counted": None
            if quickest is None
            else round(quickest / (stored + fit), 1),
            "peak_mb": round(peak),
            "catch_up_records_per_s": round(catch_up),
            "ticks": [
                {name: round(value, 4) for name, value in asdict(one).items()} for one in ticks
            ],
            "tick_cpu_s": round(slowest, 3),
            "tick_on_the_longest_log_to_the_shortest": round(growth, 2),
        },
        "goals": GOALS,
        "met": ratio is not None
        and min(ratio, ratio_at_many or ratio) >= GOALS["times_faster_than_evidently"]
        and peak < GOALS["peak_mb"]
        and slowest < GOALS["tick_cpu_s"]
        and growth <= GOALS["tick_on_the_longest_log_to_the_shortest"],
    }


def _quickest(peers: dict[str, Any]) -> float | None:
    """Processor seconds of Evidently by its quicker setting."""
    found = [peers[name]["cpu_s"] for name in EVIDENTLY if peers.get(name) is not None]
    return min(found, default=None)


def _told(peers: dict[str, Any]) -> dict[str, Any]:
    return {name: "missing" if found is None else _plain(found) for name, found in peers.items()}


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, 2) if isinstance(value, float) else value
        for name, value in found.items()
    }


if __name__ == "__main__":
    raise SystemExit(main())
