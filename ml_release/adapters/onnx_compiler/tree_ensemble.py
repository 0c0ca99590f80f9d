"""Trees in the flat form of ONNX's ``TreeEnsemble`` (ai.onnx.ml 5), thresholds in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ml_release.adapters.onnx_compiler.graph import FLOAT32_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.adapters.onnx_compiler.graph import Graph

_BRANCH_LEQ = 0
_BRANCH_MEMBER = 6
_AGGREGATE_SUM = 1
_NO_TRANSFORM = 0

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatTree:
    """One binary tree, its root at position 0.

    Attributes
    ----------
    left, right
        Position of the children, shape (nodes,); ignored for a leaf.
    feature, threshold
        A row goes left where its feature is at most the threshold, shape (nodes,).
    missing_left
        Whether a missing value goes left, shape (nodes,).
    value
        What a leaf adds to the sum, shape (nodes,).
    members
        By position of a node that splits on a set instead of a threshold: the values that go left,
        whole numbers of at least 0 in rising order.
    target
        Which of the sums it adds to, counted from 0.
    """

    left: Integers
    right: Integers
    feature: Integers
    threshold: Floats
    missing_left: npt.NDArray[np.bool_]
    value: Floats
    is_leaf: npt.NDArray[np.bool_]
    members: Mapping[int, Sequence[int]]
    target: int = 0


def float32_thresholds(thresholds: Floats) -> Floats:
    """The float64 thresholds that split float64 values as ``float32(value) <= threshold`` does.

    Rounding to float32 is monotone, so the values that round to at most a threshold are all those
    up to some float64: half way from the largest float32 ``f`` that is at most the threshold to
    the next one, included where the half rounds to ``f``, whose last bit then is 0 (ties to even).

    Parameters
    ----------
    thresholds
        Shape (n,), not NaN.
    """
    with np.errstate(over="ignore", under="ignore"):
        below = thresholds.astype(np.float32)
        above = below.astype(np.float64) > thresholds
        below = np.where(above, np.nextafter(below, np.float32(-np.inf)), below)
        following = np.nextafter(below, np.float32(np.inf)).astype(np.float64)
        half = (below.astype(np.float64) + following) / 2
    # Next to the infinities there is no half; the limit of rounding to one stands in its place.
    is_largest = np.isposinf(following) & np.isfinite(below)
    half = np.where(is_largest, FLOAT32_LIMIT, half)
    half = np.where(np.isneginf(below), -FLOAT32_LIMIT, half)
    is_even = (below.view(np.uint32) & 1) == 0
    return np.where(is_even, half, np.nextafter(half, -np.inf))


def sum_of_trees(graph: Graph, trees: Sequence[FlatTree], matrix: str, *, targets: int = 1) -> str:
    """Add the trees to the graph; name of the sums of their leaves per row, shape (n, targets)."""
    ensemble = _Ensemble()
    for tree in trees:
        ensemble.add(tree)
    return graph.node(
        "TreeEnsemble",
        matrix,
        domain="ai.onnx.ml",
        n_targets=targets,
        aggregate_function=_AGGREGATE_SUM,
        post_transform=_NO_TRANSFORM,
        **ensemble.attributes(),
    )


class _Ensemble:
    """Interior nodes and leaves apart, each kind counted through all trees."""

    def __init__(self) -> None:
        self._roots: list[int] = []
        self._interior: list[dict[str, npt.NDArray[Any]]] = []
        self._leaves: list[Floats] = []
        self._sets: list[float] = []
        self._targets: list[int] = []
        self._n_interior = 0
        self._n_leaves = 0

    def add(self, tree: FlatTree) -> None:
        self._roots.append(self._n_interior)
        if tree.is_leaf[0]:
            # TreeEnsemble has no tree that is one leaf: a split with the same leaf on both sides.
            self._put(
                {
                    "feature": np.zeros(1, np.int64),
                    "split": np.zeros(1),
                    "mode": np.full(1, _BRANCH_LEQ),
                    "missing": np.ones(1, np.int64),
                    "true": np.array([self._n_leaves]),
                    "true_is_leaf": np.ones(1, np.int64),
                    "false": np.array([self._n_leaves]),
                    "false_is_leaf": np.ones(1, np.int64),
                },
                tree.value[:1],
                target=tree.target,
            )
            return
        inside = ~tree.is_leaf
        placed = np.where(
            inside,
            np.cumsum(inside) - 1 + self._n_interior,
            np.cumsum(tree.is_leaf) - 1 + self._n_leaves,
        )
        mode = np.full(len(inside), _BRANCH_LEQ)
        split = tree.threshold.copy()
        for position, members in sorted(tree.members.items()):
            # An empty set is none to onnxruntime; no code is at most minus infinity.
            split[position] = 0.0 if members else -np.inf
            if members:
                mode[position] = _BRANCH_MEMBER
                self._sets += [*map(float, members), float("nan")]
        left, right = tree.left[inside], tree.right[inside]
        self._put(
            {
                "feature": tree.feature[inside],
                "split": split[inside],
                "mode": mode[inside],
                "missing": tree.missing_left[inside].astype(np.int64),
                "true": placed[left],
                "true_is_leaf": tree.is_leaf[left].astype(np.int64),
                "false": placed[right],
                "false_is_leaf": tree.is_leaf[right].astype(np.int64),
            },
            tree.value[tree.is_leaf],
            target=tree.target,
        )

    def _put(self, interior: dict[str, npt.NDArray[Any]], leaves: Floats, *, target: int) -> None:
        self._interior.append(interior)
        self._leaves.append(leaves)
        self._targets += [target] * len(leaves)
        self._n_interior += len(interior["feature"])
        self._n_leaves += len(leaves)

    def attributes(self) -> dict[str, Any]:
        """Attributes of the TreeEnsemble node."""
        from onnx import numpy_helper

        def tensor(name: str, values: npt.ArrayLike, kind: type[np.generic] = np.float64) -> Any:
            return numpy_helper.from_array(np.asarray(values, dtype=kind), name)

        def column(name: str) -> npt.NDArray[Any]:
            return np.concatenate([tree[name] for tree in self._interior])

        sets = {"membership_values": tensor("membership_values", self._sets)} if self._sets else {}
        return {
            "tree_roots": self._roots,
            "nodes_featureids": column("feature").tolist(),
            "nodes_splits": tensor("nodes_splits", column("split")),
            "nodes_modes": tensor("nodes_modes", column("mode"), np.uint8),
            "nodes_missing_value_tracks_true": column("missing").tolist(),
            "nodes_truenodeids": column("true").tolist(),
            "nodes_trueleafs": column("true_is_leaf").tolist(),
            "nodes_falsenodeids": column("false").tolist(),
            "nodes_falseleafs": column("false_is_leaf").tolist(),
            "leaf_targetids": self._targets,
            "leaf_weights": tensor("leaf_weights", np.concatenate(self._leaves)),
            **sets,
        }
