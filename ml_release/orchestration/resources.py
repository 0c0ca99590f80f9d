"""MLflow as a Dagster resource: one MLflow run per Dagster run, opened only when it is needed.

dagster-mlflow's own ``mlflow_tracking`` does the work. It imports MLflow and opens a run as soon as
a Dagster run starts; here both wait until a candidate is trained, so that a run that stops at a
data gate leaves no empty MLflow run, and loading the code location imports no MLflow.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ml_release.adapters.mlflow_registry import MlflowExperiments
from ml_release.ports import ExperimentRun
from ml_release.settings import Settings

TRACKING = "mlflow"


class Tracking:
    """Opens the MLflow run of a Dagster run."""

    def __init__(
        self,
        context: dg.InitResourceContext,
        *,
        experiments: MlflowExperiments,
        artifacts_uri: str,
    ) -> None:
        self._context = context
        self._experiments = experiments
        self._artifacts_uri = artifacts_uri

    @contextmanager
    def run(self) -> Iterator[ExperimentRun]:
        """The run, finished at the end of the block, or failed if the block raises."""
        # mlflow_tracking would make the experiment with artefacts in the working folder.
        self._experiments.ensure(
            self._context.resource_config["experiment_name"], artifacts_uri=self._artifacts_uri
        )
        with warnings.catch_warnings():
            # All of dagster-mlflow is in beta, and says so each time it is used.
            warnings.simplefilter("ignore", dg.BetaWarning)
            from dagster_mlflow import mlflow_tracking

            opened = contextmanager(mlflow_tracking.resource_fn)(self._context)
            tracker = opened.__enter__()
        try:
            yield self._experiments.resume(tracker.active_run().info.run_id)
        except BaseException:
            tracker.end_run("FAILED")
            raise
        tracker.end_run("FINISHED")


def tracking_resource(
    settings: Settings, *, experiments: MlflowExperiments
) -> dg.ResourceDefinition:
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
        return Tracking(
            context,
            experiments=experiments,
            artifacts_uri=settings.mlflow_artifacts.as_uri(),
        )

    return mlflow_run
