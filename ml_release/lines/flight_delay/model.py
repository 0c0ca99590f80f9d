"""The estimator of the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_release.spec.search_space import FloatRange, IntRange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.spec.search_space import SearchRange

PARAMETERS: Mapping[str, Any] = {
    "learning_rate": 0.06,
    "max_iter": 160,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 60,
    "l2_regularization": 1.0,
}

SEARCH_SPACE: Mapping[str, SearchRange] = {
    "learning_rate": FloatRange(low=0.01, high=0.3, log=True),
    "max_iter": IntRange(low=80, high=400, step=20),
    "max_leaf_nodes": IntRange(low=7, high=127, log=True),
    "min_samples_leaf": IntRange(low=10, high=400, log=True),
    "l2_regularization": FloatRange(low=0.01, high=100.0, log=True),
}


def build_estimator(parameters: Mapping[str, Any], seed: int) -> Any:  # noqa: ANN401 (any estimator)
    """Histogram gradient boosting without early stopping, which would split off rows by chance."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**parameters, random_state=seed, early_stopping=False)
