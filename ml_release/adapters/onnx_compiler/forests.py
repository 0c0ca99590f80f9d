"""Writes single trees, forests and gradient boosting, which read their input as float32.

scikit-learn rounds a row to float32 and compares it with float64 thresholds. Here the row stays as
it is and the thresholds move to where that rounding changes sides, so that both send every row
the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.adapters.onnx_compiler.graph import (
    FLOAT32_LIMIT,
    Answer,
    refuse,
    several_classes,
)
from ml_release.adapters.onnx_compiler.tree_ensemble import (
    FlatTree,
    float32_thresholds,
    sum_of_trees,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.adapters.onnx_compiler.graph import Graph

MOST_NODES = 1_000_000
"""Of the trees of three classes or more, all their copies counted."""

_LEAF = -1


def write_tree_classifier(graph: Graph, estimator: Any, matrix: str) -> Answer:
    """A decision tree or a forest: the mean share of class 1 in the leaves of a row.

    Of more than two classes, the mean share of each. A leaf of a TreeEnsemble adds to one sum, so
    every tree is written once for each of them.
    """
    classes = several_classes(estimator) if estimator.n_outputs_ == 1 else ()
    columns = range(len(classes)) if classes else (1,)
    tensor = _mean_of_leaves(graph, estimator, matrix, columns=columns)
    return Answer(tensor=tensor, scale="probabilities" if classes else "probability")


def write_tree_regressor(graph: Graph, estimator: Any, matrix: str) -> Answer:
    """A decision tree or a forest: the mean of the leaves of a row."""
    return Answer(tensor=_mean_of_leaves(graph, estimator, matrix, columns=(0,)), scale="value")


def write_boosting_classifier(graph: Graph, estimator: Any, matrix: str) -> Answer:
    """`GradientBoostingClassifier`: the logistic function of the sum, doubled for one loss.

    Of more than two classes, which only the other loss has, the softmax of a sum for each.
    """
    classes = several_classes(estimator)
    # The exponential loss is half the log odds (Friedman, Hastie and Tibshirani 2000, section 3).
    slopes = {"log_loss": 1.0, "exponential": 2.0}
    if estimator.loss not in slopes:
        refuse(f"the loss {estimator.loss!r}")
    raw = _boosted(graph, estimator, matrix)
    if classes:
        return Answer(tensor=raw, scale="margins")
    return Answer(tensor=raw, scale="margin", slope=slopes[estimator.loss])


def write_boosting_regressor(graph: Graph, estimator: Any, matrix: str) -> Answer:
    """`GradientBoostingRegressor`: the sum, whatever the loss."""
    return Answer(tensor=_boosted(graph, estimator, matrix), scale="value")


def _mean_of_leaves(graph: Graph, estimator: Any, matrix: str, *, columns: Sequence[int]) -> str:
    if estimator.n_outputs_ != 1:
        refuse(f"{estimator.n_outputs_} outputs")
    members = getattr(estimator, "estimators_", [estimator])
    nodes = len(columns) * sum(member.tree_.node_count for member in members)
    if len(columns) > 1 and nodes > MOST_NODES:
        refuse(
            f"trees of {nodes} nodes, written once for each of {len(columns)} classes; at most"
            f" {MOST_NODES} are"
        )
    allows_missing = bool(members[0].__sklearn_tags__().input_tags.allow_nan)
    graph.require_finite(matrix, allow_missing=allows_missing, limit=FLOAT32_LIMIT)
    trees = [
        _flat(member.tree_, column=column, target=target)
        for target, column in enumerate(columns)
        for member in members
    ]
    total = sum_of_trees(graph, trees, matrix, targets=len(columns))
    if len(members) == 1:
        return total
    return graph.node("Div", total, graph.constant([[float(len(members))]]))


def _boosted(graph: Graph, estimator: Any, matrix: str) -> str:
    start = estimator.init_
    if not isinstance(start, str) and type(start).__name__ not in {
        "DummyClassifier",
        "DummyRegressor",
    }:
        refuse(f"gradient boosting that starts from a {type(start).__name__}")
    graph.require_finite(matrix, allow_missing=False, limit=FLOAT32_LIMIT)
    # The start is the same for every row; scikit-learn computes it in a private method only.
    first = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_)))  # noqa: SLF001
    trees = [
        _flat(member.tree_, column=0, factor=float(estimator.learning_rate), target=target)
        for step in estimator.estimators_
        for target, member in enumerate(step)
    ]
    total = sum_of_trees(graph, trees, matrix, targets=first.size)
    return graph.node("Add", total, graph.constant(first.reshape(1, -1)))


def _flat(tree: Any, *, column: int, factor: float = 1.0, target: int = 0) -> FlatTree:
    """One tree; ``column`` of its values counts, times ``factor``, in the sum ``target``."""
    is_leaf = tree.children_left == _LEAF
    return FlatTree(
        left=tree.children_left,
        right=tree.children_right,
        feature=tree.feature,
        threshold=float32_thresholds(tree.threshold),
        missing_left=tree.missing_go_to_left > 0,
        value=tree.value[:, 0, column] * factor,
        is_leaf=is_leaf,
        members={},
        target=target,
    )
