"""MLflow as a Dagster resource: one MLflow run per Dagster run, opened only when it is needed.

dagster-mlflow's own ``mlflow_tracking`` does the work. It imports MLflow and opens a run as soon as
a Dagster run starts; here both wait until a candidate is trained, so that a run that stops at a
data gate leaves no empty MLflow run, and loading the code location imports no MLflow.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import dagster as dg

from ml_release.adapters.mlflow_registry import MlflowRun
from ml_release.ports import ExperimentRun
from ml_release.settings import Settings

TRACKING = "mlflow"


class Tracking:
    """Opens the MLflow run of a Dagster run."""

    def __init__(
        self, context: dg.InitResourceContext, *, artifacts: str, now: Callable[[], datetime]
    ) -> None:
        self._context = context
        self._artifacts = artifacts
        self._now = now

    @contextmanager
    def run(self) -> Iterator[ExperimentRun]:
        """The run, finished at the end of the block, or failed if the block raises."""
        import mlflow
        from dagster_mlflow import mlflow_tracking

        config = self._context.resource_config
        client = mlflow.MlflowClient(tracking_uri=config["mlflow_tracking_uri"])
        if client.get_experiment_by_name(config["experiment_name"]) is None:
            # mlflow_tracking would make it with artefacts in the working folder.
            client.create_experiment(config["experiment_name"], artifact_location=self._artifacts)
        with contextmanager(mlflow_tracking.resource_fn)(self._context) as tracker:
            run_id = tracker.active_run().info.run_id
            try:
                yield MlflowRun(client, run_id, now=self._now)
            except BaseException:
                tracker.end_run("FAILED")
                raise
            tracker.end_run("FINISHED")


def tracking_resource(settings: Settings, *, now: Callable[[], datetime]) -> dg.ResourceDefinition:
    """The resource ``mlflow``, set up from the settings."""

    @dg.resource(
        config_schema={
            "experiment_name": dg.Field(str, default_value="ml_release"),
            "mlflow_tracking_uri": dg.Field(str, default_value=settings.tracking_uri),
            "env": dg.Field(dict, default_value={}),
            "extra_tags": dg.Field(dict, default_value={}),
        },
        description="Experiment tracking in MLflow, through dagster-mlflow.",
    )
    def mlflow_run(context: dg.InitResourceContext) -> Tracking:
        return Tracking(context, artifacts=settings.mlflow_artifacts.as_uri(), now=now)

    return mlflow_run
