"""The MLflow run of a Dagster run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from ml_release.adapters.mlflow_registry import MlflowExperiments
from ml_release.orchestration.resources import TRACKING, tracking_resource
from ml_release.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.tracking import MlflowClient

    from ml_release.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"ML_RELEASE_HOME": str(tmp_path)})


def run_op(settings: Settings, *, opens: bool, breaks: bool = False) -> dg.ExecuteInProcessResult:
    """A job whose one step may open the tracking run, and may raise inside of it."""
    from ml_release.adapters.system_clock import SystemClock

    @dg.op(required_resource_keys={TRACKING})
    def work(context) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        if not opens:
            return
        with context.resources.mlflow.run() as run:
            run.tag({"seen": "yes"})
            if breaks:
                raise ValueError("broken")  # noqa: EM101

    experiments = MlflowExperiments(settings.tracking_uri, now=SystemClock().now)
    resources = {TRACKING: tracking_resource(settings, experiments=experiments)}

    @dg.job(resource_defs=resources)
    def one_step() -> None:
        work()

    return one_step.execute_in_process(raise_on_error=False)


def client_of(settings: Settings) -> MlflowClient:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=settings.tracking_uri)


@pytest.mark.parametrize(("breaks", "status"), [(False, "FINISHED"), (True, "FAILED")])
def test_the_run_is_closed_as_it_went(settings: Settings, breaks: bool, status: str) -> None:
    """One MLflow run per Dagster run, tagged with it, its files below the home folder."""
    result = run_op(settings, opens=True, breaks=breaks)
    client = client_of(settings)
    experiment = client.get_experiment_by_name("ml_release")
    assert experiment is not None
    assert experiment.artifact_location == settings.mlflow_artifacts.as_uri()
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == status
    assert run.data.tags["dagster_run_id"] == result.run_id
    assert run.data.tags["seen"] == "yes"


def test_a_run_that_trains_nothing_leaves_no_trace(settings: Settings) -> None:
    """Not even the database: MLflow is not touched."""
    assert run_op(settings, opens=False).success
    assert not list(settings.home.iterdir())
