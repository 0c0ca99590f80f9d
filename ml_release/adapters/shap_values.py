"""Shapley values estimated by the package shap, which is an extra: ``ml-release[shap]``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_ORDERS = 2
"""Orders of the features per row, each walked forward and backward: exact up to interactions of
two features. Of flight_delay's 18 features over 40 rows no mean moved by more than 0.6 % of the
largest against five orders, which take twice the time."""


class ShapValues:
    """`Attributor` by sampled orders of the features.

    Strumbelj and Kononenko 2014, Knowledge and Information Systems 41; Lundberg and Lee 2017,
    NeurIPS 30.
    """

    def require_installed(self) -> None:
        """Look for the package without importing it, which takes seconds."""
        if find_spec("shap") is None:
            message = (
                "policy evaluation.attribution.method shap: expected the package shap, found none."
                " Run `pip install ml-release[shap]`, or declare method: permutation."
            )
            raise DeclarationError(message)

    def shapley_values(
        self,
        ask: Callable[[Floats], Floats],
        rows: Floats,
        background: Floats,
        *,
        seed: int,
    ) -> Floats:
        """Shape (rows, features)."""
        self.require_installed()
        import shap

        # shap draws from numpy's global generator: nobody else's draws are to change by that.
        state = np.random.get_state()  # noqa: NPY002 (see above)
        try:
            explainer = shap.explainers.PermutationExplainer(
                ask, shap.maskers.Independent(background, max_samples=len(background)), seed=seed
            )
            asked = _ORDERS * (2 * rows.shape[1] + 1)
            explained = explainer(rows, max_evals=asked, silent=True)
        finally:
            np.random.set_state(state)  # noqa: NPY002 (see above)
        return np.asarray(explained.values, dtype=np.float64)
