"""A whole installation in a folder: real adapters, real jobs on a real instance, a real server."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import httpx

from ml_release.adapters.http_endpoint import HttpEndpoint
from ml_release.adapters.mlflow_registry import MlflowExperiments
from ml_release.orchestration.build import build_definitions
from ml_release.orchestration.instance import open_instance
from ml_release.orchestration.jobs import training_request
from ml_release.orchestration.resources import TRACKING, tracking_resource
from ml_release.orchestration.wiring import local_wiring
from ml_release.settings import read_settings
from ml_release.workflows.replay import replay
from ml_release.workflows.status import line_status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.replay import Replayed
    from ml_release.workflows.status import LineStatus

PROJECT = Path(__file__).parents[2]
_PATIENCE_SECONDS = 60.0


class Installation:
    """One line, released the way the daemon and people do it: by its jobs and its sensor.

    Parameters
    ----------
    folder
        Holds the home and a landing zone of its own.
    """

    def __init__(self, folder: Path, line: ReleaseLine) -> None:
        if not (folder / "data").exists():
            shutil.copytree(PROJECT / "data", folder / "data")
        self.settings = read_settings(
            {"ML_RELEASE_HOME": str(folder / "home"), "ML_RELEASE_DATA": str(folder / "data")}
        )
        self.wiring = local_wiring(self.settings)
        self.instance = open_instance(self.settings)
        self._cursor: str | None = None
        self.use(line)

    def use(self, line: ReleaseLine) -> None:
        """Load this line, of the same name, in the place of the one before."""
        self.line = line
        experiments = MlflowExperiments(self.settings.tracking_uri, now=self.wiring.clock.now)
        self.definitions = build_definitions(
            [line],
            wiring=self.wiring,
            resources={TRACKING: tracking_resource(self.settings, experiments=experiments)},
        )

    def run(
        self,
        job: str,
        config: Mapping[str, Any] | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        assets: Sequence[str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run a job of the line, or some of its assets, to its end, whatever that is."""
        found = self.definitions.resolve_job_def(f"{self.line.name}_{job}")
        return found.execute_in_process(
            instance=self.instance,
            run_config=dict(config or {}),
            tags=dict(tags or {}),
            raise_on_error=False,
            asset_selection=[dg.AssetKey([self.line.name, name]) for name in assets]
            if assets
            else None,
        )

    def train(self, first: str, last: str, *, fresh_from: str | None = None, by: str) -> int:
        """Train, gate and register on some months; the number of the version."""
        config, tags = training_request(
            self.line, first=first, last=last, fresh_from=fresh_from or first, by=by
        )
        result = self.run("train", config, tags=tags)
        assert result.success, said(result)
        number: int = self.wiring.registry.versions(self.line.name)[-1].number
        return number

    def act(self, job: str, op: str, **form: object) -> dg.ExecuteInProcessResult:
        """Fill in the form of a job and run it."""
        return self.run(job, {"ops": {f"{self.line.name}_{op}": {"config": form}}})

    def stage(self, version: int, *, by: str, reason: str) -> dg.ExecuteInProcessResult:
        """Try a version on a server of its own, and declare it in staging."""
        form = {"version": version, "by": by, "reason": reason}
        config = {"ops": {f"{self.line.name}__staging_endpoint": {"config": form}}}
        return self.run("stage", config)

    def tick(self) -> tuple[str, dg.ExecuteInProcessResult | None]:
        """Let the daemon look at the rollout once: what the sensor said, and the run it asked for.

        A run request is carried out as the daemon does it: with its key as a tag, so that none is
        carried out twice, and the cursor is kept for the next tick.
        """
        sensor = self.definitions.resolve_sensor_def(f"{self.line.name}_rollout")
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self._cursor, sensor_name=sensor.name
        )
        answer = sensor.evaluate_tick(context)
        self._cursor = answer.cursor or self._cursor
        if not answer.run_requests:
            return answer.skip_message or "", None
        (request,) = answer.run_requests
        tags = {**request.tags, "dagster/run_key": request.run_key or ""}
        assert not self.instance.get_run_records(
            dg.RunsFilter(tags={"dagster/run_key": tags["dagster/run_key"]})
        )
        result = self.run("rollout", request.run_config, tags=tags)
        assert result.success, said(result)
        return request.tags["ml_release/reason"], result

    def replay(self, day: date, *, server: str) -> Replayed:
        """Every flight of a day through the server, then its labels; a flight number is a unit."""
        endpoint = HttpEndpoint(server, timeout_seconds=30.0)
        try:
            return replay(
                self.line,
                first=day,
                last=day,
                landing=self.wiring.landing,
                endpoint=endpoint,
                unit=("carrier", "flight"),
            )
        finally:
            endpoint.close()

    def await_server(self, server: str) -> None:
        """Wait until the server serves what is declared, with everything loaded."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        found: dict[str, Any] = {}
        while time.monotonic() < deadline:
            found = httpx.get(f"{server}/status", trust_env=False, timeout=10).json()
            serving = found["lines"].get(self.line.name, {}).get("serving")
            if serving is not None and serving["commit"] == self.history[-1].commit:
                parts = [*serving["variants"], *serving["shadows"]]
                if all(part["loaded"] for part in parts):
                    return
            time.sleep(0.1)
        message = f"the server does not serve what is declared: {found}"
        raise AssertionError(message)

    def status(self) -> LineStatus:
        """As `ml-release status` gathers it."""
        wiring = self.wiring
        return line_status(
            self.line,
            environment=wiring.environment,
            evidence=wiring.evidence,
            models=wiring.models,
            registry=wiring.registry,
            deployments=wiring.deployments,
            switches=wiring.switches,
            workplace=wiring.workplace,
            now=wiring.clock.now(),
        )

    @property
    def state(self) -> DeclaredState:
        """What is declared for production now."""
        return self.history[-1].state

    @property
    def history(self) -> tuple[Declaration, ...]:
        """Every declaration for production, oldest first."""
        return tuple(self.wiring.deployments.history(self.line.name, "production"))


def said(result: dg.ExecuteInProcessResult) -> str:
    """What the run that failed says of it."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data is not None:
                return data.user_failure_data.description or ""
            return "" if data.error is None else data.error.to_string()
    checks = [
        f"{check.check_name}: {check.description}"
        for check in result.get_asset_check_evaluations()
        if not check.passed
    ]
    return "\n".join(checks)
