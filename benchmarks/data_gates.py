"""How long all data gates take on ten million rows, and how much memory, against the usual tools.

Ours counts the evidence of one partition (`gather_evidence`) and judges it (`judge_snapshot`) by
every rule that its line declares, distributions against the profiles of three other partitions. The
peer is pandera with the same schema, and Evidently's DataDriftPreset against one other partition of
the same size; it knows nothing of keys, calendar, labels, leakage and personal data. Each side is
measured in a process of its own, its libraries loaded, on rows as the landing zone gives them:

- ``ratio``: time of the peer over ours, both on ``peer_rows`` rows of the same partition. Evidently
  takes three minutes per million rows here, and memory too: it is not asked for more;
- ``ratio_scaled``: time of the peer, scaled linearly to all rows, over ours on all rows;
- ``peak_gib``: the largest resident memory of our whole process while it judges all rows, in GiB of
  2**30 bytes, the table (``table_gib``) and all libraries included. Reading the file needs more,
  ``reading_peak_gib``: pandas and pyarrow then hold the rows twice. That is not the gates' doing,
  and is given back before they start. Where a peak cannot be reset (only Linux can) it is that of
  the whole life of the process.

What a line checks between columns is its own code and needs its own memory: the check of the
humidity in flight_delay is therefore left out; it needs about 0.4 GiB more on ten million rows.

    python benchmarks/data_gates.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from many_flights import OTHERS, PARTITION
from rich.console import Console
from rich.progress import Progress

ROWS, PEER_ROWS, QUICK_ROWS = 10_000_000, 1_000_000, 200_000
RATIO_GOAL, MEMORY_GOAL_GIB = 10.0, 2.0


def in_own_process(side: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """What one side measured, by data_gates_sides.py."""
    script = Path(__file__).with_name("data_gates_sides.py")
    command = [sys.executable, str(script), side, str(folder), *arguments]
    # Evidently reports its use otherwise.
    environment = {**os.environ, "DO_NOT_TRACK": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{side} {arguments} ended with {ended.returncode}:\n{ended.stderr}")  # noqa: EM102, TRY003 (a script)
    measured: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return measured


def compare(rows: int, peer_rows: int) -> dict[str, Any]:
    """Land the partitions, and measure both sides on them."""
    partitions = {(PARTITION, rows), (PARTITION, peer_rows), (OTHERS[0], peer_rows)}
    with tempfile.TemporaryDirectory() as scratch, Progress(console=Console(stderr=True)) as bar:
        folder = Path(scratch)
        task = bar.add_task("landing", total=len(partitions) + (3 if rows != peer_rows else 2))
        for partition, count in sorted(partitions):
            in_own_process("make", folder, str(count), partition)
            bar.advance(task)
        bar.update(task, description=f"gates, {peer_rows:,} rows")
        common = all_rows = in_own_process("ours", folder, str(peer_rows))
        bar.advance(task)
        if rows != peer_rows:
            bar.update(task, description=f"gates, {rows:,} rows")
            all_rows = in_own_process("ours", folder, str(rows))
            bar.advance(task)
        bar.update(task, description=f"pandera and Evidently, {peer_rows:,} rows")
        others = in_own_process("peer", folder, str(peer_rows))
        bar.advance(task)
    return {
        "rows": rows,
        "columns": 20,
        "rules": all_rows["rules"],
        "findings": all_rows["findings"],
        "gates_s": round(all_rows["seconds"], 2),
        "table_gib": round(all_rows["table_gib"], 2),
        "peak_gib": round(all_rows["peak_gib"], 2),
        "reading_peak_gib": round(all_rows["reading_peak_gib"], 2),
        "peer_rows": peer_rows,
        "gates_s_on_peer_rows": round(common["seconds"], 2),
        "gates_peak_gib_on_peer_rows": round(common["peak_gib"], 2),
        "peer_s": round(others["seconds"], 2),
        "peer_pandera_s": round(others["pandera_s"], 2),
        "peer_evidently_s": round(others["evidently_s"], 2),
        "peer_peak_gib": round(others["peak_gib"], 2),
        "ratio": round(others["seconds"] / common["seconds"], 1),
        "ratio_scaled": round(others["seconds"] * rows / peer_rows / all_rows["seconds"], 1),
    }


def main() -> int:
    """Measure, and print one JSON line; return 0 if the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS:,} rows on both sides")
    arguments = parser.parse_args()
    measured = compare(QUICK_ROWS, QUICK_ROWS) if arguments.quick else compare(ROWS, PEER_ROWS)
    met = (
        min(measured["ratio"], measured["ratio_scaled"]) >= RATIO_GOAL
        and measured["peak_gib"] < MEMORY_GOAL_GIB
    )
    document = {
        "benchmark": "data_gates",
        "measured": measured,
        "goals": {
            "ratio": f"at least {RATIO_GOAL:g}",
            "ratio_scaled": f"at least {RATIO_GOAL:g}",
            "peak_gib": f"below {MEMORY_GOAL_GIB:g} on {ROWS:,} rows, the whole process",
        },
        "met": met,
    }
    print(json.dumps(document))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
