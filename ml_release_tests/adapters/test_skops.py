"""What is kept as scikit-learn's state loads as data, and nothing else does."""

from __future__ import annotations

import importlib.metadata
import io
import json
import pickle
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier, VotingClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, SplineTransformer
from sklearn.svm import SVR, LinearSVC

from ml_release.adapters.skops_compiler import SkopsCompiler
from ml_release.adapters.skops_models import SkopsLoader
from ml_release.domain.artefact import SKOPS_FILE, SKOPS_RECORD_FILE, OutputKind
from ml_release.domain.calibrated_margin import CalibratedMargin
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.skops_record import skops_record_from_json
from ml_release.errors import DeclarationError, IntegrityError, UnavailableError
from ml_release_tests.adapters.test_model_ladder_contract import files_of, predict, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of two test processes would wait for one another, busily."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


HIST = HistGradientBoostingClassifier(max_iter=5, random_state=0)
ESTIMATORS: dict[str, Any] = {
    "bagging": BaggingClassifier(n_estimators=3, random_state=0),
    "voting": VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft"),
    "calibrated trees": CalibratedClassifierCV(HIST, method="isotonic", cv=2),
    "calibrated margin": CalibratedClassifierCV(LinearSVC(), cv=2),
    "neighbours": KNeighborsClassifier(),
    "network": MLPClassifier(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0),
    "gaussian process": GaussianProcessClassifier(),
    "polynomial": make_pipeline(PolynomialFeatures(), LogisticRegression()),
    "splines": make_pipeline(SplineTransformer(), LogisticRegression()),
    "function of numpy": make_pipeline(FunctionTransformer(np.abs), LogisticRegression()),
    "support vectors": SVR(),
    "neighbours' mean": KNeighborsRegressor(),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_any_other_estimator_answers_as_itself(name: str) -> None:
    """Bit for bit: the same code on the same numbers, and the same bytes each time."""
    estimator = ESTIMATORS[name].fit(*sample())
    is_classifier = hasattr(estimator, "predict_proba")
    kind: OutputKind = "probability" if is_classifier else "value"
    model = SkopsCompiler().model_files(estimator)
    assert SkopsCompiler().model_files(estimator) == model
    rows, _ = sample(500)
    expected = estimator.predict_proba(rows)[:, 1] if is_classifier else estimator.predict(rows)
    found = predict(SkopsLoader().load(files_of(model, output_kind=kind)), rows)
    np.testing.assert_array_equal(found, expected)


def test_a_calibrated_margin_needs_no_probability() -> None:
    """The margin is enough; slope and intercept travel in the record."""
    margin = LinearSVC().fit(*sample())
    with pytest.raises(DeclarationError, match="gives no probability"):
        SkopsCompiler().model_files(margin)
    calibrated = CalibratedMargin(estimator=margin, slope=1.5, intercept=0.25)
    model = SkopsCompiler().model_files(calibrated)
    rows, _ = sample(500)
    found = predict(SkopsLoader().load(files_of(model)), rows)
    np.testing.assert_array_equal(found, calibrated.predict_proba(rows)[:, 1])


def own_function() -> Any:
    steps = FunctionTransformer(lambda matrix: matrix), LogisticRegression()
    return make_pipeline(*steps).fit(*sample())


def reader_of_files() -> Any:
    from sklearn.feature_extraction.text import CountVectorizer

    estimator = KNeighborsClassifier().fit(*sample())
    estimator.note_ = CountVectorizer(input="filename")
    return estimator


def shape_changer() -> Any:
    from sklearn.decomposition import PCA

    return PCA().fit(*sample())


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (own_function, "<lambda>"),
        (reader_of_files, "CountVectorizer"),
        (shape_changer, "a PCA"),
    ],
)
def test_what_names_an_untrusted_type_is_not_kept(make: Callable[[], Any], found: str) -> None:
    """The author learns of it when training, by the name of the type."""
    with pytest.raises(DeclarationError, match=found):
        SkopsCompiler().model_files(make())


@pytest.fixture(scope="module")
def good() -> dict[str, bytes]:
    return files_of(SkopsCompiler().model_files(KNeighborsClassifier().fit(*sample())))


