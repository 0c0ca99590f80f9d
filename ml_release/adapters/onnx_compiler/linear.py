"""Writes linear models: the weighted sum of a row in float64, then the link of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.adapters.onnx_compiler.graph import Answer, refuse, several_classes

if TYPE_CHECKING:
    from ml_release.adapters.onnx_compiler.graph import Graph


def write_logistic(graph: Graph, estimator: Any, matrix: str) -> Answer:
    """`LogisticRegression`: of more than two classes the multinomial one, a sum for each."""
    classes = several_classes(estimator)
    raw = _weighted_sum(graph, estimator, matrix, sums=len(classes) or 1)
    return Answer(tensor=raw, scale="margins" if classes else "margin")


def write_linear(graph: Graph, estimator: Any, matrix: str) -> Answer:
    """Least squares with any penalty: the weighted sum itself."""
    return Answer(tensor=_weighted_sum(graph, estimator, matrix), scale="value")


def write_log_linear(graph: Graph, estimator: Any, matrix: str) -> Answer:
    """Poisson and gamma regression: the exponential of the weighted sum."""
    raw = _weighted_sum(graph, estimator, matrix)
    return Answer(tensor=graph.row_by_row("Exp", raw), scale="value")


def _weighted_sum(graph: Graph, estimator: Any, matrix: str, *, sums: int = 1) -> str:
    weights = np.asarray(estimator.coef_)
    if weights.dtype != np.float64:
        refuse(f"weights of type {weights.dtype}")
    if weights.ndim > 1 and len(weights) != sums:
        refuse(f"{len(weights)} outputs")
    graph.require_finite(matrix, allow_missing=False)
    product = graph.node("MatMul", matrix, graph.constant(weights.reshape(sums, -1).T))
    # Zero for every sum where none was fitted.
    intercept = np.asarray(estimator.intercept_, dtype=np.float64).reshape(1, -1)
    return graph.node("Add", product, graph.constant(intercept))
