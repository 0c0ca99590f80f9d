"""Every family the compiler writes answers as its estimator: at thresholds, beside them, missing.

Trees and logistic answers agree within 1e-12; sums of weighted features and exponentials within
1e-12 of their size, as the order of summing and the last bit of the exponential may differ.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from ml_release.adapters.onnx_compiler import WRITERS, OnnxCompiler
from ml_release.adapters.onnx_compiler.tree_ensemble import float32_thresholds
from ml_release.domain.artefact import SUM_TOLERANCE
from ml_release.domain.calibrated_margin import CalibratedMargin

if TYPE_CHECKING:
    from collections.abc import Iterator

Floats = npt.NDArray[np.float64]
PARITY = 1e-12
ROWS = 10_000
WIDTH = 4


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of two test processes would wait for one another, busily."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


class Family(NamedTuple):
    """An estimator with its rows: with or without missing values; other extremes are finite."""

    estimator: Any
    missing: bool = True


HIST: dict[str, Any] = {"max_iter": 25, "early_stopping": False, "random_state": 0}
SMALL: dict[str, Any] = {"n_estimators": 15, "random_state": 0}


def gradient(*, of: str, **parameters: Any) -> Any:
    kind = {"class": GradientBoostingClassifier, "value": GradientBoostingRegressor}[of]
    return kind(**SMALL, **parameters)


def mixed() -> Any:
    """Categories one-hot, numbers scaled: the usual linear model on a table."""
    return make_column_transformer(
        (
            make_pipeline(
                SimpleImputer(strategy="most_frequent"),
                OneHotEncoder(handle_unknown="ignore", drop="first"),
            ),
            [1],
        ),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), [0, 2]),
        remainder="drop",
    )


CLASSIFIERS = {
    "histogram boosting": Family(HistGradientBoostingClassifier(**HIST)),
    "histogram boosting, native categories": Family(
        HistGradientBoostingClassifier(categorical_features=[1], **HIST)
    ),
    "tree": Family(DecisionTreeClassifier(max_depth=8, random_state=0)),
    "tree, entropy": Family(DecisionTreeClassifier(criterion="entropy", random_state=0)),
    "random tree": Family(ExtraTreeClassifier(max_depth=8, random_state=0)),
    "forest": Family(RandomForestClassifier(**SMALL)),
    "forest of random trees": Family(ExtraTreesClassifier(**SMALL)),
    "boosting": Family(gradient(of="class"), missing=False),
    "boosting, exponential loss": Family(gradient(of="class", loss="exponential"), missing=False),
    "boosting from zero": Family(gradient(of="class", init="zero"), missing=False),
    "logistic": Family(make_pipeline(StandardScaler(), LogisticRegression()), missing=False),
    "imputed, with marks": Family(
        make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression())
    ),
    "mixed columns": Family(make_pipeline(mixed(), LogisticRegression())),
    "scaled forest": Family(make_pipeline(RobustScaler(), RandomForestClassifier(**SMALL))),
    "chosen columns": Family(
        make_pipeline(
            FunctionTransformer(),
            VarianceThreshold(),
            SimpleImputer(strategy="median"),
            MaxAbsScaler(),
            SelectKBest(k=3),
            SelectFromModel(LogisticRegression(), threshold="0.1*mean"),
            LogisticRegression(),
        )
    ),
    "nested pipeline": Family(
        make_pipeline(SimpleImputer(), make_pipeline(MinMaxScaler(), LogisticRegression()))
    ),
}
REGRESSORS = {
    **{
        f"histogram boosting, {loss}": Family(
            HistGradientBoostingRegressor(
                loss=loss, quantile=0.7 if loss == "quantile" else None, **HIST
            )
        )
        for loss in ("squared_error", "absolute_error", "poisson", "gamma", "quantile")
    },
    "histogram boosting, native categories": Family(
        HistGradientBoostingRegressor(categorical_features=[1], **HIST)
    ),
    "tree": Family(DecisionTreeRegressor(max_depth=8, random_state=0)),
    "random tree": Family(ExtraTreeRegressor(max_depth=8, random_state=0)),
    "forest": Family(RandomForestRegressor(**SMALL)),
    "forest of random trees": Family(ExtraTreesRegressor(**SMALL)),
    **{
        f"boosting, {loss}": Family(gradient(of="value", loss=loss), missing=False)
        for loss in ("squared_error", "absolute_error", "huber", "quantile")
    },
    **{
        type(estimator).__name__: Family(estimator, missing=False)
        for estimator in (LinearRegression(), Lasso(0.01), ElasticNet(0.01))
    },
    "ridge": Family(make_pipeline(StandardScaler(), Ridge()), missing=False),
    "ridge, cross-validated": Family(make_pipeline(RobustScaler(), RidgeCV()), missing=False),
    "poisson": Family(make_pipeline(MinMaxScaler(clip=True), PoissonRegressor()), missing=False),
    "gamma": Family(make_pipeline(MinMaxScaler(clip=True), GammaRegressor()), missing=False),
    "imputed": Family(
        make_pipeline(
            SimpleImputer(strategy="constant", fill_value=-1.0), MaxAbsScaler(clip=True), Ridge()
        )
    ),
}


def sample(seed: int, n: int, *, missing: bool) -> tuple[Floats, Floats, Floats]:
    """Rows of very different sizes, a class and a positive value that depend on them."""
    rng = np.random.default_rng(seed)
    matrix = np.column_stack(
        [
            rng.normal(0, 1, n),
            rng.integers(0, 40, n),
            rng.normal(0, 1e9, n),
            rng.normal(0, 1e-9, n),
        ]
    )
    score = matrix[:, 0] + 1.5 * np.isin(matrix[:, 1], [0, 3, 4, 17, 33, 39]) + matrix[:, 2] / 3e9
    label = (score + rng.normal(0, 0.7, n) > 0.5).astype(float)
    if missing:
        matrix[rng.random(matrix.shape) < 0.05] = np.nan
    return matrix, label, np.exp(score / 2 + rng.normal(0, 0.3, n))


def thresholds_of(estimator: Any) -> list[tuple[int, float]]:
    """Feature and threshold of every split on a number."""
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    if hasattr(last, "_predictors"):
        nodes = [node for step in last._predictors for tree in step for node in tree.nodes]
        found = [
            (int(node["feature_idx"]), float(node["num_threshold"]))
            for node in nodes
            if not node["is_leaf"] and not node["is_categorical"]
        ]
    else:
        members = np.ravel(getattr(last, "estimators_", [last]))
        trees = [member.tree_ for member in members if hasattr(member, "tree_")]
        found = [
            (int(feature), float(threshold))
            for tree in trees
            for feature, threshold in zip(tree.feature, tree.threshold, strict=True)
            if feature >= 0
        ]
    return [split for split in found if np.isfinite(split[1])]


def beside(threshold: float) -> list[float]:
    """The threshold, its neighbours, and where rounding to float32 changes sides around it."""
    nearest = np.float32(threshold)
    values = [threshold, float(nearest)]
    for direction in (np.inf, -np.inf):
        other = float(np.nextafter(nearest, np.float32(direction)))
        half = (float(nearest) + other) / 2
        values += [float(np.nextafter(threshold, direction)), other, half]
        values += [float(np.nextafter(half, np.inf)), float(np.nextafter(half, -np.inf))]
    return values


def adversarial(family: Family) -> Floats:
    """10,000 rows: fresh ones, extreme ones, and rows at and beside thresholds."""
    fresh, _, _ = sample(7, ROWS, missing=family.missing)
    rows = fresh.copy()
    rows[:6] = np.array([[1e25], [-1e25], [0.0], [-0.0], [1e-300], [0.5]])
    splits = thresholds_of(family.estimator)
    if not splits:
        return rows
    rng = np.random.default_rng(0)
    position = 6
    for index in rng.permutation(len(splits)):
        feature, threshold = splits[index]
        for value in beside(threshold):
            if position == ROWS:
                return rows
            rows[position, feature] = value
            position += 1
    return rows


def answers_of(content: bytes, matrix: Floats, output: str, *, width: int = 1) -> Floats:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (answers,) = session.run([output], {"matrix": matrix})
    result: Floats = answers
    assert result.shape == (len(matrix), width)
    assert result.dtype == np.float64
    return result[:, 0] if width == 1 else result


@pytest.mark.filterwarnings("ignore:Found unknown categories:UserWarning")
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_as_its_estimator(name: str) -> None:
    """The probability of class 1 within 1e-12 on 10,000 adversarial rows."""
    family = CLASSIFIERS[name]
    matrix, label, _ = sample(1, 1500, missing=family.missing)
    estimator = family.estimator.fit(matrix, label)
    rows = adversarial(family)
    assert len(rows) == ROWS
    found = answers_of(OnnxCompiler().compile(estimator), rows, "probability")
    np.testing.assert_allclose(found, estimator.predict_proba(rows)[:, 1], rtol=0, atol=PARITY)


@pytest.mark.filterwarnings("ignore:Found unknown categories:UserWarning")
@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if "exponential" not in name])
def test_several_classes_are_answered_as_by_the_estimator(name: str) -> None:
    """All four within 1e-12 on 10,000 adversarial rows; of trees and forests the same bits."""
    family = CLASSIFIERS[name]
    matrix, _, value = sample(1, 1500, missing=family.missing)
    label = np.digitize(value, np.quantile(value, [0.2, 0.5, 0.8]))
    estimator = clone(family.estimator).fit(matrix, label)
    rows = adversarial(family._replace(estimator=estimator))
    content = OnnxCompiler().compile(estimator)
    found = answers_of(content, rows, "probabilities", width=4)
    expected = estimator.predict_proba(rows)
    is_sum_of_shares = any(word in name for word in ("tree", "forest"))
    np.testing.assert_allclose(found, expected, rtol=0, atol=0 if is_sum_of_shares else PARITY)
    assert np.abs(found.sum(axis=1) - 1).max() <= SUM_TOLERANCE
    if "boosting" in name or "forest" in name:
        few = [answers_of(content, rows[i : i + 3], "probabilities", width=4) for i in (6, 9, 12)]
        np.testing.assert_array_equal(np.concatenate(few), found[6:15])


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_answers_as_its_estimator(name: str) -> None:
    """The value within 1e-12 of its size (at least 1) on 10,000 adversarial rows."""
    family = REGRESSORS[name]
    matrix, _, value = sample(2, 1500, missing=family.missing)
    estimator = family.estimator.fit(matrix, value)
    rows = adversarial(family)
    assert len(rows) == ROWS
    found = answers_of(OnnxCompiler().compile(estimator), rows, "value")
    expected = estimator.predict(rows)
    assert np.isfinite(expected).all()
    np.testing.assert_array_less(np.abs(found - expected) / np.maximum(1, np.abs(expected)), PARITY)


def test_every_class_that_is_written_is_compared() -> None:
    """But for cross-validated twins, which predict by the same method."""
    written = {
        type(getattr(estimator, "steps", [(None, estimator)])[-1][1]).__name__
        for estimator, _ in (*CLASSIFIERS.values(), *REGRESSORS.values())
    }
    assert {name for name in WRITERS if not name.endswith("CV")} <= written | {"Pipeline"}


@pytest.mark.parametrize("name", ["histogram boosting", "forest", "boosting, exponential loss"])
def test_a_calibrated_margin_answers_as_it_says(name: str) -> None:
    """Slope and intercept stand before the logistic function; a share of votes is turned first."""
    family = CLASSIFIERS[name]
    matrix, label, _ = sample(3, 800, missing=family.missing)
    estimator = family.estimator.fit(matrix, label)
    calibrated = CalibratedMargin(estimator=estimator, slope=0.7, intercept=-0.4)
    rows = adversarial(family)
    found = answers_of(OnnxCompiler().compile(calibrated), rows, "probability")
    np.testing.assert_allclose(found, calibrated.predict_proba(rows)[:, 1], rtol=0, atol=PARITY)


CAREFUL = {
    "forest": (RandomForestClassifier(**SMALL), True),
    "forest that saw no gap": (RandomForestClassifier(**SMALL), False),
    "boosting": (GradientBoostingClassifier(**SMALL), False),
    "logistic": (LogisticRegression(), False),
    "scaled": (make_pipeline(StandardScaler(), HistGradientBoostingClassifier(**HIST)), True),
    "imputed": (make_pipeline(SimpleImputer(), LogisticRegression()), True),
    "native categories": (HistGradientBoostingClassifier(categorical_features=[1], **HIST), True),
    "one-hot": (
        make_pipeline(
            make_column_transformer((OneHotEncoder(), [1]), (SimpleImputer(), [0])),
            LogisticRegression(),
        ),
        True,
    ),
}


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.5e38, 2.0**128 - 2.0**103, -1e300])
@pytest.mark.parametrize("name", CAREFUL)
def test_what_the_estimator_refuses_is_not_answered(name: str, value: float) -> None:
    """A row it raises for gets NaN, which nobody takes for an answer; other rows are answered."""
    estimator, missing = CAREFUL[name]
    matrix, label, _ = sample(4, 600, missing=missing)
    estimator.fit(matrix[:, :2], label)
    rows = np.array([[0.5, 3.0], [0.5, value], [value, 3.0]])
    found = answers_of(OnnxCompiler().compile(estimator), rows, "probability")
    for row, answer in zip(rows, found, strict=True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = float(estimator.predict_proba(row[None])[0, 1])
        except ValueError:
            expected = float("nan")
        assert answer == pytest.approx(expected, abs=PARITY, nan_ok=True)
    assert np.isfinite(found[0])


def test_a_category_that_was_never_seen_goes_where_missing_goes() -> None:
    """Fractions, negative numbers and numbers beyond the known ones are no known category."""
    matrix, label, _ = sample(5, 1500, missing=True)
    estimator = HistGradientBoostingClassifier(categorical_features=[1], **HIST).fit(matrix, label)
    values = [*np.arange(-2, 260.0), 0.5, 32.5, 3 + 1e-12, -0.0, 1e300, np.nan]
    rows = np.tile([0.1, 0.0, 1e8, 0.0], (len(values), 1))
    rows[:, 1] = values
    found = answers_of(OnnxCompiler().compile(estimator), rows, "probability")
    expected = estimator.predict_proba(rows)[:, 1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=PARITY)
    assert len(np.unique(expected)) > 2


anything = st.floats(allow_nan=False, width=64)


@given(threshold=anything, value=anything, is_near=st.booleans(), steps=st.integers(-3, 3))
@example(threshold=0.0, value=2.0**-150, is_near=False, steps=0)
@example(threshold=-1e-60, value=-(2.0**-150), is_near=False, steps=0)
@example(threshold=float(np.finfo(np.float32).max), value=2.0**128, is_near=False, steps=0)
def test_a_moved_threshold_splits_as_rounding_does(
    threshold: float, value: float, is_near: bool, steps: int
) -> None:
    """For every value, and a few floats around the place where the side changes."""
    (moved,) = float32_thresholds(np.array([threshold]))
    probe = moved if is_near else value
    with np.errstate(over="ignore", under="ignore"):
        for _ in range(abs(steps)):
            probe = np.nextafter(probe, np.sign(steps) * np.inf)
        rounded = np.float64(np.float32(probe))
    assert (probe <= moved) == (rounded <= threshold)
