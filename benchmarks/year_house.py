"""An installation that lives through 2013: real jobs, sensors, registry, Git and log, moved clock.

Months land as files on the second day of the next one. Sensors that ask for training are looked at
after each monitoring; what they ask for is run, and a version that its gates let through is
promoted at once.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_release.adapters.mlflow_registry import MlflowExperiments
from ml_release.adapters.moved_clock import MovedClock
from ml_release.domain.approvals import ApprovalPolicy
from ml_release.orchestration.build import build_definitions
from ml_release.orchestration.instance import open_instance
from ml_release.orchestration.jobs import (
    MONITORED,
    REASON_TAG,
    TRIGGER_TAG,
    training_request,
)
from ml_release.orchestration.resources import TRACKING, tracking_resource
from ml_release.orchestration.wiring import local_wiring
from ml_release.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from ml_release.spec.release_line import ReleaseLine

BY = "benchmark"
_JUDGING = tuple(
    name for name in MONITORED if name not in {"evidently_report", "monitoring_report"}
)


def released_at_once(line: ReleaseLine) -> ReleaseLine:
    """The line whose versions serve when their gates let them: no legs, no approval, no watch.

    A retraining would otherwise be compared with one that is released weeks earlier.
    """
    rollout = line.policies.rollout.model_copy(
        update={"stages": (), "approval": ApprovalPolicy(needed=0), "is_watched": False}
    )
    policies = line.policies.model_copy(update={"rollout": rollout})
    return line.model_copy(update={"policies": policies})


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something that was done to the installation, for the table of the year.

    Attributes
    ----------
    kind
        ``retrained``; ``refused`` (trained, and its gates did not let it); ``held`` (its promotion
        was refused); ``turned down`` (its backtest saw no use, nothing was trained); or the job
        that a sensor asked for.
    trigger
        What asked for it.
    """

    at: datetime
    kind: str
    trigger: str
    said: str
    version: int | None = None


