"""What answers: the one interface that evaluation and the endpoint server ask a model through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

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


class ModelLoader(Protocol):
    """Builds a model from the files of an artefact, the way the endpoint server does."""

    def load(self, files: Mapping[str, bytes]) -> LoadedModel:
        """Raise `IntegrityError` if the files are not a model this version can serve.

        Raise `UnavailableError` if something has to be installed first.
        """
