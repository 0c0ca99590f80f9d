"""What every adapter of `ModelCompiler` and `ModelLoader` has to do, each way and as one ladder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from ml_release.adapters.model_ladder import LadderCompiler, LadderLoader
from ml_release.adapters.onnx_compiler import OnnxCompiler, forests
from ml_release.adapters.onnx_compiler.graph import MATRIX, Graph
from ml_release.adapters.onnx_models import OnnxLoader
from ml_release.adapters.skops_compiler import SkopsCompiler
from ml_release.adapters.skops_models import SkopsLoader
from ml_release.domain.artefact import (
    MODEL_FILE,
    PLAN_FILE,
    SIGNATURE_FILE,
    SKOPS_FILE,
    SKOPS_RECORD_FILE,
    OutputKind,
    signature_of,
)
from ml_release.domain.calibrated_margin import CalibratedMargin
from ml_release.domain.features import FeaturePlan, Number
from ml_release.errors import DeclarationError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml_release.domain.answering import LoadedModel, ModelLoader

Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of two test processes would wait for one another, busily."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


class Way(NamedTuple):
    """A compiler with the loader of its files."""

    compiler: OnnxCompiler | SkopsCompiler | LadderCompiler
    loader: ModelLoader


def ladder() -> Way:
    loaders: dict[str, ModelLoader] = {MODEL_FILE: OnnxLoader(), SKOPS_FILE: SkopsLoader()}
    return Way(LadderCompiler(OnnxCompiler(), SkopsCompiler()), LadderLoader(loaders))


WAYS = {
    "onnx": Way(OnnxCompiler(), OnnxLoader()),
    "skops": Way(SkopsCompiler(), SkopsLoader()),
    "ladder": ladder(),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


def sample(n: int = 300) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(n, 3))
    return matrix, (matrix[:, 0] - matrix[:, 1] ** 2 + rng.normal(0, 0.5, n) > -0.5).astype(float)


def classifier() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(*sample())


def regressor() -> Any:
    from sklearn.linear_model import LinearRegression

    matrix, label = sample()
    return LinearRegression().fit(matrix, 3 * matrix[:, 1] - 40 * label)


def calibrated() -> CalibratedMargin:
    return CalibratedMargin(estimator=classifier(), slope=0.5, intercept=1.0)


MAKERS: dict[str, tuple[Callable[[], Any], OutputKind]] = {
    "classifier": (classifier, "probability"),
    "regressor": (regressor, "value"),
    "calibrated": (calibrated, "probability"),
}


def plan_of(width: int) -> FeaturePlan:
    features = tuple(Number(name=f"x{i}", column=f"x{i}") for i in range(width))
    return FeaturePlan(features=features, vocabularies={})


def files_of(
    model: dict[str, bytes],
    *,
    width: int = 3,
    output_kind: OutputKind = "probability",
    classes: tuple[str, ...] = (),
) -> dict[str, bytes]:
    plan = plan_of(width)
    kind: OutputKind = "probabilities" if classes else output_kind
    signature = signature_of("line", plan, output="answer", output_kind=kind, classes=classes)
    return {
        **model,
        PLAN_FILE: plan.model_dump_json().encode(),
        SIGNATURE_FILE: signature.to_json(),
    }


def predict(model: LoadedModel, matrix: Floats) -> Floats:
    return model.predict({f"x{i}": matrix[:, i] for i in range(matrix.shape[1])})


def expected_of(estimator: Any, matrix: Floats) -> Floats:
    if hasattr(estimator, "predict_proba"):
        answers: Floats = estimator.predict_proba(matrix)[:, 1]
        return answers
    return np.asarray(estimator.predict(matrix))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_model_answers_as_its_estimator(way: Way, kind: str) -> None:
    """Many rows, one row and none; the plan is that of the artefact."""
    make, output_kind = MAKERS[kind]
    estimator = make()
    files = files_of(way.compiler.model_files(estimator), output_kind=output_kind)
    model = way.loader.load(files)
    matrix, _ = sample(2000)
    expected = expected_of(estimator, matrix)
    np.testing.assert_allclose(predict(model, matrix), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(predict(model, matrix[:1]), expected[:1], rtol=1e-12, atol=1e-12)
    assert predict(model, matrix[:0]).shape == (0,)
    assert model.plan == plan_of(3)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_estimator_gives_the_same_bytes(way: Way, kind: str) -> None:
    """Fitted twice, so that nothing of where it lay in memory is in the digest."""
    make, _ = MAKERS[kind]
    assert way.compiler.model_files(make()) == way.compiler.model_files(make())


def unfitted() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def three_classes() -> Any:
    from sklearn.linear_model import LogisticRegression

    matrix, label = sample()
    return LogisticRegression().fit(matrix, label + (matrix[:, 2] > 0))


def other_classes() -> Any:
    from sklearn.linear_model import LogisticRegression

    matrix, label = sample()
    return LogisticRegression().fit(matrix, label + 1)


def calibrated_classes() -> CalibratedMargin:
    return CalibratedMargin(estimator=three_classes(), slope=1.0, intercept=0.0)


def own_class() -> Any:
    from sklearn.linear_model import LogisticRegression

    class Own(LogisticRegression):  # type: ignore[misc]
        """Its module is no package that can be trusted."""

    return Own().fit(*sample())


@pytest.mark.parametrize("make", [object, unfitted, other_classes, calibrated_classes, own_class])
def test_what_cannot_be_kept_is_refused(way: Way, make: Callable[[], Any]) -> None:
    """The author has to change it, and is told what was found."""
    with pytest.raises(DeclarationError, match=r"model compiler: expected .*found"):
        way.compiler.model_files(make())


@pytest.mark.parametrize("name", [PLAN_FILE, SIGNATURE_FILE])
@pytest.mark.parametrize("content", [b"", b"garbage", None], ids=repr)
def test_an_artefact_with_a_bad_file_is_refused(way: Way, name: str, content: bytes | None) -> None:
    """Empty, garbage or missing: an integrity error that names the file."""
    files = files_of(way.compiler.model_files(classifier()))
    del files[name]
    if content is not None:
        files[name] = content
    with pytest.raises(IntegrityError, match=f"(?i){name.split('.', maxsplit=1)[0]}"):
        way.loader.load(files)


def test_a_signature_of_another_kind_is_refused(way: Way) -> None:
    """A regression is no probability."""
    with pytest.raises(IntegrityError, match="expected model"):
        way.loader.load(files_of(way.compiler.model_files(regressor())))


def test_a_plan_of_other_features_is_refused(way: Way) -> None:
    """The number of features tells."""
    with pytest.raises(IntegrityError, match="expected model"):
        way.loader.load(files_of(way.compiler.model_files(classifier()), width=4))


THREE = ("0", "1", "2")


def test_several_classes_are_answered_with_a_column_each(way: Way) -> None:
    """Many rows, one row and none, in the order of the classes."""
    estimator = three_classes()
    model = way.loader.load(files_of(way.compiler.model_files(estimator), classes=THREE))
    matrix, _ = sample(500)
    for rows in (matrix, matrix[:1]):
        expected = estimator.predict_proba(rows)
        np.testing.assert_allclose(predict(model, rows), expected, rtol=0, atol=1e-12)
    assert predict(model, matrix[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    "classes",
    [
        pytest.param((), id="of two classes"),
        pytest.param(("1", "0", "2"), id="in another order"),
        pytest.param(("0", "1", "3"), id="by another name"),
        pytest.param(("0", "1", "2", "3"), id="one more"),
    ],
)
def test_a_signature_of_other_classes_is_refused(way: Way, classes: tuple[str, ...]) -> None:
    """Otherwise a column would be answered for what it is not, the second one above all."""
    files = way.compiler.model_files(three_classes())
    with pytest.raises(IntegrityError, match=r"expected model.*'0', '1', '2'"):
        way.loader.load(files_of(files, classes=classes))


def test_two_classes_do_not_answer_for_three(way: Way) -> None:
    """Nor is anything filled up."""
    with pytest.raises(IntegrityError, match="expected model"):
        way.loader.load(files_of(way.compiler.model_files(classifier()), classes=THREE))


def test_truth_values_are_the_classes_0_and_1(way: Way) -> None:
    """An estimator fitted on them answers the probability of True."""
    from sklearn.linear_model import LogisticRegression

    matrix, label = sample()
    estimator = LogisticRegression().fit(matrix, label > 0)
    model = way.loader.load(files_of(way.compiler.model_files(estimator)))
    expected = estimator.predict_proba(matrix)[:, 1]
    np.testing.assert_allclose(predict(model, matrix), expected, rtol=0, atol=1e-12)


def test_a_calibration_beside_several_classes_is_refused() -> None:
    """A record that was written by hand does not become an answer of two columns."""
    files = SkopsCompiler().model_files(three_classes())
    record = json.loads(files[SKOPS_RECORD_FILE])
    record["calibration"] = {"slope": 1.0, "intercept": 0.0}
    files[SKOPS_RECORD_FILE] = json.dumps(record).encode()
    with pytest.raises(IntegrityError, match="without a calibration"):
        SkopsLoader().load(files_of(files, classes=THREE))


@pytest.mark.parametrize("declared", [(), THREE], ids=["one column", "three columns"])
def test_a_graph_of_three_columns_is_no_probability(declared: tuple[str, ...]) -> None:
    """Neither one that says so nor one that gives more than it says."""
    graph = Graph(3)
    content = graph.to_bytes(graph.node("Identity", MATRIX), output="probability", classes=declared)
    files = files_of({MODEL_FILE: content})
    with pytest.raises(IntegrityError, match=r"expected model.*\('probability', 3\)"):
        OnnxLoader().load(files)


def test_a_forest_too_large_to_be_written_for_every_class_is_kept_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answers are then those of scikit-learn, bit for bit."""
    from sklearn.ensemble import RandomForestClassifier

    matrix, label = sample()
    estimator = RandomForestClassifier(n_estimators=5, random_state=0)
    estimator.fit(matrix, label + (matrix[:, 2] > 0))
    assert set(ladder().compiler.model_files(estimator)) == {MODEL_FILE}
    monkeypatch.setattr(forests, "MOST_NODES", 100)
    files = ladder().compiler.model_files(estimator)
    assert set(files) == {SKOPS_FILE, SKOPS_RECORD_FILE}
    model = ladder().loader.load(files_of(files, classes=THREE))
    np.testing.assert_array_equal(predict(model, matrix), estimator.predict_proba(matrix))


