"""The ONNX compiler answers as scikit-learn does, and the loader refuses what it cannot serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.onnx_models import OnnxLoader, OnnxModel
from ml_release.domain.artefact import MODEL_FILE, PLAN_FILE, SIGNATURE_FILE, signature_of
from ml_release.domain.calibrated_margin import CalibratedMargin
from ml_release.domain.features import Category, Feature, FeaturePlan, Number
from ml_release.errors import DeclarationError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of two test processes would wait for one another, busily."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


PARITY = 1e-12


def plan_of(width: int) -> FeaturePlan:
    features: tuple[Feature, ...] = tuple(
        Number(name=f"x{i}", column=f"x{i}") for i in range(width)
    )
    return FeaturePlan(features=features, vocabularies={})


def files_of(content: bytes, plan: FeaturePlan) -> dict[str, bytes]:
    return {
        MODEL_FILE: content,
        PLAN_FILE: plan.model_dump_json().encode(),
        SIGNATURE_FILE: signature_of("line", plan, output="p").to_json(),
    }


def predict(model: OnnxModel, matrix: Floats) -> Floats:
    return model.predict({f"x{i}": matrix[:, i] for i in range(matrix.shape[1])})


def load(estimator: Any) -> OnnxModel:
    plan = plan_of(estimator.n_features_in_)
    return OnnxLoader().load(files_of(OnnxCompiler().compile(estimator), plan))


def sample(seed: int, n: int = 600, *, missing: bool = True) -> tuple[Floats, Floats]:
    """Rows with ties, huge and tiny numbers, and missing values that matter."""
    rng = np.random.default_rng(seed)
    matrix = np.column_stack(
        [
            rng.normal(0, 1, n),
            rng.integers(0, 5, n),
            rng.normal(0, 1e9, n),
            rng.normal(0, 1e-9, n),
        ]
    )
    target = (matrix[:, 0] + matrix[:, 1] / 3 + rng.normal(0, 1, n) > 0).astype(float)
    if missing:
        matrix[rng.random(n) < np.where(target > 0, 0.5, 0.1), 0] = np.nan
        matrix[rng.random(matrix.shape) < 0.05] = np.nan
    return matrix, target


def fit(matrix: Floats, target: Floats, **parameters: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    chosen = {"max_iter": 15, "min_samples_leaf": 5, "early_stopping": False, "random_state": 0}
    return HistGradientBoostingClassifier(**chosen | parameters).fit(matrix, target)


@pytest.mark.parametrize("missing", [True, False], ids=["missing values", "none missing"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_artefact_answers_as_the_estimator(seed: int, missing: bool) -> None:
    """Within 1e-12 on rows it was fitted on, new rows, missing and extreme values."""
    estimator = fit(*sample(seed, missing=missing))
    fresh, _ = sample(seed + 100)
    extreme = np.array([[np.nan] * 4, [np.inf] * 4, [-np.inf] * 4, [0.0] * 4, [-0.0] * 4])
    rows = np.vstack([sample(seed)[0], fresh, extreme])
    found = predict(load(estimator), rows)
    np.testing.assert_allclose(found, estimator.predict_proba(rows)[:, 1], rtol=0, atol=PARITY)


def test_a_row_exactly_at_a_threshold_goes_the_same_way() -> None:
    """Thresholds are kept in float64: the next float beyond goes the other way."""
    estimator = fit(*sample(0))
    splits = [
        (int(node["feature_idx"]), float(node["num_threshold"]))
        for (tree,) in estimator._predictors
        for node in tree.nodes
        if not node["is_leaf"] and np.isfinite(node["num_threshold"])
    ]
    rows = []
    for feature, threshold in splits:
        for value in (
            threshold,
            np.nextafter(threshold, np.inf),
            np.float64(np.float32(threshold)),
        ):
            row = np.zeros(4)
            row[feature] = value
            rows.append(row)
    matrix = np.array(rows)
    assert len(matrix) > 100
    np.testing.assert_allclose(
        predict(load(estimator), matrix), estimator.predict_proba(matrix)[:, 1], rtol=0, atol=PARITY
    )


def test_trees_of_one_leaf_are_written_too() -> None:
    """With nothing to split on, the answer is the base rate for any row."""
    matrix, target = np.zeros((50, 1)), np.array([0.0, 1.0, 1.0, 1.0, 1.0] * 10)
    estimator = fit(matrix, target)
    assert all(len(tree.nodes) == 1 for (tree,) in estimator._predictors)
    found = predict(load(estimator), np.array([[0.0], [np.nan], [5.0]]))
    np.testing.assert_allclose(found, [0.8] * 3, atol=1e-9)


def test_one_row_is_answered_alone_as_in_a_batch() -> None:
    """Whichever way onnxruntime spreads the rows; no rows have no answer."""
    matrix, target = sample(3)
    model = load(fit(matrix, target))
    alone = [predict(model, matrix[row : row + 1])[0] for row in range(50)]
    np.testing.assert_allclose(alone, predict(model, matrix)[:50], rtol=0, atol=PARITY)
    assert predict(model, matrix[:0]).shape == (0,)


def test_compiling_twice_gives_the_same_bytes() -> None:
    """The model digest does not depend on the day."""
    estimator = fit(*sample(4))
    assert OnnxCompiler().compile(estimator) == OnnxCompiler().compile(estimator)


def unfitted() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier()


def neighbours() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier().fit(*sample(0, missing=False))


def subclass() -> Any:
    from sklearn.linear_model import LogisticRegression

    class Careful(LogisticRegression):  # type: ignore[misc]
        """One that may answer otherwise."""

    return Careful().fit(*sample(0, missing=False))


def behind(step: Any) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(step, LogisticRegression()).fit(*sample(0, missing=False))


def spread_out() -> Any:
    from sklearn.preprocessing import PowerTransformer

    return behind(PowerTransformer())


def own_function() -> Any:
    from sklearn.preprocessing import FunctionTransformer

    return behind(FunctionTransformer(np.tanh))


def two_targets() -> Any:
    from sklearn.linear_model import LinearRegression

    matrix, target = sample(0, missing=False)
    return LinearRegression().fit(matrix, np.column_stack([target, target]))


def started_elsewhere() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    rows = sample(0, missing=False)
    return GradientBoostingClassifier(n_estimators=2, init=LogisticRegression()).fit(*rows)


def calibrated_regressor() -> Any:
    from sklearn.linear_model import LinearRegression

    linear = LinearRegression().fit(*sample(0, missing=False))
    return CalibratedMargin(estimator=linear, slope=1.0, intercept=0.0)


def calibrated_classes() -> Any:
    matrix, target = sample(0)
    several = fit(matrix, target + (matrix[:, 1] > 3))
    return CalibratedMargin(estimator=several, slope=1.0, intercept=0.0)


def other_labels() -> Any:
    matrix, target = sample(0)
    return fit(matrix, target + 1)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        pytest.param(object, "a object", id="an object"),
        pytest.param(neighbours, "a KNeighborsClassifier", id="neighbours"),
        pytest.param(subclass, "a Careful", id="subclass"),
        pytest.param(spread_out, "a PowerTransformer before", id="power transform"),
        pytest.param(own_function, "which is code", id="function"),
        pytest.param(two_targets, "2 outputs", id="two targets"),
        pytest.param(started_elsewhere, "starts from a LogisticRegression", id="start"),
        pytest.param(calibrated_regressor, "of a regressor", id="calibrated regressor"),
        pytest.param(unfitted, "not fitted", id="unfitted"),
        pytest.param(calibrated_classes, "no one margin", id="calibrated classes"),
        pytest.param(other_labels, "the classes", id="classes 1 and 2"),
    ],
)
def test_what_cannot_be_written_exactly_is_refused(make: Callable[[], Any], found: str) -> None:
    """Never approximated."""
    with pytest.raises(DeclarationError, match=f"found .*{found}"):
        OnnxCompiler().compile(make())


@pytest.fixture(scope="module")
def good() -> dict[str, bytes]:
    return files_of(OnnxCompiler().compile(fit(*sample(0, n=100))), plan_of(4))


@pytest.mark.parametrize("name", [MODEL_FILE, PLAN_FILE, SIGNATURE_FILE])
@pytest.mark.parametrize("content", [b"", b"garbage", b"{}", None], ids=repr)
def test_an_artefact_with_a_bad_file_is_refused(
    good: dict[str, bytes], name: str, content: bytes | None
) -> None:
    """Empty, garbage, empty JSON or missing: an integrity error that names the file."""
    files = {other: kept for other, kept in good.items() if other != name}
    if content is not None:
        files[name] = content
    with pytest.raises(IntegrityError, match=f"(?i){name.split('.', maxsplit=1)[0]}"):
        OnnxLoader().load(files)


def test_a_model_cut_short_is_refused(good: dict[str, bytes]) -> None:
    """Half a model is no model."""
    content = good[MODEL_FILE]
    with pytest.raises(IntegrityError):
        OnnxLoader().load({**good, MODEL_FILE: content[: len(content) // 2]})


def test_a_plan_of_other_features_is_refused(good: dict[str, bytes]) -> None:
    """The width of the matrix tells."""
    with pytest.raises(IntegrityError, match=r"expected model\.onnx to take and give"):
        OnnxLoader().load({**files_of(good[MODEL_FILE], plan_of(5))})


def test_a_model_with_another_interface_is_refused(good: dict[str, bytes]) -> None:
    """A valid ONNX file that takes something else would fail at the first request."""
    from onnx import TensorProto, helper

    def tensor(name: str, kind: int) -> Any:
        return helper.make_tensor_value_info(name, kind, ["n", 4])

    for kind, taken, given in (
        (TensorProto.FLOAT, "matrix", "probability"),
        (TensorProto.DOUBLE, "x", "probability"),
        (TensorProto.DOUBLE, "matrix", "y"),
    ):
        node = helper.make_node("Identity", [taken], [given])
        graph = helper.make_graph([node], "g", [tensor(taken, kind)], [tensor(given, kind)])
        opsets = [helper.make_opsetid("", 18)]
        content = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        with pytest.raises(IntegrityError, match="to take and give"):
            OnnxLoader().load({**good, MODEL_FILE: content.SerializeToString()})


def test_readable_values_are_encoded_by_the_plan_of_the_artefact() -> None:
    """A word becomes its code, an unseen word the next one, on the way to the trees."""
    matrix = np.array([[float(code)] for code in (0, 1, 2)] * 40)
    target = np.array([0.0, 1.0, 0.0] * 40)
    plan = FeaturePlan(features=(Category(name="c", column="c"),), vocabularies={"c": ("AA", "UA")})
    estimator = fit(matrix, target)
    model = OnnxLoader().load(files_of(OnnxCompiler().compile(estimator), plan))
    assert model.plan == plan
    found = model.predict({"c": np.array(["UA", "unseen", "AA"], dtype=object)})
    expected = estimator.predict_proba(np.array([[1.0], [2.0], [0.0]]))[:, 1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=PARITY)
    assert found[0] > max(found[1], found[2])


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 7, 64])
@pytest.mark.parametrize("family", ["boosting", "logistic", "gamma", "calibrated forest"])
def test_a_row_is_answered_alike_alone_and_among_others(family: str, rows: int) -> None:
    """To the last bit, whatever the number of rows that are asked together."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import GammaRegressor, LogisticRegression

    matrix, target = sample(3, n=1001, missing=False)
    matrix = matrix[:, :2]
    calibration = None
    if family == "boosting":
        estimator: Any = fit(matrix, target, max_iter=20)
    elif family == "logistic":
        estimator = LogisticRegression().fit(matrix, target)
    elif family == "gamma":
        estimator = GammaRegressor().fit(matrix, np.exp(target))
    else:
        estimator = RandomForestClassifier(n_estimators=10, max_depth=5, random_state=0)
        estimator.fit(matrix, target)
        calibration = CalibratedMargin(estimator=estimator, slope=0.9, intercept=0.1)
    plan = plan_of(2)
    kind: Literal["value", "probability"] = "value" if family == "gamma" else "probability"
    files = files_of(OnnxCompiler().compile(calibration or estimator), plan)
    files[SIGNATURE_FILE] = signature_of("line", plan, output="p", output_kind=kind).to_json()
    model = OnnxLoader().load(files)
    together = predict(model, matrix)
    apart = [predict(model, matrix[start : start + rows]) for start in range(0, 1001, rows)]
    assert np.concatenate(apart).tobytes() == together.tobytes()


@pytest.mark.parametrize("width", [3, 18, 40, 129])
def test_rows_of_any_width_are_answered_alike_alone_and_together(width: int) -> None:
    """A sum of weights too: the endpoint asks what comes in at the same moment together."""
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(width)
    matrix = generator.normal(size=(70, width))
    estimator = LogisticRegression().fit(matrix, matrix[:, 0] > 0)
    model = OnnxLoader().load(files_of(OnnxCompiler().compile(estimator), plan_of(width)))
    alone = [model.predict_row(row) for row in matrix.tolist()]
    for rows in (2, 3, 5, 16, 70):
        for start in range(0, 70, rows):
            found = model.predict_rows(matrix[start : start + rows].tolist())
            assert found == alone[start : start + rows]
