"""Writes histogram gradient boosting, native categories included.

A row goes left where its value is at most a float64 threshold. A native category is looked up
first: its code is its place among the categories seen in training, any other value is missing, and
a split is then membership of the code in a set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.adapters.onnx_compiler.graph import Answer, refuse, several_classes
from ml_release.adapters.onnx_compiler.tree_ensemble import FlatTree, sum_of_trees

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ml_release.adapters.onnx_compiler.graph import Graph

_EXPONENTIAL = frozenset({"poisson", "gamma"})
_IDENTITY = frozenset({"squared_error", "absolute_error", "quantile"})
_BITS = 32


def write_hist_classifier(graph: Graph, estimator: Any, matrix: str) -> Answer:
    """`HistGradientBoostingClassifier`: one tree per step, or one per class and step."""
    classes = several_classes(estimator)
    if estimator.loss != "log_loss":
        refuse(f"the loss {estimator.loss!r}")
    raw = _raw(graph, estimator, matrix)
    return Answer(tensor=raw, scale="margins" if classes else "margin")


def write_hist_regressor(graph: Graph, estimator: Any, matrix: str) -> Answer:
    """`HistGradientBoostingRegressor`: the sum, or its exponential for a loss with a log link."""
    if estimator.loss not in _EXPONENTIAL | _IDENTITY:
        refuse(f"the loss {estimator.loss!r}")
    raw = _raw(graph, estimator, matrix)
    tensor = graph.row_by_row("Exp", raw) if estimator.loss in _EXPONENTIAL else raw
    return Answer(tensor=tensor, scale="value")


def _raw(graph: Graph, estimator: Any, matrix: str) -> str:
    prepared = matrix
    if estimator.is_categorical_ is not None:
        prepared = _codes(graph, estimator, matrix)
    # scikit-learn keeps its trees private; a change of them shows as a difference in the answers,
    # which the evaluation gates compare on real rows.
    steps = estimator._predictors  # noqa: SLF001
    trees = [_flat(tree, target=target) for step in steps for target, tree in enumerate(step)]
    baseline = np.asarray(estimator._baseline_prediction, dtype=np.float64)  # noqa: SLF001
    total = sum_of_trees(graph, trees, prepared, targets=baseline.size)
    return graph.node("Add", total, graph.constant(baseline.reshape(1, -1)))


def _codes(graph: Graph, estimator: Any, matrix: str) -> str:
    """The matrix the trees read: categories first, as codes, then the numbers."""
    is_categorical = np.asarray(estimator.is_categorical_, dtype=np.bool_)
    encoder = estimator._preprocessor.named_transformers_["encoder"]  # noqa: SLF001
    columns = []
    words_only = graph.columns(matrix, np.flatnonzero(is_categorical).tolist())
    graph.require_finite(words_only, allow_missing=True)
    nan = graph.constant([[np.nan]])
    for position, words in zip(np.flatnonzero(is_categorical), encoder.categories_, strict=True):
        if np.asarray(words).dtype.kind not in "fiu":
            refuse(f"native categories {list(words[:3])!r} that are no numbers")
        # Missing is the last category where there is one; it has no code.
        known = np.asarray(words, dtype=np.float64)
        known = known[~np.isnan(known)].reshape(1, -1)
        is_word = graph.to_float(
            graph.node("Equal", graph.columns(matrix, [int(position)]), graph.constant(known))
        )
        code = graph.node("MatMul", is_word, graph.constant(np.arange(known.size)[:, None]))
        is_known = graph.node("Greater", graph.row_sum(is_word), graph.constant([[0.5]]))
        columns.append(graph.node("Where", is_known, code, nan))
    if not is_categorical.all():
        columns.append(graph.columns(matrix, np.flatnonzero(~is_categorical).tolist()))
    return graph.node("Concat", *columns, axis=1)


def _flat(tree: Any, *, target: int) -> FlatTree:
    nodes = tree.nodes
    is_set = (nodes["is_categorical"] > 0) & (nodes["is_leaf"] == 0)
    return FlatTree(
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        missing_left=nodes["missing_go_to_left"] > 0,
        value=nodes["value"].astype(np.float64),
        is_leaf=nodes["is_leaf"] > 0,
        members={
            int(position): _members(tree.raw_left_cat_bitsets[nodes["bitset_idx"][position]])
            for position in np.flatnonzero(is_set)
        },
        target=target,
    )


def _members(bitset: npt.NDArray[np.uint32]) -> Sequence[int]:
    """Codes whose bit is set, in rising order: word by word, the lowest bit first."""
    bits = (bitset[:, None] >> np.arange(_BITS, dtype=np.uint32)) & 1
    found: list[int] = np.flatnonzero(bits.ravel()).tolist()
    return found