def neighbours() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier().fit(*sample())


def test_the_ladder_takes_the_exact_way_where_there_is_one() -> None:
    """And another only where there is none."""
    way = ladder()
    assert set(way.compiler.model_files(classifier())) == {MODEL_FILE}
    files = way.compiler.model_files(neighbours())
    assert set(files) == {SKOPS_FILE, SKOPS_RECORD_FILE}
    matrix, _ = sample(100)
    np.testing.assert_array_equal(
        predict(way.loader.load(files_of(files)), matrix), expected_of(neighbours(), matrix)
    )


def test_the_exact_form_alone_is_never_the_other() -> None:
    """What asks for exact bytes is refused rather than given something else."""
    compiler = LadderCompiler(OnnxCompiler(), SkopsCompiler())
    assert compiler.compile(classifier()) == OnnxCompiler().compile(classifier())
    with pytest.raises(DeclarationError, match="a KNeighborsClassifier"):
        compiler.compile(neighbours())


def test_a_refusal_of_the_ladder_gives_every_reason() -> None:
    """Why it is not exact, and why it is not kept otherwise."""
    with pytest.raises(DeclarationError, match=r"(?s)written exactly.*whose state names .*Own"):
        ladder().compiler.model_files(own_class())


def test_an_artefact_with_two_models_or_none_is_refused() -> None:
    """Nobody chooses between two."""
    way = ladder()
    exact = files_of(way.compiler.model_files(classifier()))
    for files in ({**exact, SKOPS_FILE: b""}, {PLAN_FILE: exact[PLAN_FILE]}):
        with pytest.raises(IntegrityError, match="expected exactly one of the files"):
            way.loader.load(files)
