"""What commands do, each as one Dagster job with its request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import dagster as dg

from ml_release.cli.running import JobRun, run_job
from ml_release.errors import InputError, NotFoundError
from ml_release.orchestration.jobs import (
    FIRST_PARTITION_TAG,
    LAST_PARTITION_TAG,
    REASON_TAG,
    training_request,
)
from ml_release.orchestration.release_jobs import WORD as WORD  # noqa: PLC0414 (passed on)
from ml_release.orchestration.scoring_asset import SCORED as SCORED  # noqa: PLC0414 (passed on)
from ml_release.workflows.feature_building import FEATURES_TABLE
from ml_release.workflows.planning import plan_promotion
from ml_release.workflows.promotion import Request
from ml_release.workflows.snapshots import SNAPSHOT_TABLE

if TYPE_CHECKING:
    from ml_release.domain.rollout import Stage
    from ml_release.domain.rollout_plan import RolloutPlan
    from ml_release.orchestration.wiring import Wiring
    from ml_release.settings import Settings
    from ml_release.spec.release_line import ReleaseLine


def train(
    line: ReleaseLine,
    *,
    first: str | None,
    last: str | None,
    trials: int | None = None,
    search_seconds: float | None = None,
    by: str | None = None,
    settings: Settings,
    wiring: Wiring,
    reason: str = "asked for on the command line",
) -> JobRun:
    """Snapshot to registered version over some months, all that have landed for None.

    ``trials`` and ``search_seconds`` are the budget of the search, that of the policy for None.
    """
    # A budget that makes no sense is refused before any run.
    line.policies.training.with_budget(trials=trials, seconds=search_seconds)
    landed = wiring.landing.partitions(line.landing)
    if not landed:
        message = f"{line.name}: expected landed partitions below {settings.data}, found none"
        raise NotFoundError(message)
    begin, end = first or landed[0], last or landed[-1]
    window = line.landing.between(begin, end)
    missing = sorted(set(window) - set(landed))
    if not window or missing:
        message = (
            f"{line.name}: expected a window within the landed months {landed[0]} to {landed[-1]},"
            f" found {begin} to {end}" + (f"; {missing} have not landed" if missing else "")
        )
        raise InputError(message)
    _look_back(line, begin, settings=settings, wiring=wiring)
    config, tags = training_request(
        line,
        first=begin,
        last=end,
        fresh_from=begin,
        trials=trials,
        search_seconds=search_seconds,
        by=by,
        trigger="human",
        reason=reason if by is None else f"{by}: {reason}",
    )
    return run_job(
        f"{line.name}_train", settings=settings, wiring=wiring, run_config=config, tags=tags
    )


def _look_back(line: ReleaseLine, begin: str, *, settings: Settings, wiring: Wiring) -> None:
    """Take the snapshots before a window that its history features need and that are not there."""
    known = {snapshot.partition for snapshot in wiring.tables.current(line.name, SNAPSHOT_TABLE)}
    earlier = line.landing.with_earlier(begin, count=line.lookback_partitions)[:-1]
    needed = [partition for partition in earlier if partition not in known]
    if needed:
        run_job(
            f"{line.name}_train",
            settings=settings,
            wiring=wiring,
            tags={
                FIRST_PARTITION_TAG: needed[0],
                LAST_PARTITION_TAG: needed[-1],
                REASON_TAG: f"history of {begin}",
            },
            assets=[dg.AssetKey([line.name, "snapshot"])],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Which version, the natural one for None; who asks, and why."""

    version: int | None
    by: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse a move nobody answers for, before a run is begun."""
        Request(by=self.by, reason=self.reason, run_id="not begun")

    def config(self) -> dict[str, object]:
        """As the jobs take it."""
        named = {} if self.version is None else {"version": self.version}
        return {"by": self.by, "reason": self.reason, **named}


def promote(
    line: ReleaseLine, move: Move, *, to: str = "next", settings: Settings, wiring: Wiring
) -> JobRun:
    """Move a registered version, the newest for None, to its next stage."""
    return _release_job(
        line, "promote", "promote_version", {**move.config(), "to": to.upper()}, settings, wiring
    )


def stage(line: ReleaseLine, move: Move, *, settings: Settings, wiring: Wiring) -> JobRun:
    """Let a registered version, the newest for None, meet a real server process."""
    return run_job(
        f"{line.name}_stage",
        settings=settings,
        wiring=wiring,
        run_config={"ops": {f"{line.name}__staging_endpoint": {"config": move.config()}}},
    )


def plan(line: ReleaseLine, version: int | None, *, wiring: Wiring) -> RolloutPlan:
    """The way that is left to a registered version, the newest for None; nothing is run."""
    return plan_promotion(
        line,
        version,
        environment=wiring.environment,
        evidence=wiring.evidence,
        models=wiring.models,
        registry=wiring.registry,
        deployments=wiring.deployments,
        clock=wiring.clock,
    )


def next_stage(line: ReleaseLine, version: int | None, *, wiring: Wiring) -> Stage | None:
    """The stage that comes next for a version; None if none does."""
    places = plan(line, version, wiring=wiring).places
    return places[0].place.stage if places else None


def approve(line: ReleaseLine, move: Move, *, settings: Settings, wiring: Wiring) -> JobRun:
    """Let a registered version through, the newest for None."""
    return _release_job(line, "approve", "approve_version", move.config(), settings, wiring)


def reject(line: ReleaseLine, move: Move, *, settings: Settings, wiring: Wiring) -> JobRun:
    """Do not let a registered version through, the newest for None."""
    return _release_job(line, "reject", "reject_version", move.config(), settings, wiring)


def settle(line: ReleaseLine, move: Move, *, settings: Settings, wiring: Wiring) -> JobRun:
    """End the watch of the release that answers everybody."""
    config: dict[str, object] = {"by": move.by, "reason": move.reason}
    return _release_job(line, "settle", "settle_watch", config, settings, wiring)


def _release_job(
    line: ReleaseLine,
    job: str,
    op: str,
    config: dict[str, object],
    settings: Settings,
    wiring: Wiring,
) -> JobRun:
    return run_job(
        f"{line.name}_{job}",
        settings=settings,
        wiring=wiring,
        run_config={"ops": {f"{line.name}_{op}": {"config": config}}},
    )


def roll_back(line: ReleaseLine, move: Move, *, settings: Settings, wiring: Wiring) -> JobRun:
    """Restore the last version that may serve, or the one named."""
    return _release_job(line, "rollback", "roll_back", move.config(), settings, wiring)


def drill(
    line: ReleaseLine, move: Move, *, rounds: int | None, settings: Settings, wiring: Wiring
) -> JobRun:
    """Rehearse a rollback on a server of its own, as often as the policy says for None."""
    config: dict[str, object] = {"by": move.by, "reason": move.reason}
    if rounds is not None:
        config["rounds"] = rounds
    return run_job(
        f"{line.name}_drill",
        settings=settings,
        wiring=wiring,
        run_config={"ops": {f"{line.name}__drill": {"config": config}}},
    )


def withdraw(line: ReleaseLine, move: Move, *, settings: Settings, wiring: Wiring) -> JobRun:
    """Let a version never serve again until somebody lifts it."""
    return _release_job(line, "withdraw", "withdraw_version", move.config(), settings, wiring)


def lift(line: ReleaseLine, move: Move, *, settings: Settings, wiring: Wiring) -> JobRun:
    """Let a withdrawn version be released again."""
    return _release_job(line, "lift", "lift_version", move.config(), settings, wiring)


def restore(
    line: ReleaseLine,
    move: Move,
    *,
    adopt: str | None,
    environment: str | None,
    settings: Settings,
    wiring: Wiring,
) -> JobRun:
    """Declare the last sealed state again, in the environment of the settings for None."""
    config: dict[str, object] = {"by": move.by, "reason": move.reason}
    if adopt is not None:
        config["adopt"] = adopt
    chosen = wiring if environment is None else replace(wiring, environment=environment)
    return run_job(
        f"{line.name}_restore",
        settings=settings,
        wiring=chosen,
        run_config={"ops": {f"{line.name}_restore_sealed": {"config": config}}},
    )


def waive(
    line: ReleaseLine,
    *,
    rule: str,
    subject: str | None,
    candidate: str | None,
    by: str,
    reason: str,
    days: float,
    settings: Settings,
    wiring: Wiring,
) -> JobRun:
    """Let findings of a candidate go for some days, of the newest one for None."""
    named = {"subject": subject, "candidate": candidate}
    config = {"rule": rule, "by": by, "reason": reason, "days": days}
    config |= {name: value for name, value in named.items() if value is not None}
    return run_job(
        f"{line.name}_waive",
        settings=settings,
        wiring=wiring,
        run_config={"ops": {f"{line.name}_waive_finding": {"config": config}}},
    )


def register(line: ReleaseLine, *, settings: Settings, wiring: Wiring) -> JobRun:
    """Register the newest candidate, if its recorded evidence lets it, waivers counted in."""
    return run_job(
        f"{line.name}_train",
        settings=settings,
        wiring=wiring,
        # The card says who waived what, so it is written anew.
        assets=[dg.AssetKey([line.name, name]) for name in ("model_card", "registered_version")],
    )


def score(
    line: ReleaseLine,
    *,
    first: str | None,
    last: str | None,
    version: int | None,
    settings: Settings,
    wiring: Wiring,
) -> JobRun:
    """Answer every row of some months, the newest with features for None."""
    known = [features.partition for features in wiring.tables.current(line.name, FEATURES_TABLE)]
    if not known:
        message = (
            f"{line.name}: expected months with features to score, found none. Run"
            f" `ml-release train {line.name}` first."
        )
        raise NotFoundError(message)
    end = last or known[-1]
    begin = first or end
    months = line.landing.between(begin, end)
    missing = sorted(set(months) - set(known))
    if not months or missing:
        message = (
            f"{line.name}: expected months with features, of {', '.join(known)}, found {begin} to"
            f" {end}" + (f"; {missing} have none" if missing else "")
        )
        raise InputError(message)
    config = {} if version is None else {"version": version}
    return run_job(
        f"{line.name}_score",
        settings=settings,
        wiring=wiring,
        run_config={"ops": {f"{line.name}__batch_predictions": {"config": config}}},
        tags={FIRST_PARTITION_TAG: begin, LAST_PARTITION_TAG: end},
    )


def monitor(line: ReleaseLine, *, settings: Settings, wiring: Wiring) -> JobRun:
    """Read the inference log and judge it."""
    return run_job(f"{line.name}_monitor", settings=settings, wiring=wiring)
