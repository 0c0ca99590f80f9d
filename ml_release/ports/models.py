"""Models as files, their registry, and what is found out by asking them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from ml_release.domain.features import Columns
    from ml_release.domain.gates_servability import Servability
    from ml_release.domain.identity import ModelVersion


class ModelStore(Protocol):
    """Model artefacts, kept by digest."""

    def publish(self, files: Mapping[str, bytes]) -> str:
        """Keep a set of files; return the model digest. The same files again write nothing."""

    def read(self, model_digest: str) -> dict[str, bytes]:
        """The files of an artefact, each verified.

        Raises `NotFoundError` if there is no such artefact, `IntegrityError` if a file was
        changed.
        """


class ModelCompiler(Protocol):
    """Turns a fitted estimator into code-free files."""

    def model_files(self, estimator: object) -> dict[str, bytes]:
        """The files of an artefact that hold the model, in the best form there is for it.

        The same estimator gives the same bytes. Raises `DeclarationError` if it cannot be kept
        without code.
        """

    def compile(self, estimator: object) -> bytes:
        """The exact form alone; raises `DeclarationError` if it cannot be expressed exactly."""


class ModelRegistry(Protocol):
    """Numbered, immutable model versions with movable aliases."""

    def register(
        self, line: str, *, model_digest: str, run_id: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        """Add a version. A model digest that is registered already returns its version."""

    def versions(self, line: str) -> tuple[ModelVersion, ...]:
        """All versions, in the order of their numbers."""

    def point_alias(self, line: str, alias: str, number: int) -> None:
        """Make ``alias`` name the version ``number``.

        Raises `NotFoundError` if there is no such version.
        """

    def named(self, line: str, alias: str) -> int | None:
        """Number of the version an alias names, None if it names none."""

    def run_tags(self, run_id: str) -> dict[str, str]:
        """Tags of an experiment run, to compare a recorded digest with."""


class ServabilityProbe(Protocol):
    """Loads and asks an artefact the way the endpoint server would, and says what that took."""

    def measure(self, files: Mapping[str, bytes], values: Columns) -> Servability:
        """Ask every row on its own.

        Raises `IntegrityError` if the artefact cannot be loaded, does not answer, or takes its
        process down.
        """


class Attributor(Protocol):
    """Says how far each feature moves each answer of a model that is only asked."""

    def require_installed(self) -> None:
        """Raise `DeclarationError` if something has to be installed first."""

    def shapley_values(
        self,
        ask: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
        rows: npt.NDArray[np.float64],
        background: npt.NDArray[np.float64],
        *,
        seed: int,
    ) -> npt.NDArray[np.float64]:
        """Shapley value of every feature in every row, shape (rows, features).

        They add up to the answer of the row less the mean answer of the background, and are in the
        unit of the answer. The same arguments give the same values.

        Parameters
        ----------
        ask
            A matrix of shape (n, features) to answers of shape (n,).
        rows, background
            What is explained, and what stands for a feature that is not known; codes as of
            `ml_release.domain.value_codes`, so that different values differ by at least 1.

        Raises `DeclarationError` if something has to be installed first.
        """


class TextClassifier(Protocol):
    """Tells two samples of texts apart, if anything does."""

    def out_of_fold(
        self, texts: Sequence[str], is_current: npt.NDArray[np.bool_], *, folds: int, seed: int
    ) -> npt.NDArray[np.float64]:
        """A score per text that grows with its being of the current sample, shape (n,).

        Each is of a classifier that was not fitted on that text. The same arguments give the same
        scores. Raises `InputError` if a side has fewer texts than there are folds.
        """
