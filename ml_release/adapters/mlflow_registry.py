"""Experiment tracking and the model registry in MLflow. Nothing else knows MLflow.

Aliases and tags, no stages: those are deprecated since MLflow 2.9. Files of a run go to its
artefact location as they are: a version's model can be looked at and fetched with MLflow alone.
"""

from __future__ import annotations

import math
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ml_release.domain.identity import ModelVersion
from ml_release.domain.search import TrialState
from ml_release.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    from ml_release.domain.search import Trial

_DIGEST_TAG = "ml_release.model_digest"
_PREFIX = "ml_release."
_MISSING = "RESOURCE_DOES_NOT_EXIST"
_EXISTS = "RESOURCE_ALREADY_EXISTS"
_LONGEST_TAG = 5000
_STATUS = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAILED: "FAILED",
}


class MlflowRun:
    """`ExperimentRun` of one MLflow run, open or finished."""

    def __init__(
        self,
        client: MlflowClient,
        run_id: str,
        *,
        now: Callable[[], datetime],
        address: str | None = None,
    ) -> None:
        self._client = client
        self._run_id = run_id
        self._now = now
        self._address = address

    @property
    def run_id(self) -> str:
        """Its identifier."""
        return self._run_id

    @property
    def address(self) -> str | None:
        """Its page in MLflow's UI; None if the tracking address is no server."""
        return self._address

    def log(self, *, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Record parameters and metrics; metrics that are not finite are left out."""
        from mlflow.entities import Metric, Param

        with _translated(f"experiment run {self._run_id}"):
            self._client.log_batch(
                self._run_id,
                params=[Param(key, str(value)) for key, value in params.items()],
                metrics=[
                    Metric(key, float(value), int(self._now().timestamp() * 1000), 0)
                    for key, value in metrics.items()
                    if math.isfinite(value)
                ],
            )

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        with _translated(f"experiment run {self._run_id}"):
            self._client.log_batch(
                self._run_id, tags=[RunTag(key, value) for key, value in tags.items()]
            )

    def keep(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Keep files as artefacts of the run."""
        with tempfile.TemporaryDirectory() as name, _translated(f"experiment run {self._run_id}"):
            for file, content in files.items():
                (Path(name) / file).write_bytes(content)
            self._client.log_artifacts(self._run_id, name, folder)

    def add_trial(self, trial: Trial, *, objective: str) -> str:
        """Record a trial as a nested run that has ended, its folds as the steps of one metric."""
        from mlflow.entities import Metric, Param

        ended = int(self._now().timestamp() * 1000)
        values = [
            Metric(f"{objective}_of_fold", value, ended, step)
            for step, value in enumerate(trial.fold_values)
        ]
        values.append(Metric("seconds", trial.seconds, ended, 0))
        if trial.value is not None:
            values.append(Metric(objective, trial.value, ended, 0))
        tags = {
            "mlflow.parentRunId": self._run_id,
            f"{_PREFIX}trial_state": trial.state.value,
        }
        if trial.message:
            tags[f"{_PREFIX}trial_message"] = trial.message[:_LONGEST_TAG]
        with _translated(f"experiment run {self._run_id}"):
            parent = self._client.get_run(self._run_id)
            run_id = self._client.create_run(
                parent.info.experiment_id,
                run_name=f"trial {trial.number}",
                start_time=ended - int(trial.seconds * 1000),
                tags=tags,
            ).info.run_id
            self._client.log_batch(
                run_id,
                params=[Param(key, str(value)) for key, value in trial.parameters.items()],
                metrics=values,
            )
            self._client.set_terminated(run_id, _STATUS[trial.state], end_time=ended)
        return str(run_id)


class MlflowExperiments:
    """`Experiments` at one tracking address; ``now`` dates the metrics."""

    def __init__(self, tracking_uri: str, *, now: Callable[[], datetime]) -> None:
        self._tracking_uri = tracking_uri
        self._now = now

    def ensure(self, name: str, *, artifacts_uri: str) -> None:
        """Make an experiment whose runs keep their files at ``artifacts_uri``, if there is none."""
        client = _client(self._tracking_uri)
        with _translated(f"experiment {name}"):
            if client.get_experiment_by_name(name) is None:
                client.create_experiment(name, artifact_location=artifacts_uri)

    def resume(self, run_id: str) -> MlflowRun:
        """A run that was opened before."""
        client = _client(self._tracking_uri)
        with _translated(f"experiment run {run_id}"):
            experiment = client.get_run(run_id).info.experiment_id
        address = None
        if self._tracking_uri.startswith(("http://", "https://")):
            server = self._tracking_uri.rstrip("/")
            address = f"{server}/#/experiments/{experiment}/runs/{run_id}"
        return MlflowRun(client, run_id, now=self._now, address=address)


class MlflowRegistry:
    """`ModelRegistry` at one tracking address: a registered model per line, aliases and tags."""

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri

    def register(
        self, line: str, *, model_digest: str, run_id: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        """Add a version. A model digest that is registered already returns its version."""
        from mlflow.exceptions import MlflowException

        for version in self.versions(line):
            if version.model_digest == model_digest:
                return version
        client = _client(self._tracking_uri)
        try:
            client.create_registered_model(line)
        except MlflowException as error:
            if error.error_code != _EXISTS:
                raise _unavailable(error, subject=f"registry of {line}") from error
        with _translated(f"registry of {line}"):
            created = client.create_model_version(
                line,
                source=f"runs:/{run_id}/model",
                run_id=run_id,
                tags={
                    _DIGEST_TAG: model_digest,
                    **{_PREFIX + key: value for key, value in tags.items()},
                },
            )
        return _version(line, created)

    def versions(self, line: str) -> tuple[ModelVersion, ...]:
        """All versions that carry a model digest, in the order of their numbers."""
        client = _client(self._tracking_uri)
        found: list[MlflowVersion] = []
        token: str | None = None
        with _translated(f"registry of {line}"):
            while True:
                page = client.search_model_versions(f"name = '{line}'", page_token=token)
                found += page
                token = page.token
                if not token:
                    break
        versions = (_version(line, version) for version in found if _DIGEST_TAG in version.tags)
        return tuple(sorted(versions, key=lambda version: version.number))

    def point_alias(self, line: str, alias: str, number: int) -> None:
        """Make ``alias`` name the version ``number``."""
        client = _client(self._tracking_uri)
        with _translated(f"{line} version {number}"):
            # MLflow lets an alias name a version that does not exist.
            client.get_model_version(line, str(number))
            client.set_registered_model_alias(line, alias, str(number))

    def named(self, line: str, alias: str) -> int | None:
        """Number of the version an alias names, None if it names none."""
        from mlflow.exceptions import MlflowException

        try:
            aliases = _client(self._tracking_uri).get_registered_model(line).aliases
        except MlflowException as error:
            if error.error_code == _MISSING:
                return None
            raise _unavailable(error, subject=f"registry of {line}") from error
        return int(aliases[alias]) if alias in aliases else None

    def run_tags(self, run_id: str) -> dict[str, str]:
        """Tags of an experiment run."""
        client = _client(self._tracking_uri)
        with _translated(f"experiment run {run_id}"):
            return dict(client.get_run(run_id).data.tags)


def _version(line: str, version: MlflowVersion) -> ModelVersion:
    tags = dict(version.tags)
    return ModelVersion(
        line=line,
        number=int(version.version),
        model_digest=tags[_DIGEST_TAG],
        tags={
            key.removeprefix(_PREFIX): value
            for key, value in tags.items()
            if key.startswith(_PREFIX) and key != _DIGEST_TAG
        },
    )


def _client(tracking_uri: str) -> MlflowClient:
    import logging

    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    # One line per migration of a new database is no news to whoever waits for a model.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    except MlflowException as error:
        raise _unavailable(error, subject=f"MLflow at {tracking_uri}") from error


@contextmanager
def _translated(subject: str) -> Iterator[None]:
    """MLflow's exceptions as ours; ``subject`` says what was asked for."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code == _MISSING:
            message = f"{subject}: expected it in MLflow, found none ({error.message})"
            raise NotFoundError(message) from error
        raise _unavailable(error, subject=subject) from error


def _unavailable(error: MlflowException, *, subject: str) -> UnavailableError:
    return UnavailableError(f"{subject}: MLflow cannot answer ({error.message})")