class YearHouse:
    """One line in a folder of its own."""

    def __init__(self, folder: Path, line: ReleaseLine, *, data: Path) -> None:
        self.line, self.data = line, data
        self.landing_zone = folder / "landing"
        self.settings = read_settings(
            {
                "ML_RELEASE_HOME": str(folder / "home"),
                "ML_RELEASE_DATA": str(self.landing_zone),
                "ML_RELEASE_CLOCK": str(folder / "clock.json"),
            }
        )
        self.wiring = local_wiring(self.settings)
        self.happened: list[Happened] = []
        self.seconds: dict[str, float] = {}
        """By kind of work, and by job and step."""
        self._instance = open_instance(self.settings)
        self._cursors: dict[str, str | None] = {}
        self._definitions = build_definitions(
            [line],
            wiring=self.wiring,
            resources={
                TRACKING: tracking_resource(
                    self.settings,
                    experiments=MlflowExperiments(
                        self.settings.tracking_uri, now=self.wiring.clock.now
                    ),
                )
            },
        )
        for path in line.landing.companions.values():
            self._deliver(path)

    @property
    def clock(self) -> MovedClock:
        """That of the installation."""
        clock = self.wiring.clock
        assert isinstance(clock, MovedClock)  # noqa: S101 (the setting is given above)
        return clock

    @property
    def version(self) -> int | None:
        """What answers."""
        declared = self.wiring.deployments.sealed(self.line.name, self.wiring.environment)
        return None if declared is None else declared.state.champion.version

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count the seconds of a kind of work."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begun
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def land(self, *months: str) -> None:
        """Months arrive: their snapshots, their features, and the history that serving looks up."""
        line = self.line
        for month in months:
            self._deliver(line.landing.rows.replace("{partition}", month))
        with self.timed("landing"):
            _, tags = training_request(
                line, first=months[0], last=months[-1], fresh_from=months[0], by=BY
            )
            self._must(self._run("train", tags=tags, assets=("snapshot", "features")))

    def train(self, first: str, last: str) -> int:
        """Train on some months and release the version."""
        config, tags = training_request(self.line, first=first, last=last, fresh_from=first, by=BY)
        with self.timed("training"):
            self._must(self._run("train", config, tags=tags))
        version = self.wiring.registry.versions(self.line.name)[-1].number
        refusal = self._promote(version)
        if refusal:
            raise SystemExit(refusal)
        return version

    def monitor(self) -> None:
        """Run the monitor job as its sensor would, but for the pages that people read."""
        with self.timed("monitoring"):
            self._must(self._run("monitor", assets=_JUDGING))

    def look(self) -> list[Happened]:
        """One tick of every sensor that may ask for training or take a release back."""
        found = []
        jobs = {f"{self.line.name}_{name}" for name in ("train", "rollback")}
        for sensor in self._definitions.get_repository_def().sensor_defs:
            if not jobs & {target.job_name for target in sensor.targets}:
                continue
            with self.timed("sensors"):
                requests = self._tick(sensor)
            for request in requests:
                asked_for = request.job_name or sensor.job_name or ""
                job = asked_for.removeprefix(f"{self.line.name}_")
                found.append(self._carry_out(job, request))
        self.happened += found
        return found

    def recorded(self, kind: str) -> Any:  # noqa: ANN401 (a JSON document)
        """The newest record of a kind about the environment; None without one."""
        content = self.wiring.evidence.find(self.line.name, kind, self.wiring.environment)
        return None if content is None else json.loads(content)

    def close(self) -> None:
        """Let go of the instance."""
        self._instance.dispose()

    def _tick(self, sensor: dg.SensorDefinition) -> Sequence[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=self._instance,
            cursor=self._cursors.get(sensor.name),
            sensor_name=sensor.name,
            definitions=self._definitions,
        )
        answer = sensor.evaluate_tick(context)
        self._cursors[sensor.name] = answer.cursor or self._cursors.get(sensor.name)
        return answer.run_requests or ()

    def _carry_out(self, job: str, request: dg.RunRequest) -> Happened:
        """Run what was asked for as the daemon does: with its key as a tag."""
        before = self.version
        tags = {**request.tags, "dagster/run_key": request.run_key or ""}
        known = {version.number for version in self.wiring.registry.versions(self.line.name)}
        with self.timed("training"):
            result = self._run(job, request.run_config, tags=tags)
        new = [
            version.number
            for version in self.wiring.registry.versions(self.line.name)
            if version.number not in known
        ]
        kind = job
        said = request.tags.get(REASON_TAG, "") if result.success else _said(result)
        if job == "train":
            is_trained = any(
                event.is_step_success and (event.step_key or "").endswith("__candidate")
                for event in result.all_events
            )
            kind = "retrained" if new else "refused" if is_trained else "turned down"
        if new:
            refusal = self._promote(new[-1])
            kind, said = (kind, said) if not refusal else ("held", refusal)
        return Happened(
            at=self.clock.now(),
            kind=kind,
            trigger=request.tags.get(TRIGGER_TAG, ""),
            said=said,
            version=self.version if self.version != before else None,
        )

    def _promote(self, version: int) -> str:
        """Declare a version; why that was refused, empty if it was not."""
        form = {"version": version, "by": BY, "reason": "its gates let it", "to": "NEXT"}
        config = {"ops": {f"{self.line.name}_promote_version": {"config": form}}}
        with self.timed("releasing"):
            result = self._run("promote", config)
        return "" if result.success else _said(result)

    def _run(
        self,
        job: str,
        config: Mapping[str, Any] | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        assets: Sequence[str] = (),
    ) -> dg.ExecuteInProcessResult:
        found = self._definitions.resolve_job_def(f"{self.line.name}_{job}")
        chosen = [dg.AssetKey([self.line.name, name]) for name in assets]
        result = found.execute_in_process(
            instance=self._instance,
            run_config=dict(config or {}),
            tags=dict(tags or {}),
            asset_selection=chosen or None,
            raise_on_error=False,
        )
        for event in result.all_events:
            if event.is_step_success:
                step = (event.step_key or "").removeprefix(f"{self.line.name}__")
                name = f"{job}: {step}"
                spent = event.step_success_data.duration_ms / 1000
                self.seconds[name] = self.seconds.get(name, 0.0) + spent
        return result

    def _must(self, result: dg.ExecuteInProcessResult) -> None:
        if not result.success:
            message = f"{result.job_def.name}: {_said(result)}"
            raise SystemExit(message)

    def _deliver(self, path: str) -> None:
        target = self.landing_zone / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.data / path, target)


def _said(result: dg.ExecuteInProcessResult) -> str:
    """What the run that did not succeed says of it."""
    checks = [
        f"{check.check_name}: {check.description}"
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    ]
    if checks:
        return "; ".join(checks)
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data is not None:
                return data.user_failure_data.description or ""
            return "" if data.error is None else data.error.to_string()
    return "no reason"
