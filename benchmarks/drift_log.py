"""Inference logs of any length on little disk, and what a monitoring tick costs on them.

One finished segment is written, archived, and linked under other names as often as the log is long;
what those hold is counted once and kept as many times. A live segment stands behind them.
"""

from __future__ import annotations

import os
import random
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from drift_ours import judged  # noqa: E402 (the line before)

from ml_release.adapters.counted_log.profiles import ProfileFile  # noqa: E402
from ml_release.adapters.inference_log import InferenceLogFiles  # noqa: E402
from ml_release.adapters.inference_tables import (  # noqa: E402
    InferenceArchiveFiles,
    InferenceTables,
)
from ml_release.definitions import find_line  # noqa: E402
from ml_release.domain.artefact import REFERENCE_FILE  # noqa: E402
from ml_release.domain.deployment import Variant  # noqa: E402
from ml_release.domain.inference import (  # noqa: E402
    InferenceRecord,
    archive_name,
    archived_segment,
    segment_name,
)
from ml_release.domain.reference_profile import fit_profile  # noqa: E402
from ml_release.workflows.log_profiles import advance_profiles  # noqa: E402
from ml_release.workflows.window_merging import merge_window  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_release.domain.bucket_profile import BucketProfile
    from ml_release.domain.reference_profile import ReferenceProfile

LINE = find_line("flight_delay")
ENVIRONMENT = "production"
SEGMENT_ROWS = 50_000
NEW_RECORDS = 10_000
DAYS = 35
_DIGEST = "sha256:" + "0" * 64
_FIRST = datetime(2013, 4, 1, 4, tzinfo=UTC)
_CHAMPION = Variant(role="champion", version=1, model_digest=_DIGEST, weight_percent=100.0)
_NUMBERS, _WORDS = 14, 6
_MISSING = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class TickMeasured:
    """One log: its records, and seconds of the parts of a tick, the middle one of several.

    ``cpu_s`` are those of the processor, the fewest of them: what runs beside costs some too. The
    others are of the clock on the wall.
    """

    records: int
    archives: int
    buckets: int
    advance_s: float
    merge_s: float
    judge_s: float
    tick_s: float
    cpu_s: float


class OneModel:
    """`ModelStore` of the one artefact that answered."""

    def __init__(self, profile: ReferenceProfile) -> None:
        self._files = {REFERENCE_FILE: profile.model_dump_json().encode()}

    def publish(self, _files: object) -> str:
        """Nothing is published here."""
        raise NotImplementedError

    def read(self, _model_digest: str) -> dict[str, bytes]:
        """Its reference."""
        return dict(self._files)


def drawn_features(draw: random.Random) -> dict[str, float | str | None]:
    """Twenty features of one record, some missing."""
    found: dict[str, float | str | None] = {
        f"n{i}": None if draw.random() < _MISSING else round(draw.gauss(0, 1), 2)
        for i in range(_NUMBERS)
    }
    for i in range(_WORDS):
        found[f"w{i}"] = None if draw.random() < _MISSING else f"word {draw.randrange(5 + 5 * i)}"
    return found


def records(n: int, *, seed: int, since: datetime, until: datetime) -> Iterator[InferenceRecord]:
    """Answered requests evenly over a time, each received when it happened."""
    draw = random.Random(seed)
    step = (until - since) / n
    for number in range(n):
        moment = (since + number * step).isoformat()
        yield InferenceRecord(
            request_id=f"{seed}-{number}",
            row=0,
            event_time=moment,
            received_time=moment,
            line=LINE.name,
            variant="champion",
            version=1,
            model_digest=_DIGEST,
            route_commit="c" * 40,
            bucket=draw.randrange(10_000),
            features=drawn_features(draw),
            history_digest=None,
            prediction=draw.random(),
            latency_ms=draw.random(),
            outcome="ok",
            error=None,
            shadow=False,
        )


def reference() -> ReferenceProfile:
    """Of rows that are drawn in the same way."""
    draw = random.Random(0)
    rows = [drawn_features(draw) for _ in range(20_000)]
    days = np.datetime64("2013-01-01") + np.arange(len(rows)) * 28 // len(rows)
    values = {
        name: np.array(
            [row[name] for row in rows], dtype=np.object_ if name[0] == "w" else np.float64
        )
        for name in rows[0]
    }
    return fit_profile(values, days)


