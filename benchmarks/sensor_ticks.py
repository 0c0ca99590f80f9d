"""What a tick of every sensor costs on a long log, at every place that a release can be at.

The small line of the tests, with version 2 registered, staged and so on to settled beside version
1. The log is one archived segment of 50,000 requests of before the release, under other names again
until it is ten million long, and a live segment of 10,000 requests of now. Each sensor is evaluated
once with nothing counted before it: that is the tick that reads most.

    python benchmarks/sensor_ticks.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import dagster as dg  # noqa: E402 (the line before)
from rich.console import Console  # noqa: E402

from ml_release.adapters.inference_log import InferenceLogFiles  # noqa: E402
from ml_release.domain.inference import (  # noqa: E402
    InferenceRecord,
    archive_name,
    archived_segment,
    segment_name,
)
from ml_release_tests.full_rollout import at_every_place  # noqa: E402
from ml_release_tests.orchestration.house import definitions_of  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ml_release_tests.small_line import House

RECORDS, QUICK_RECORDS = 10_000_000, 500_000
SEGMENT_RECORDS, LIVE_RECORDS = 50_000, 10_000
TICK_GOAL_S = 5.0


def records(
    house: House, count: int, *, since: datetime, until: datetime, name: str
) -> Iterator[InferenceRecord]:
    """Requests that the champion of a house answered, evenly over a time."""
    declared = house.deployments.sealed(house.line.name, house.environment)
    assert declared is not None  # noqa: S101 (every place has a champion)
    champion = declared.state.champion
    step = (until - since) / count
    for number in range(count):
        moment = (since + number * step).isoformat()
        yield InferenceRecord(
            request_id=f"{name}-{number}",
            row=0,
            event_time=moment,
            received_time=moment,
            line=house.line.name,
            variant="champion",
            version=champion.version,
            model_digest=champion.model_digest,
            route_commit=declared.commit,
            bucket=number % 10_000,
            features={"distance": float(number % 700), "carrier": "AA"},
            history_digest=None,
            prediction=(number % 100) / 100,
            latency_ms=1.0 + number % 7,
            outcome="ok",
            error=None,
            shadow=False,
        )


def write_log(house: House, archived: int) -> None:
    """So many archived records of before, and live ones of the last hour."""
    line, now = house.line.name, house.clock.now()
    old = now - timedelta(days=60)
    folder = house.log_folder / line
    writer = InferenceLogFiles(house.log_folder, now=lambda: old)
    made = list(
        records(house, SEGMENT_RECORDS, since=old, until=old + timedelta(days=20), name="o")
    )
    for start in range(0, len(made), 1000):
        writer.append_records(line, made[start : start + 1000])
    writer.close()
    house.inference_archive.archive(line)
    (archive,) = folder.glob("*.parquet")
    _, size_bytes = archived_segment(archive.name) or ("", 0)
    for number in range(2, archived // SEGMENT_RECORDS + 1):
        begun_at = old + timedelta(seconds=number)
        name = segment_name("records", begun_at=begun_at, process_id=1, ordinal=number)
        os.link(archive, folder / archive_name(name, size_bytes=size_bytes))
    live = InferenceLogFiles(house.log_folder, now=house.clock.now)
    young = list(records(house, LIVE_RECORDS, since=now - timedelta(hours=1), until=now, name="n"))
    for start in range(0, LIVE_RECORDS, 1000):
        live.append_records(line, young[start : start + 1000])
    live.close()


def ticks(house: House) -> dict[str, float]:
    """Sensor to the seconds of its first tick, on the wall."""
    definitions = definitions_of(house)
    found = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for sensor in definitions.get_repository_def().sensor_defs:
            context = dg.build_sensor_context(
                instance=instance, sensor_name=sensor.name, definitions=definitions
            )
            begun = time.perf_counter()
            sensor.evaluate_tick(context)
            found[sensor.name] = time.perf_counter() - begun
    return found


def main() -> int:
    """Measure, print a row per place and one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="half a million records")
    asked = parser.parse_args()
    length = QUICK_RECORDS if asked.quick else RECORDS
    console = Console(stderr=True)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        console.print("Bringing a version to every place of the way")

        def place_for(name: str) -> Path:
            made = Path(folder) / name
            made.mkdir()
            return made

        measured: dict[str, Any] = {}
        for place, house in at_every_place(place_for).items():
            write_log(house, length)
            found = ticks(house)
            slowest = max(found, key=lambda name: found[name])
            measured[place] = {"slowest": slowest, "seconds": round(found[slowest], 3)}
            console.print(
                f"{place:12} {sum(found.values()):6.2f} s for {len(found)} sensors, the slowest is"
                f" {slowest} with {found[slowest]:.2f} s"
            )
    longest = max(one["seconds"] for one in measured.values())
    document = {
        "benchmark": "sensor_ticks",
        "measured": {"records": length, "places": measured, "slowest_tick_s": longest},
        "goals": {"slowest_tick_s": TICK_GOAL_S},
        "met": longest < TICK_GOAL_S,
    }
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
