"""Writes what a Pipeline does to a row before its estimator: imputing, scaling, choosing, encoding.

Every step is done by the same float64 operations in the same order as in scikit-learn, so that the
estimator behind it reads the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.adapters.onnx_compiler.graph import refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.adapters.onnx_compiler.graph import Graph


def prepare(graph: Graph, transformer: Any, matrix: str) -> str:
    """Add a fitted transformer; name of the matrix it makes."""
    if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
        return matrix
    kind = type(transformer)
    write = _WRITERS.get(kind.__name__)
    if write is None or not kind.__module__.startswith("sklearn."):
        refuse(f"a {kind.__name__} before the estimator")
    return write(graph, transformer, matrix)


def _impute(graph: Graph, imputer: Any, matrix: str) -> str:
    if not (isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)):
        refuse(f"a SimpleImputer of {imputer.missing_values!r}; only NaN is missing here")
    # Objects where a constant is filled in.
    fills = np.asarray(imputer.statistics_, dtype=np.float64)
    graph.require_finite(matrix, allow_missing=True)
    filled = graph.node(
        "Where", graph.node("IsNaN", matrix), graph.constant(fills.reshape(1, -1)), matrix
    )
    # What was missing in every row has nothing to be filled with, and is left out.
    kept = np.flatnonzero(~np.isnan(fills))
    if len(kept) < len(fills):
        filled = graph.columns(filled, kept.tolist())
    if not imputer.add_indicator:
        return filled
    watched = graph.columns(matrix, imputer.indicator_.features_.tolist())
    return graph.node("Concat", filled, graph.to_float(graph.node("IsNaN", watched)), axis=1)


def _standardise(graph: Graph, scaler: Any, matrix: str) -> str:
    return _shifted(
        graph, matrix, minus=scaler.mean_ if scaler.with_mean else None, by=scaler.scale_
    )


def _scale_robustly(graph: Graph, scaler: Any, matrix: str) -> str:
    return _shifted(graph, matrix, minus=scaler.center_, by=scaler.scale_)


def _scale_by_maximum(graph: Graph, scaler: Any, matrix: str) -> str:
    scaled = _shifted(graph, matrix, minus=None, by=scaler.scale_)
    return graph.clipped(scaled, -1.0, 1.0) if scaler.clip else scaled


def _scale_to_range(graph: Graph, scaler: Any, matrix: str) -> str:
    graph.require_finite(matrix, allow_missing=True)
    product = graph.node("Mul", matrix, graph.constant(scaler.scale_.reshape(1, -1)))
    scaled = graph.node("Add", product, graph.constant(scaler.min_.reshape(1, -1)))
    return graph.clipped(scaled, *scaler.feature_range) if scaler.clip else scaled


def _shifted(graph: Graph, matrix: str, *, minus: Any, by: Any) -> str:
    graph.require_finite(matrix, allow_missing=True)
    for operator, values in (("Sub", minus), ("Div", by)):
        if values is not None:
            constant = graph.constant(np.asarray(values, dtype=np.float64).reshape(1, -1))
            matrix = graph.node(operator, matrix, constant)
    return matrix


def _choose(graph: Graph, selector: Any, matrix: str) -> str:
    allows_missing = bool(selector.__sklearn_tags__().input_tags.allow_nan)
    graph.require_finite(matrix, allow_missing=allows_missing)
    return graph.columns(matrix, selector.get_support(indices=True).tolist())


def _one_hot(graph: Graph, encoder: Any, matrix: str) -> str:
    if encoder._infrequent_enabled:  # noqa: SLF001 (no public word for it)
        refuse("a OneHotEncoder that groups infrequent categories")
    graph.require_finite(matrix, allow_missing=True)
    parts = []
    for position, categories in enumerate(encoder.categories_):
        if np.asarray(categories).dtype.kind not in "fiu":
            refuse("a OneHotEncoder of categories that are no numbers")
        known = np.asarray(categories, dtype=np.float64)
        column = graph.columns(matrix, [position])
        found = graph.to_float(graph.node("Equal", column, graph.constant(known.reshape(1, -1))))
        if np.isnan(known).any():
            is_missing = graph.to_float(graph.node("IsNaN", column))
            marks = graph.constant(np.isnan(known).astype(np.float64).reshape(1, -1))
            found = graph.node("Add", found, graph.node("Mul", is_missing, marks))
        if encoder.handle_unknown == "error":
            met = graph.node("Greater", graph.row_sum(found), graph.constant([[0.5]]))
            graph.doubt(
                graph.node("Where", met, graph.constant([[0.0]]), graph.constant([[np.nan]]))
            )
        dropped = None if encoder.drop_idx_ is None else encoder.drop_idx_[position]
        kept = [i for i in range(len(known)) if i != dropped]
        parts.append(found if dropped is None else graph.columns(found, kept))
    return graph.node("Concat", *parts, axis=1)


def _by_columns(graph: Graph, transformer: Any, matrix: str) -> str:
    if transformer.transformer_weights:
        refuse("a ColumnTransformer with weights")
    parts = []
    for name, member, _ in transformer.transformers_:
        # The columns as numbers, however they were named, are known privately only.
        positions = np.asarray(transformer._transformer_to_input_indices[name])  # noqa: SLF001
        if not len(positions) or (isinstance(member, str) and member == "drop"):
            continue
        parts.append(prepare(graph, member, graph.columns(matrix, positions.tolist())))
    if not parts:
        refuse("a ColumnTransformer that keeps no column")
    return graph.node("Concat", *parts, axis=1)


def _leave(_: Graph, transformer: Any, matrix: str) -> str:
    if transformer.func is not None:
        refuse("a FunctionTransformer with a function, which is code")
    return matrix


def _each(graph: Graph, pipeline: Any, matrix: str) -> str:
    for _, step in pipeline.steps:
        matrix = prepare(graph, step, matrix)
    return matrix


_WRITERS: dict[str, Callable[[Graph, Any, str], str]] = {
    "ColumnTransformer": _by_columns,
    "FunctionTransformer": _leave,
    "MaxAbsScaler": _scale_by_maximum,
    "MinMaxScaler": _scale_to_range,
    "OneHotEncoder": _one_hot,
    "Pipeline": _each,
    "RobustScaler": _scale_robustly,
    "SelectFromModel": _choose,
    "SelectKBest": _choose,
    "SelectPercentile": _choose,
    "SimpleImputer": _impute,
    "StandardScaler": _standardise,
    "VarianceThreshold": _choose,
}
