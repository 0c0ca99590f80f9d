"""What every adapter of `ModelRegistry`, `Experiments` and `ExperimentRun` has to do.

To run them on one more adapter, write its `World` and add it to the fixture ``world``.
"""

from __future__ import annotations

import shutil
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import pytest

from ml_release.adapters.in_memory import InMemoryExperiments, InMemoryRegistry
from ml_release.adapters.mlflow_registry import MlflowExperiments, MlflowRegistry
from ml_release.domain.search import Trial, TrialState
from ml_release.errors import NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.tracking import MlflowClient

    from ml_release.domain.identity import ModelVersion
    from ml_release.ports import ExperimentRun, Experiments, ModelRegistry

LINE = "flight_delay"
NAN = float("nan")


class World(Protocol):
    """A registry with its experiments, and a look at what a port does not show."""

    registry: ModelRegistry
    experiments: Experiments

    def start(self) -> ExperimentRun:
        """Open a run."""

    def alias(self, line: str, alias: str) -> int | None:
        """Version that an alias names."""

    def metrics(self, run_id: str) -> dict[str, float]:
        """Metrics that a run has."""

    def params(self, run_id: str) -> dict[str, str]:
        """Parameters that a run has."""

    def file(self, run_id: str, path: str) -> bytes | None:
        """An artefact of a run."""


class InMemoryWorld:
    def __init__(self, _: Path) -> None:
        self._memory = InMemoryExperiments()
        self._registry = InMemoryRegistry(self._memory)
        self.registry: ModelRegistry = self._registry
        self.experiments: Experiments = self._memory

    def start(self) -> ExperimentRun:
        return self._memory.start()

    def alias(self, line: str, alias: str) -> int | None:
        return self._registry.aliases.get((line, alias))

    def metrics(self, run_id: str) -> dict[str, float]:
        return self._memory.resume(run_id).metrics

    def params(self, run_id: str) -> dict[str, str]:
        return self._memory.resume(run_id).params

    def file(self, run_id: str, path: str) -> bytes | None:
        return self._memory.resume(run_id).files.get(path)


class MlflowWorld:
    """On a copy of an empty database: making the tables takes seconds."""

    def __init__(self, folder: Path, template: Path) -> None:
        shutil.copy(template, folder / "mlflow.db")
        self._uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.registry: ModelRegistry = MlflowRegistry(self._uri)
        self._experiments = MlflowExperiments(self._uri, now=lambda: datetime.now(UTC))
        self.experiments: Experiments = self._experiments
        self._experiments.ensure("tests", artifacts_uri=(folder / "artifacts").as_uri())
        self._artifacts = folder / "artifacts"

    @property
    def _client(self) -> MlflowClient:
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    def start(self) -> ExperimentRun:
        experiment = self._client.get_experiment_by_name("tests")
        assert experiment is not None
        return self.experiments.resume(
            self._client.create_run(experiment.experiment_id).info.run_id
        )

    def alias(self, line: str, alias: str) -> int | None:
        named = self._client.get_registered_model(line).aliases.get(alias)
        return None if named is None else int(named)

    def metrics(self, run_id: str) -> dict[str, float]:
        return dict(self._client.get_run(run_id).data.metrics)

    def params(self, run_id: str) -> dict[str, str]:
        return dict(self._client.get_run(run_id).data.params)

    def file(self, run_id: str, path: str) -> bytes | None:
        kept = self._artifacts / run_id / "artifacts" / path
        return kept.read_bytes() if kept.exists() else None


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables without rows."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowRegistry(f"sqlite:///{path}").versions(LINE)
    return path


