"""What answers: the one interface that evaluation and the endpoint server ask a model through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from ml_release.domain.artefact import SUM_TOLERANCE
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ml_release.domain.artefact import OutputKind
    from ml_release.domain.features import Columns, FeaturePlan


class LoadedModel(Protocol):
    """A model that answers."""

    @property
    def platform(self) -> str:
        """What answers and in which format, as the Open Inference Protocol v2 names it."""

    @property
    def plan(self) -> FeaturePlan:
        """The feature plan it was fitted with."""

    def predict(self, values: Columns) -> npt.NDArray[np.float64]:
        """One answer per row, from readable feature values.

        The signature of the artefact says which: the probability of the positive class or the
        value of a regression, shape (n,), or the probabilities of its k classes, shape (n, k).
        """


@runtime_checkable
class RowByRow(LoadedModel, Protocol):
    """A model that also answers one row at a time, for those who have it without arrays."""

    def predict_row(self, encoded: Sequence[float]) -> float:
        """The same bits as `predict`, of one row as `ml_release.domain.features.encode` has it."""


@runtime_checkable
class RowsTogether(RowByRow, Protocol):
    """A model that may be asked several rows at a time in the place of each alone."""

    def predict_rows(self, encoded: Sequence[Sequence[float]]) -> list[float]:
        """The same bits as `predict_row` of each row."""


class ModelLoader(Protocol):
    """Builds a model from the files of an artefact, the way the endpoint server does."""

    def load(self, files: Mapping[str, bytes]) -> LoadedModel:
        """Raise `IntegrityError` if the files are not a model this version can serve.

        Raise `UnavailableError` if something has to be installed first.
        """


def require_answers(
    model_digest: str, predictions: npt.NDArray[np.float64], kind: OutputKind, *, classes: int = 0
) -> None:
    """Raise `IntegrityError` if an answer is not of the kind that the signature promises.

    Parameters
    ----------
    predictions
        Shape (n,): probabilities from 0 to 1, or finite values of a regression, as ``kind`` says;
        or shape (n, classes): probabilities that add to 1 within `SUM_TOLERANCE` in every row.
    classes
        How many, of ``probabilities``; 0 for the other kinds.
    """
    if predictions.shape[1:] != ((classes,) if classes else ()):
        expected = f"{classes} probabilities" if classes else "one number"
        message = (
            f"model {model_digest}: expected {expected} per row, found the shape"
            f" {predictions.shape}"
        )
        raise IntegrityError(message)
    if classes:
        expected = f"probabilities of {classes} classes that add to 1 within {SUM_TOLERANCE:g}"
        # NaN compares false with everything, so it is caught here and below.
        is_answer = ((predictions >= 0) & (predictions <= 1)).all(axis=1) & (
            np.abs(predictions.sum(axis=1) - 1) <= SUM_TOLERANCE
        )
    elif kind == "value":
        expected, is_answer = "finite values", np.isfinite(predictions)
    else:
        expected, is_answer = "probabilities", (predictions >= 0) & (predictions <= 1)
    if not is_answer.all():
        wrong = predictions[~is_answer][:5]
        message = f"model {model_digest}: expected {expected}, found {wrong}"
        raise IntegrityError(message)
