"""A whole installation in a folder: real adapters, real jobs on a real instance, a real server."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_release.adapters.http_endpoint import HttpEndpoint
from ml_release.adapters.mlflow_registry import MlflowExperiments
from ml_release.orchestration.build import build_definitions
from ml_release.orchestration.instance import open_instance
from ml_release.orchestration.jobs import training_request
from ml_release.orchestration.resources import TRACKING, tracking_resource
from ml_release.orchestration.wiring import local_wiring
from ml_release.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.spec.release_line import ReleaseLine

PROJECT = Path(__file__).parents[2]
_ENDED_WELL = dg.DagsterRunStatus.SUCCESS


class Installation:
    """One line, released the way the daemon and people do it: by its jobs and its sensor.

    Parameters
    ----------
    folder
        Holds the home and a landing zone of its own.
    """

    def __init__(self, folder: Path, line: ReleaseLine) -> None:
        self.line = line
        if not (folder / "data").exists():
            shutil.copytree(PROJECT / "data", folder / "data")
        self.settings = read_settings(
            {"ML_RELEASE_HOME": str(folder / "home"), "ML_RELEASE_DATA": str(folder / "data")}
        )
        self.wiring = local_wiring(self.settings)
        self.instance = open_instance(self.settings)
        self._cursor: str | None = None

    def definitions(self, line: ReleaseLine | None = None) -> dg.Definitions:
        """All that Dagster loads, of this line or of another one in its place."""
        experiments = MlflowExperiments(self.settings.tracking_uri, now=self.wiring.clock.now)
        return build_definitions(
            [line or self.line],
            wiring=self.wiring,
            resources={TRACKING: tracking_resource(self.settings, experiments=experiments)},
        )

    def run(
        self,
        job: str,
        config: Mapping[str, Any] | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        line: ReleaseLine | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run a job of the line to its end, whatever that is."""
        found = self.definitions(line).resolve_job_def(f"{self.line.name}_{job}")
        return found.execute_in_process(
            instance=self.instance,
            run_config=dict(config or {}),
            tags=dict(tags or {}),
            raise_on_error=False,
        )

    def train(self, first: str, last: str, *, by: str, line: ReleaseLine | None = None) -> int:
        """Train, gate and register on some months; the number of the version."""
        config, tags = training_request(self.line, first=first, last=last, fresh_from=first, by=by)
        result = self.run("train", config, tags=tags, line=line)
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
        sensor = self.definitions().resolve_sensor_def(f"{self.line.name}_rollout")
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
