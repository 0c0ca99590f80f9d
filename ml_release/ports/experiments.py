"""Runs of an experiment tracker, and the search for parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.search import Scalar
    from ml_release.domain.search import Trial as SearchTrial
    from ml_release.spec.search_space import SearchRange


class ExperimentRun(Protocol):
    """The experiment-tracking run that belongs to the work being done."""

    @property
    def run_id(self) -> str:
        """Its identifier."""

    @property
    def address(self) -> str | None:
        """Where a browser shows it; None if that is not known."""

    def log(self, *, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Record parameters and metrics; metrics that are not finite are left out."""

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""

    def keep(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Keep files as artefacts of the run."""

    def add_trial(self, trial: SearchTrial, *, objective: str) -> str:
        """Record a trial as a finished run of its own below this one; return its identifier."""


class Experiments(Protocol):
    """Experiment-tracking runs by their identifier."""

    def resume(self, run_id: str) -> ExperimentRun:
        """A run that was opened before, to add to.

        Raises `NotFoundError` if there is none.
        """


class ParameterSearch(Protocol):
    """Where the parameters of trials come from."""

    def begin(
        self,
        space: Mapping[str, SearchRange],
        *,
        first: Mapping[str, Scalar],
        maximise: bool,
        seed: int,
    ) -> Proposals:
        """A new search; the same arguments and the same results lead to the same proposals.

        ``first`` holds a value inside its range for every parameter of ``space``, and maybe others.
        """


class Proposals(Protocol):
    """One search under way: propose, maybe give up, conclude, and again."""

    def propose(self) -> dict[str, Scalar]:
        """A value for every parameter of the space, at first those the search began with."""

    def is_hopeless(self, fold_values: Sequence[float]) -> bool:
        """Whether the trial under way, with these values so far, is not worth finishing.

        Asked after every fold but the last. The first trial never is.
        """

    def conclude(self, trial: SearchTrial) -> None:
        """Learn how the trial under way has ended."""
