"""What commands do, each as one Dagster job with its request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.cli.running import JobRun, run_job
from ml_release.errors import NotFoundError
from ml_release.orchestration.jobs import REASON_TAG, training_request

if TYPE_CHECKING:
    from ml_release.orchestration.wiring import Wiring
    from ml_release.settings import Settings
    from ml_release.spec.release_line import ReleaseLine


def train(
    line: ReleaseLine,
    *,
    first: str | None,
    last: str | None,
    settings: Settings,
    wiring: Wiring,
    reason: str = "asked for on the command line",
) -> JobRun:
    """Snapshot to registered version over some months, all that have landed for None."""
    landed = wiring.landing.partitions(line.landing)
    if not landed:
        message = f"{line.name}: expected landed partitions below {settings.data}, found none"
        raise NotFoundError(message)
    begin, end = first or landed[0], last or landed[-1]
    # Snapshots and features are made again for the window and for what its history looks back to.
    earliest = line.landing.with_earlier(begin, count=line.lookback_partitions)[0]
    config, tags = training_request(line, first=begin, last=end, fresh_from=earliest)
    return run_job(
        f"{line.name}_train",
        settings=settings,
        wiring=wiring,
        run_config=config,
        tags={**tags, REASON_TAG: reason},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Which version, the natural one for None; who asks, and why."""

    version: int | None
    by: str
    reason: str

    def config(self) -> dict[str, object]:
        """As the jobs take it."""
        named = {} if self.version is None else {"version": self.version}
        return {"by": self.by, "reason": self.reason, **named}


def promote(line: ReleaseLine, move: Move, *, settings: Settings, wiring: Wiring) -> JobRun:
    """Declare a registered version, the newest for None."""
    return run_job(
        f"{line.name}_promote",
        settings=settings,
        wiring=wiring,
        run_config={"ops": {f"{line.name}__production_endpoint": {"config": move.config()}}},
    )


def roll_back(line: ReleaseLine, move: Move, *, settings: Settings, wiring: Wiring) -> JobRun:
    """Restore the last version that may serve, or the one named."""
    return run_job(
        f"{line.name}_rollback",
        settings=settings,
        wiring=wiring,
        run_config={"ops": {f"{line.name}_roll_back": {"config": move.config()}}},
    )


def monitor(line: ReleaseLine, *, settings: Settings, wiring: Wiring) -> JobRun:
    """Read the inference log and judge it."""
    return run_job(f"{line.name}_monitor", settings=settings, wiring=wiring)