def recorded(files: dict[str, bytes], content: bytes, **changes: Any) -> dict[str, bytes]:
    """The files with another model, and a record that somebody adapted to it."""
    record = skops_record_from_json(files[SKOPS_RECORD_FILE])
    changed = record.model_copy(update={"digest": digest_of_bytes(content), **changes})
    return {**files, SKOPS_FILE: content, SKOPS_RECORD_FILE: changed.to_json()}


def edited(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The same archive with an edited state."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    state = json.loads(parts["schema.json"])
    change(state)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in {**parts, "schema.json": json.dumps(state).encode()}.items():
            archive.writestr(name, part)
    return buffer.getvalue()


def plant(state: dict[str, Any]) -> None:
    """Put a call of a command into the state."""
    state["content"]["content"]["metric"] = {
        "__class__": "system",
        "__module__": "os",
        "__loader__": "FunctionNode",
        "__id__": 987654,
    }


def test_an_untrusted_type_is_refused_by_name(good: dict[str, bytes]) -> None:
    """Even with a record that lists it: being recorded is not enough."""
    content = edited(good[SKOPS_FILE], plant)
    types = (*skops_record_from_json(good[SKOPS_RECORD_FILE]).types, "os.system")
    with pytest.raises(IntegrityError, match=r"found also os\.system"):
        SkopsLoader().load(recorded(good, content, types=types))


def test_a_trusted_type_that_is_not_recorded_is_refused(good: dict[str, bytes]) -> None:
    """Being trusted is not enough either."""
    types = skops_record_from_json(good[SKOPS_RECORD_FILE]).types
    fewer = tuple(name for name in types if not name.endswith("KNeighborsClassifier"))
    with pytest.raises(IntegrityError, match=r"found also .*KNeighborsClassifier"):
        SkopsLoader().load(recorded(good, good[SKOPS_FILE], types=fewer))


EXPLODED: list[str] = []


class Bomb:
    """Unpickling it would be noticed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (explode, ())


def explode() -> None:
    EXPLODED.append("unpickled")


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_pickle_in_its_place_is_refused_unread(good: dict[str, bytes], is_recorded: bool) -> None:
    """Whether or not the record was adapted to it; nothing of it runs."""
    content = pickle.dumps(Bomb())
    files = recorded(good, content) if is_recorded else {**good, SKOPS_FILE: content}
    with pytest.raises(IntegrityError, match=r"model\.skops"):
        SkopsLoader().load(files)
    assert EXPLODED == []


@pytest.mark.parametrize("position", [0.1, 0.5, 0.9])
def test_one_changed_byte_is_refused(good: dict[str, bytes], position: float) -> None:
    """The digest in the record tells."""
    content = bytearray(good[SKOPS_FILE])
    content[int(position * len(content))] ^= 1
    with pytest.raises(IntegrityError, match="expected digest"):
        SkopsLoader().load({**good, SKOPS_FILE: bytes(content)})


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_refused(good: dict[str, bytes], content: bytes) -> None:
    """Also with a record of its digest."""
    with pytest.raises(IntegrityError, match="is no file of skops"):
        SkopsLoader().load(recorded(good, content))


def test_a_state_that_does_not_fit_its_types_is_refused(good: dict[str, bytes]) -> None:
    """Whatever skops raises is one answer."""
    content = edited(good[SKOPS_FILE], lambda state: state.update(content={}))
    with pytest.raises(IntegrityError, match=r"skops"):
        SkopsLoader().load(recorded(good, content))


@pytest.mark.parametrize("name", [SKOPS_FILE, SKOPS_RECORD_FILE])
def test_a_missing_file_is_named(good: dict[str, bytes], name: str) -> None:
    """The model and its record belong together."""
    with pytest.raises(IntegrityError, match=name):
        SkopsLoader().load({other: part for other, part in good.items() if other != name})


def test_another_version_of_scikit_learn_is_refused(good: dict[str, bytes]) -> None:
    """It may answer otherwise without a word."""
    files = recorded(good, good[SKOPS_FILE], scikit_learn="1.2.3")
    found = importlib.metadata.version("scikit-learn")
    with pytest.raises(UnavailableError, match=rf"expected scikit-learn 1\.2\.3.*found {found}"):
        SkopsLoader().load(files)


def test_without_the_extra_the_message_names_it(
    good: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint server starts without scikit-learn, and says what this model needs."""
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.delitem(sys.modules, "skops.io", raising=False)
    with pytest.raises(UnavailableError, match=r"ml-release\[serving-sklearn\]"):
        SkopsLoader().load(good)
