"""Runs of an experiment tracker, and the versions it has registered."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from ml_release.domain.identity import ModelVersion, check_line_name
from ml_release.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.search import Trial


class InMemoryRun:
    """`ExperimentRun` that remembers what it was told.

    Attributes
    ----------
    trials
        Run identifier of every trial below it to the trial.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.trials: dict[str, Trial] = {}
        self.params: dict[str, str] = {}
        self.metrics: dict[str, float] = {}
        self.tags: dict[str, str] = {}
        self.files: dict[str, bytes] = {}

    @property
    def run_id(self) -> str:
        """Its identifier."""
        return self._run_id

    @property
    def address(self) -> str | None:
        """None: no browser shows it."""
        return None

    def log(self, *, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Record parameters and metrics; metrics that are not finite are left out."""
        self.params |= {name: str(value) for name, value in params.items()}
        self.metrics |= {name: value for name, value in metrics.items() if math.isfinite(value)}

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self.tags |= tags

    def keep(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Keep files as artefacts of the run."""
        self.files |= {f"{folder}/{name}": content for name, content in files.items()}

    def add_trial(self, trial: Trial, *, objective: str) -> str:  # noqa: ARG002 (the trial is kept whole)
        """Remember a trial; return the identifier of its run."""
        run_id = f"{self._run_id}-trial-{len(self.trials)}"
        self.trials[run_id] = trial
        return run_id


class InMemoryExperiments:
    """`Experiments` in a dictionary; `start` opens a run."""

    def __init__(self) -> None:
        self._runs: dict[str, InMemoryRun] = {}

    def start(self) -> InMemoryRun:
        """A new run."""
        run = InMemoryRun(f"run-{len(self._runs) + 1}")
        self._runs[run.run_id] = run
        return run

    def resume(self, run_id: str) -> InMemoryRun:
        """A run that was opened before."""
        if run_id not in self._runs:
            message = f"experiment run {run_id}: no such run; known: {sorted(self._runs)}"
            raise NotFoundError(message)
        return self._runs[run_id]


class InMemoryRegistry:
    """`ModelRegistry` beside the experiments its versions came from.

    Attributes
    ----------
    aliases
        Version number per line and alias.
    """

    def __init__(self, experiments: InMemoryExperiments) -> None:
        self._experiments = experiments
        self._versions: dict[str, list[ModelVersion]] = {}
        self._lock = threading.Lock()
        self.aliases: dict[tuple[str, str], int] = {}

    def register(
        self, line: str, *, model_digest: str, run_id: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        """Add a version. A model digest that is registered already returns its version."""
        self._experiments.resume(run_id)
        with self._lock:
            versions = self._versions.setdefault(check_line_name(line), [])
            for version in versions:
                if version.model_digest == model_digest:
                    return version
            version = ModelVersion(
                line=line, number=len(versions) + 1, model_digest=model_digest, tags=dict(tags)
            )
            versions.append(version)
        return version

    def versions(self, line: str) -> tuple[ModelVersion, ...]:
        """All versions, in the order of their numbers."""
        return tuple(self._versions.get(line, ()))

    def point_alias(self, line: str, alias: str, number: int) -> None:
        """Make ``alias`` name the version ``number``."""
        numbers = [version.number for version in self.versions(line)]
        if number not in numbers:
            message = f"{line} version {number}: no such version; known: {numbers}"
            raise NotFoundError(message)
        self.aliases[line, alias] = number

    def named(self, line: str, alias: str) -> int | None:
        """Number of the version an alias names, None if it names none."""
        return self.aliases.get((line, alias))

    def run_tags(self, run_id: str) -> dict[str, str]:
        """Tags of an experiment run."""
        return dict(self._experiments.resume(run_id).tags)
