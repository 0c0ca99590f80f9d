"""Writes scikit-learn's trees and linear models as exact ONNX graphs.

General converters round thresholds to float32, which moves rows across a split, and get native
categories wrong; ONNX's ``TreeEnsemble`` (ai.onnx.ml 5) holds float64, so the trees are written
here as they are. Where the estimator itself would refuse a row (a missing or infinite value), the
graph answers NaN, which nobody takes for an answer. Whether the result answers as the estimator
does is judged later, on real rows, by the evaluation gates; nothing here is trusted on its word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_release.adapters.onnx_compiler.forests import (
    write_boosting_classifier,
    write_boosting_regressor,
    write_tree_classifier,
    write_tree_regressor,
)
from ml_release.adapters.onnx_compiler.graph import (
    MATRIX,
    Answer,
    Graph,
    refuse,
    several_classes,
)
from ml_release.adapters.onnx_compiler.hist_trees import (
    write_hist_classifier,
    write_hist_regressor,
)
from ml_release.adapters.onnx_compiler.linear import (
    write_linear,
    write_log_linear,
    write_logistic,
)
from ml_release.adapters.onnx_compiler.preparation import prepare
from ml_release.domain.artefact import MODEL_FILE
from ml_release.domain.calibrated_margin import CalibratedMargin

if TYPE_CHECKING:
    from collections.abc import Callable


class OnnxCompiler:
    """`ModelCompiler` for the estimators that can be written exactly.

    Those are the trees, forests, gradient boosting and linear models of scikit-learn named in
    ``WRITERS``, alone or as the last step of a Pipeline. A subclass is another class: it may
    answer otherwise.
    """

    def model_files(self, estimator: object) -> dict[str, bytes]:
        """``model.onnx`` alone."""
        return {MODEL_FILE: self.compile(estimator)}

    def compile(self, estimator: object) -> bytes:
        """The estimator as ONNX: input ``matrix`` (n, features), one output, all float64.

        The output is named ``probability`` (of class 1) or ``value`` (of a regression), of shape
        (n, 1), or ``probabilities``, of shape (n, k) for k classes, which the graph names.
        """
        fitted: Any = estimator
        calibration = None
        if isinstance(estimator, CalibratedMargin):
            fitted, calibration = estimator.estimator, estimator
        if _writer(_last(fitted)) is None:
            refuse(f"a {type(_last(fitted)).__name__}")
        if not _is_fitted(fitted):
            refuse("one that is not fitted")
        graph = Graph(int(fitted.n_features_in_))
        answer = _write(graph, fitted, MATRIX)
        if calibration is not None:
            answer = _calibrated(graph, answer, calibration)
        if answer.scale == "value":
            return graph.to_bytes(answer.tensor, output="value")
        if answer.scale in {"margins", "probabilities"}:
            tensor, names = answer.tensor, several_classes(_last(fitted))
            if answer.scale == "margins":
                tensor = graph.softmax(tensor, columns=len(names))
            return graph.to_bytes(tensor, output="probabilities", classes=names)
        return graph.to_bytes(_probability(graph, answer), output="probability")


def _write(graph: Graph, estimator: Any, matrix: str) -> Answer:
    if _is_pipeline(estimator):
        for _, step in estimator.steps[:-1]:
            matrix = prepare(graph, step, matrix)
        return _write(graph, estimator.steps[-1][1], matrix)
    write = _writer(estimator)
    if write is None:
        refuse(f"a {type(estimator).__name__}")
    return write(graph, estimator, matrix)


def _calibrated(graph: Graph, answer: Answer, calibration: CalibratedMargin) -> Answer:
    if answer.scale == "value":
        refuse("a calibrated margin of a regressor, which has none")
    if answer.scale in {"margins", "probabilities"}:
        refuse("a calibrated margin of more than two classes, which have no one margin")
    margin = answer.tensor
    if answer.scale == "probability":
        margin = graph.log_odds(margin)
    slope, intercept = (
        graph.constant([[calibration.slope]]),
        graph.constant([[calibration.intercept]]),
    )
    scaled = graph.node("Add", graph.node("Mul", margin, slope), intercept)
    return Answer(tensor=scaled, scale="margin")


def _probability(graph: Graph, answer: Answer) -> str:
    if answer.scale == "probability":
        return answer.tensor
    scaled = answer.tensor
    if answer.slope != 1:
        scaled = graph.node("Mul", scaled, graph.constant([[answer.slope]]))
    return graph.row_by_row("Sigmoid", scaled)


def _is_pipeline(estimator: Any) -> bool:
    return _name(estimator) == "Pipeline"


def _last(estimator: Any) -> Any:
    return _last(estimator.steps[-1][1]) if _is_pipeline(estimator) else estimator


def _name(estimator: Any) -> str:
    """Name of a class of scikit-learn, empty for any other: a subclass may answer otherwise."""
    kind = type(estimator)
    return kind.__name__ if kind.__module__.startswith("sklearn.") else ""


def _writer(estimator: Any) -> Callable[[Graph, Any, str], Answer] | None:
    return WRITERS.get(_name(estimator))


def _is_fitted(estimator: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


WRITERS: dict[str, Callable[[Graph, Any, str], Answer]] = {
    "DecisionTreeClassifier": write_tree_classifier,
    "DecisionTreeRegressor": write_tree_regressor,
    "ElasticNet": write_linear,
    "ElasticNetCV": write_linear,
    "ExtraTreeClassifier": write_tree_classifier,
    "ExtraTreeRegressor": write_tree_regressor,
    "ExtraTreesClassifier": write_tree_classifier,
    "ExtraTreesRegressor": write_tree_regressor,
    "GammaRegressor": write_log_linear,
    "GradientBoostingClassifier": write_boosting_classifier,
    "GradientBoostingRegressor": write_boosting_regressor,
    "HistGradientBoostingClassifier": write_hist_classifier,
    "HistGradientBoostingRegressor": write_hist_regressor,
    "Lasso": write_linear,
    "LassoCV": write_linear,
    "LinearRegression": write_linear,
    "LogisticRegression": write_logistic,
    "LogisticRegressionCV": write_logistic,
    "PoissonRegressor": write_log_linear,
    "RandomForestClassifier": write_tree_classifier,
    "RandomForestRegressor": write_tree_regressor,
    "Ridge": write_linear,
    "RidgeCV": write_linear,
}
