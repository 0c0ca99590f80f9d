"""Shapley values by their definition: every coalition of features is asked.

Exact, without further libraries, and for a handful of features only: what an estimate has to
agree with, and what the tests explain with.
"""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

MOST_FEATURES = 10
"""Ten features are 1024 coalitions for every pair of a row and a background row."""


class ExactShapley:
    """`Attributor` that asks for all 2^m coalitions of m features (Shapley 1953)."""

    def require_installed(self) -> None:
        """Nothing has to be."""

    def shapley_values(
        self,
        ask: Callable[[Floats], Floats],
        rows: Floats,
        background: Floats,
        *,
        seed: int,  # noqa: ARG002 (nothing is drawn)
    ) -> Floats:
        """Shape (rows, features)."""
        features = rows.shape[1]
        if features > MOST_FEATURES:
            message = (
                f"exact Shapley values: expected at most {MOST_FEATURES} features, found"
                f" {features}. Estimate them."
            )
            raise InputError(message)
        known = ((np.arange(2**features)[:, None] >> np.arange(features)) & 1).astype(np.bool_)
        worth = np.array([_worth(ask, rows, background, coalition) for coalition in known])
        sizes = known.sum(axis=1)
        found = np.empty(rows.shape)
        for feature in range(features):
            without = np.flatnonzero(~known[:, feature])
            weights = np.array(
                [
                    factorial(size) * factorial(features - size - 1) / factorial(features)
                    for size in sizes[without].tolist()
                ]
            )
            found[:, feature] = weights @ (worth[without + 2**feature] - worth[without])
        return found


def _worth(
    ask: Callable[[Floats], Floats], rows: Floats, background: Floats, known: npt.NDArray[np.bool_]
) -> Floats:
    """Mean answer per row where only the known features are the row's own, shape (rows,)."""
    mixed = np.where(known, rows[:, None, :], background[None, :, :])
    answers = ask(mixed.reshape(-1, rows.shape[1]))
    means: Floats = answers.reshape(len(rows), len(background)).mean(axis=1)
    return means