class GrownLog:
    """A log that is made longer and longer, with what was counted of it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.folder = folder / "inference", folder / "inference" / LINE.name
        self.profile = reference()
        self.models = OneModel(self.profile)
        self.tables = InferenceTables(self.root)
        self.until = _FIRST + timedelta(days=DAYS)
        self._store = 0
        self._home = folder
        self._seed = 1
        writer = InferenceLogFiles(self.root, now=lambda: _FIRST)
        made = list(records(SEGMENT_ROWS, seed=1, since=_FIRST, until=self.until))
        for start in range(0, len(made), 1000):
            writer.append_records(LINE.name, made[start : start + 1000])
        writer.close()
        InferenceArchiveFiles(self.root).archive(LINE.name)
        (self.archive,) = self.folder.glob("*.parquet")
        self.size_bytes = sum(self._ends().values())
        self.catch_up_s = self._count_first()

    def _count_first(self) -> float:
        """Count the first archive as a log that nobody has counted; seconds."""
        profiles = ProfileFile(self._home / "first.db")
        start = time.perf_counter()
        advance_profiles(
            LINE,
            environment=ENVIRONMENT,
            inference_log=self.tables,
            profiles=profiles,
            models=self.models,
        )
        seconds = time.perf_counter() - start
        self.counted = profiles.between(
            LINE.name, ENVIRONMENT, model_digest=_DIGEST, since=_FIRST, until=self.until
        )
        return seconds

    def tick(self, segments: int, *, times: int) -> TickMeasured:
        """Let the log be so many segments long, and measure ticks of new records behind it."""
        for number in range(2, segments + 1):
            name = segment_name(
                "records",
                begun_at=_FIRST + timedelta(seconds=number),
                process_id=1,
                ordinal=number,
            )
            link = self.folder / archive_name(name, size_bytes=self.size_bytes)
            if not link.exists():
                os.link(self.archive, link)
        profiles = ProfileFile(self._home / f"profiles-{segments}.db")
        _, cursor = self.tables.records(LINE.name, after=self._ends())
        profiles.add(
            LINE.name,
            ENVIRONMENT,
            profiles=[_times(bucket, segments) for bucket in self.counted],
            cursor=cursor,
            expected={},
        )
        writer = InferenceLogFiles(self.root, now=lambda: self.until + timedelta(days=segments))
        parts = []
        for _ in range(times):
            self._seed += 1
            since = self.until - timedelta(hours=3)
            made = list(records(NEW_RECORDS, seed=self._seed, since=since, until=self.until))
            for start in range(0, NEW_RECORDS, 1000):
                writer.append_records(LINE.name, made[start : start + 1000])
            parts.append(self._one(profiles))
        writer.close()
        live = next(self.folder.glob("*.jsonl"))
        live.unlink()
        columns = [median(column) for column in zip(*parts, strict=True)]
        return TickMeasured(
            records=segments * SEGMENT_ROWS,
            archives=segments,
            buckets=len(self.counted),
            advance_s=columns[0],
            merge_s=columns[1],
            judge_s=columns[2],
            tick_s=columns[3],
            cpu_s=min(part[4] for part in parts),
        )

    def _one(self, profiles: ProfileFile) -> tuple[float, ...]:
        begun, cpu = time.perf_counter(), time.process_time()
        advanced = advance_profiles(
            LINE,
            environment=ENVIRONMENT,
            inference_log=self.tables,
            profiles=profiles,
            models=self.models,
        )
        counted = time.perf_counter()
        if advanced.new_records != NEW_RECORDS:
            message = f"expected {NEW_RECORDS} new records to be counted, found {advanced}"
            raise RuntimeError(message)
        window = merge_window(
            LINE,
            environment=ENVIRONMENT,
            champion=_CHAMPION,
            reference=self.profile,
            masked=frozenset(),
            history_features=0,
            labels=0,
            profiles=profiles,
            days=7,
            earlier=3,
        )
        merged = time.perf_counter()
        judged(self.profile, window.counts)
        done = time.perf_counter()
        cpu = time.process_time() - cpu
        return counted - begun, merged - counted, done - merged, done - begun, cpu

    def _ends(self) -> dict[str, int]:
        found = (archived_segment(path.name) for path in self.folder.glob("*.parquet"))
        return dict(one for one in found if one is not None)


def _times(bucket: BucketProfile, n: int) -> BucketProfile:
    """A bucket that is there n times."""
    if n == 1:
        return bucket
    half = _times(bucket, n // 2)
    return half + half + bucket if n % 2 else half + half
