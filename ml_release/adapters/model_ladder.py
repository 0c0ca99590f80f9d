"""Several ways to write and to load a model as one: the best way that fits is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ml_release.errors import DeclarationError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.answering import LoadedModel, ModelLoader


class ExactCompiler(Protocol):
    """Writes what it can write exactly."""

    def model_files(self, estimator: object) -> dict[str, bytes]:
        """Raise `DeclarationError` if it cannot."""

    def compile(self, estimator: object) -> bytes:
        """Raise `DeclarationError` if it cannot."""


class ModelWriter(Protocol):
    """Writes what it can."""

    def model_files(self, estimator: object) -> dict[str, bytes]:
        """Raise `DeclarationError` if it cannot."""


class LadderCompiler:
    """`ModelCompiler`: exact where possible, otherwise the first of the others that can.

    Parameters
    ----------
    exact
        Asked first.
    others
        In the order they are asked.
    """

    def __init__(self, exact: ExactCompiler, *others: ModelWriter) -> None:
        self._exact = exact
        self._writers: Sequence[ModelWriter] = (exact, *others)

    def model_files(self, estimator: object) -> dict[str, bytes]:
        """The files of the best way to write it; `DeclarationError` with every reason if none."""
        reasons = []
        for writer in self._writers:
            try:
                return writer.model_files(estimator)
            except DeclarationError as error:
                reasons.append(str(error))
        raise DeclarationError("\n".join(reasons))

    def compile(self, estimator: object) -> bytes:
        """The exact form alone."""
        return self._exact.compile(estimator)


class LadderLoader:
    """`ModelLoader` that is chosen by the one model file an artefact has.

    Parameters
    ----------
    loaders
        By the name of the model file each of them reads.
    """

    def __init__(self, loaders: Mapping[str, ModelLoader]) -> None:
        self._loaders = dict(loaders)

    def load(self, files: Mapping[str, bytes]) -> LoadedModel:
        """Build the model, or say which file does not fit."""
        present = [name for name in self._loaders if name in files]
        if len(present) != 1:
            message = (
                f"model artefact: expected exactly one of the files {sorted(self._loaders)}, found"
                f" {present or sorted(files)}"
            )
            raise IntegrityError(message)
        return self._loaders[present[0]].load(files)