@pytest.fixture(params=["in_memory", "mlflow"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "in_memory":
        return InMemoryWorld(tmp_path)
    return MlflowWorld(tmp_path, request.getfixturevalue("empty_database"))


def digest(number: int) -> str:
    return f"sha256:{number:064d}"


def register(world: World, number: int = 1, *, line: str = LINE) -> ModelVersion:
    return world.registry.register(
        line,
        model_digest=digest(number),
        run_id=world.start().run_id,
        tags={"feature_version": f"f{number}"},
    )


def test_nothing_is_registered_at_first(world: World) -> None:
    """A line that nobody registered has no versions; that is no error."""
    assert world.registry.versions(LINE) == ()


def test_versions_are_counted_from_one_per_line(world: World) -> None:
    """Another line has its own numbers."""
    registered = [register(world, 1), register(world, 2), register(world, 1, line="other")]
    assert [version.number for version in registered] == [1, 2, 1]
    assert [version.line for version in registered] == [LINE, LINE, "other"]


def test_versions_are_listed_in_the_order_of_their_numbers(world: World) -> None:
    """As numbers: the tenth comes after the ninth. With digest and tags as registered."""
    registered = tuple(register(world, number) for number in range(1, 12))
    listed = world.registry.versions(LINE)
    assert [version.number for version in listed] == list(range(1, 12))
    assert [version.model_digest for version in listed] == [v.model_digest for v in registered]
    assert [version.tags["feature_version"] for version in listed] == [
        f"f{number}" for number in range(1, 12)
    ]


def test_a_model_that_is_registered_already_keeps_its_version(world: World) -> None:
    """A retried registration adds nothing, whatever came between and whichever run asks."""
    first = register(world, 1)
    register(world, 2)
    again = register(world, 1)
    assert (again.number, again.model_digest) == (first.number, first.model_digest)
    assert len(world.registry.versions(LINE)) == 2


def test_the_same_model_in_another_line_is_another_version(world: World) -> None:
    """Digests are looked up in their line only."""
    register(world, 1)
    assert register(world, 1, line="other").line == "other"
    assert len(world.registry.versions("other")) == 1


def test_an_alias_names_one_version_and_can_be_moved(world: World) -> None:
    """Pointing it twice is the same as once."""
    register(world, 1)
    register(world, 2)
    assert world.alias(LINE, "champion") is None
    assert world.registry.named(LINE, "champion") is None
    for number in (1, 2, 2):
        world.registry.point_alias(LINE, "champion", number)
        assert world.alias(LINE, "champion") == number
        assert world.registry.named(LINE, "champion") == number


def test_an_alias_of_a_line_that_is_not_registered_names_nothing(world: World) -> None:
    """That is no error: the first release asks."""
    assert world.registry.named("other", "champion") is None


@pytest.mark.parametrize("number", [0, 2, 99])
def test_an_alias_cannot_name_a_version_that_does_not_exist(world: World, number: int) -> None:
    """And stays where it was."""
    register(world, 1)
    world.registry.point_alias(LINE, "champion", 1)
    with pytest.raises(NotFoundError):
        world.registry.point_alias(LINE, "champion", number)
    assert world.alias(LINE, "champion") == 1


def test_an_alias_of_a_line_without_versions_is_not_found(world: World) -> None:
    """Not an exception of the vendor."""
    with pytest.raises(NotFoundError):
        world.registry.point_alias("other", "champion", 1)


def test_tags_of_a_run_are_read_back(world: World) -> None:
    """A later tag of the same name stands; other runs have none of them."""
    run, other = world.start(), world.start()
    run.tag({"data_digest": "a", "model_digest": "b"})
    run.tag({"data_digest": "c"})
    tags = world.registry.run_tags(run.run_id)
    assert (tags["data_digest"], tags["model_digest"]) == ("c", "b")
    assert "data_digest" not in world.registry.run_tags(other.run_id)


def test_a_run_that_does_not_exist_is_not_found(world: World) -> None:
    """For its tags as for adding to it."""
    with pytest.raises(NotFoundError):
        world.registry.run_tags("0" * 32)
    with pytest.raises(NotFoundError):
        world.experiments.resume("0" * 32)


def test_a_resumed_run_is_the_same_run(world: World) -> None:
    """What is added shows beside what was there."""
    run = world.start()
    run.tag({"first": "1"})
    resumed = world.experiments.resume(run.run_id)
    assert resumed.run_id == run.run_id
    resumed.tag({"second": "2"})
    tags = world.registry.run_tags(run.run_id)
    assert (tags["first"], tags["second"]) == ("1", "2")


def test_metrics_that_are_not_finite_are_left_out(world: World) -> None:
    """A metric that could not be computed is not a number in a chart."""
    run = world.start()
    run.log(
        params={"learning_rate": 0.06, "loss": "log"},
        metrics={"auc": 0.7, "bad": NAN, "worse": float("inf"), "zero": 0.0},
    )
    assert world.metrics(run.run_id) == {"auc": 0.7, "zero": 0.0}
    assert world.params(run.run_id) == {"learning_rate": "0.06", "loss": "log"}


def test_files_of_a_run_are_kept(world: World) -> None:
    """Byte for byte, in their folder."""
    run = world.start()
    run.keep("model", {"model.onnx": b"\x00\xff", "plan.json": b"{}"})
    assert world.file(run.run_id, "model/model.onnx") == b"\x00\xff"
    assert world.file(run.run_id, "model/plan.json") == b"{}"
    assert world.file(run.run_id, "model/other") is None


TRIALS = [
    Trial(
        number=0,
        parameters={"depth": 3, "mode": None},
        fold_values=(0.5, 0.25),
        state=TrialState.COMPLETE,
        seconds=1.5,
    ),
    Trial(
        number=1,
        parameters={"depth": 9, "mode": "x"},
        fold_values=(0.75,),
        state=TrialState.PRUNED,
        seconds=0.5,
    ),
    Trial(
        number=2,
        parameters={"depth": 99, "mode": "x"},
        fold_values=(),
        state=TrialState.FAILED,
        seconds=0.25,
        message="ValueError: depth " + "9" * 9000,
    ),
]


def test_every_trial_is_a_run_of_its_own(world: World) -> None:
    """However it ended, and whatever it raised; the run above it keeps its own parameters."""
    run = world.start()
    run.log(params={"depth": 3}, metrics={"best": 0.375})
    ids = [run.add_trial(trial, objective="log_loss") for trial in TRIALS]
    assert len({run.run_id, *ids}) == 4
    assert world.params(run.run_id) == {"depth": "3"}
    assert world.metrics(run.run_id) == {"best": 0.375}


def test_a_trial_is_nested_in_mlflow_with_its_folds_and_how_it_ended(
    tmp_path: Path, empty_database: Path
) -> None:
    """As MLflow shows nested runs: folds as steps of one metric, pruned as killed."""
    world = MlflowWorld(tmp_path, empty_database)
    run = world.start()
    ids = [run.add_trial(trial, objective="log_loss") for trial in TRIALS]
    found = [world._client.get_run(run_id) for run_id in ids]
    assert [one.data.tags["mlflow.parentRunId"] for one in found] == [run.run_id] * 3
    assert [one.info.run_name for one in found] == ["trial 0", "trial 1", "trial 2"]
    assert [one.info.status for one in found] == ["FINISHED", "KILLED", "FAILED"]
    assert [one.data.tags["ml_release.trial_state"] for one in found] == [
        "complete",
        "pruned",
        "failed",
    ]
    assert found[0].data.params == {"depth": "3", "mode": "None"}
    assert found[0].data.metrics == {"log_loss": 0.375, "log_loss_of_fold": 0.25, "seconds": 1.5}
    folds = world._client.get_metric_history(ids[0], "log_loss_of_fold")
    assert [(one.step, one.value) for one in folds] == [(0, 0.5), (1, 0.25)]
    assert found[0].info.end_time - found[0].info.start_time == 1500
    assert "log_loss" not in found[1].data.metrics
    assert found[2].data.tags["ml_release.trial_message"].startswith("ValueError: depth 9")


def test_registering_one_model_at_once_gives_one_version_in_memory(tmp_path: Path) -> None:
    """Two runs of one job do not number the same artefact twice."""
    world = InMemoryWorld(tmp_path)
    run_id = world.start().run_id
    numbers: list[int] = []

    def work() -> None:
        version = world.registry.register(LINE, model_digest=digest(1), run_id=run_id, tags={})
        numbers.append(version.number)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers == [1] * 6


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sqlite:///somewhere.db", None),
        ("https://mlflow.example/", "https://mlflow.example/#/experiments/7/runs/run-1"),
    ],
)
def test_a_run_has_an_address_where_its_tracking_is_a_server(
    monkeypatch: pytest.MonkeyPatch, uri: str, address: str | None
) -> None:
    """A database has no page to open."""
    from types import SimpleNamespace

    from ml_release.adapters import mlflow_registry

    run = SimpleNamespace(info=SimpleNamespace(experiment_id="7"))
    client = SimpleNamespace(get_run=lambda run_id: run)
    monkeypatch.setattr(mlflow_registry, "_client", lambda uri: client)
    experiments = mlflow_registry.MlflowExperiments(uri, now=lambda: datetime.now(UTC))
    assert experiments.resume("run-1").address == address
