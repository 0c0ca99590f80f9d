"""Writes scikit-learn's histogram gradient boosting as an exact ONNX graph.

General converters round thresholds to float32, which moves rows across a split, and get native
categories wrong; ONNX's ``TreeEnsemble`` (ai.onnx.ml 5) holds float64, so the trees are written
here as they are. Whether the result answers as the estimator does is judged later, on real rows,
by the evaluation gates; nothing here is trusted on its word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ml_release.errors import DeclarationError

if TYPE_CHECKING:
    import numpy.typing as npt

_BRANCH_LEQ = 0
_AGGREGATE_SUM = 1
_NO_TRANSFORM = 0
_ONNX_OPSET = 18
_ONNX_ML_OPSET = 5
_IR_VERSION = 10


class OnnxCompiler:
    """`ModelCompiler` for `sklearn.ensemble.HistGradientBoostingClassifier` with two classes."""

    def compile(self, estimator: object) -> bytes:
        """The estimator as ONNX: input ``matrix`` (n, features), output ``probability`` (n, 1)."""
        from onnx import TensorProto, helper
        from sklearn.ensemble import HistGradientBoostingClassifier

        if not isinstance(estimator, HistGradientBoostingClassifier):
            _refuse(f"a {type(estimator).__name__}")
        trees: Any = estimator
        if not hasattr(trees, "classes_"):
            _refuse("one that is not fitted")
        if getattr(trees, "is_categorical_", None) is not None:
            _refuse("native categorical features")
        if len(trees.classes_) != 2 or list(trees.classes_) != [0, 1]:  # noqa: PLR2004
            _refuse(f"the classes {list(trees.classes_)}")
        ensemble = _Ensemble()
        for (tree,) in trees._predictors:  # noqa: SLF001 (scikit-learn keeps its trees private)
            ensemble.add(tree.nodes)
        baseline = np.asarray(trees._baseline_prediction, dtype=np.float64).reshape(1, 1)  # noqa: SLF001
        graph = helper.make_graph(
            [
                helper.make_node(
                    "TreeEnsemble",
                    ["matrix"],
                    ["margin"],
                    domain="ai.onnx.ml",
                    n_targets=1,
                    aggregate_function=_AGGREGATE_SUM,
                    post_transform=_NO_TRANSFORM,
                    **ensemble.attributes(),
                ),
                helper.make_node("Add", ["margin", "baseline"], ["raw"]),
                helper.make_node("Sigmoid", ["raw"], ["probability"]),
            ],
            "ml_release",
            [
                helper.make_tensor_value_info(
                    "matrix", TensorProto.DOUBLE, ["n", int(trees.n_features_in_)]
                )
            ],
            [helper.make_tensor_value_info("probability", TensorProto.DOUBLE, ["n", 1])],
            [helper.make_tensor("baseline", TensorProto.DOUBLE, [1, 1], baseline.ravel())],
        )
        model = helper.make_model(
            graph,
            producer_name="ml_release",
            opset_imports=[
                helper.make_opsetid("", _ONNX_OPSET),
                helper.make_opsetid("ai.onnx.ml", _ONNX_ML_OPSET),
            ],
            ir_version=_IR_VERSION,
        )
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def _refuse(found: str) -> NoReturn:
    message = (
        "model compiler: expected a two-class HistGradientBoostingClassifier on plain numbers with"
        f" the classes 0 and 1, found {found}. It cannot be written exactly without code."
    )
    raise DeclarationError(message)


class _Ensemble:
    """Trees in the flat form of ONNX's TreeEnsemble: interior nodes and leaves apart."""

    def __init__(self) -> None:
        self._roots: list[int] = []
        self._feature: list[int] = []
        self._split: list[float] = []
        self._missing_true: list[int] = []
        self._true: list[int] = []
        self._true_is_leaf: list[int] = []
        self._false: list[int] = []
        self._false_is_leaf: list[int] = []
        self._leaf_value: list[float] = []

    def add(self, nodes: npt.NDArray[Any]) -> None:
        """Add one tree of scikit-learn's node array."""
        if nodes["is_leaf"][0]:
            # TreeEnsemble has no tree that is one leaf: a split with the same leaf on both sides.
            self._roots.append(self._interior(0, 0.0, missing_true=True))
            leaf = self._leaf(float(nodes["value"][0]))
            self._link(self._roots[-1], true=(leaf, True), false=(leaf, True))
            return
        placed = {
            i: (
                self._leaf(float(node["value"]))
                if node["is_leaf"]
                else self._interior(
                    int(node["feature_idx"]),
                    float(node["num_threshold"]),
                    missing_true=bool(node["missing_go_to_left"]),
                )
            )
            for i, node in enumerate(nodes)
        }
        self._roots.append(placed[0])
        for i, node in enumerate(nodes):
            if not node["is_leaf"]:
                left, right = int(node["left"]), int(node["right"])
                self._link(
                    placed[i],
                    true=(placed[left], bool(nodes["is_leaf"][left])),
                    false=(placed[right], bool(nodes["is_leaf"][right])),
                )

    def _interior(self, feature: int, split: float, *, missing_true: bool) -> int:
        self._feature.append(feature)
        self._split.append(split)
        self._missing_true.append(int(missing_true))
        for column in (self._true, self._true_is_leaf, self._false, self._false_is_leaf):
            column.append(0)
        return len(self._feature) - 1

    def _leaf(self, value: float) -> int:
        self._leaf_value.append(value)
        return len(self._leaf_value) - 1

    def _link(self, node: int, *, true: tuple[int, bool], false: tuple[int, bool]) -> None:
        self._true[node], self._true_is_leaf[node] = true[0], int(true[1])
        self._false[node], self._false_is_leaf[node] = false[0], int(false[1])

    def attributes(self) -> dict[str, Any]:
        """Attributes of the TreeEnsemble node, thresholds and leaves in float64."""
        from onnx import TensorProto, helper

        def doubles(name: str, values: list[float]) -> Any:
            return helper.make_tensor(name, TensorProto.DOUBLE, [len(values)], values)

        modes = helper.make_tensor(
            "nodes_modes",
            TensorProto.UINT8,
            [len(self._feature)],
            [_BRANCH_LEQ] * len(self._feature),
        )
        return {
            "tree_roots": self._roots,
            "nodes_featureids": self._feature,
            "nodes_splits": doubles("nodes_splits", self._split),
            "nodes_modes": modes,
            "nodes_missing_value_tracks_true": self._missing_true,
            "nodes_truenodeids": self._true,
            "nodes_trueleafs": self._true_is_leaf,
            "nodes_falsenodeids": self._false,
            "nodes_falseleafs": self._false_is_leaf,
            "leaf_targetids": [0] * len(self._leaf_value),
            "leaf_weights": doubles("leaf_weights", self._leaf_value),
        }
