"""The estimator of the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PARAMETERS: Mapping[str, Any] = {
    "learning_rate": 0.06,
    "max_iter": 160,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 60,
    "l2_regularization": 1.0,
}


def build_estimator(parameters: Mapping[str, Any], seed: int) -> Any:  # noqa: ANN401 (any estimator)
    """Histogram gradient boosting without early stopping, which would split off rows by chance."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**parameters, random_state=seed, early_stopping=False)
