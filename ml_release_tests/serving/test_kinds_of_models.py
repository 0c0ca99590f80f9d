"""Regressions, and models that scikit-learn itself answers, at the endpoint."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import KNeighborsClassifier

from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.onnx_models import OnnxModel
from ml_release.adapters.skops_compiler import SkopsCompiler
from ml_release.domain.artefact import EXAMPLE_FILE, PLAN_FILE, SIGNATURE_FILE, signature_of
from ml_release.domain.features import FeaturePlan, Number
from ml_release_tests.serving.world import LINE, World

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.artefact import OutputKind
    from ml_release.serving.server import Parts

PLAN = FeaturePlan(features=(Number(name="distance", column="distance"),), vocabularies={})
INFER = f"/v2/models/{LINE}/infer"
BODY = json.dumps(
    {"inputs": [{"name": "distance", "shape": [2], "datatype": "FP64", "data": [120.0, 2400.0]}]}
)


def files_of(model: dict[str, bytes], *, output: str, output_kind: OutputKind) -> dict[str, bytes]:
    signature = signature_of(LINE, PLAN, output=output, output_kind=output_kind)
    return {
        **model,
        PLAN_FILE: PLAN.model_dump_json().encode(),
        SIGNATURE_FILE: signature.to_json(),
        EXAMPLE_FILE: b'{"dataframe_records":[{"distance":733.0}]}',
    }


def rows() -> np.ndarray:
    return np.random.default_rng(0).uniform(100, 2500, (200, 1))


def regression() -> tuple[Any, dict[str, bytes]]:
    estimator = RandomForestRegressor(n_estimators=5, random_state=0)
    estimator.fit(rows(), rows()[:, 0] / 8 - 60)
    model = OnnxCompiler().model_files(estimator)
    return estimator, files_of(model, output="minutes_late", output_kind="value")


def neighbours() -> tuple[Any, dict[str, bytes]]:
    estimator = KNeighborsClassifier().fit(rows(), (rows()[:, 0] > 1200).astype(int))
    model = SkopsCompiler().model_files(estimator)
    return estimator, files_of(model, output="probability_late", output_kind="probability")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.at(tmp_path)


def serve(world: World, files: dict[str, bytes]) -> Parts:
    world.publish(1, files)
    world.declare(1)
    return world.parts()


def ask(parts: Parts, method: str, path: str, body: str = "") -> tuple[int, Any]:
    reply = parts.endpoint.handle(method, path, {}, body.encode())
    return reply.status, json.loads(reply.body)


def test_a_regression_is_answered_by_the_name_of_its_output(world: World) -> None:
    """Values outside of 0 to 1, in the answer and in the record."""
    estimator, files = regression()
    parts = serve(world, files)
    status, answer = ask(parts, "POST", INFER, BODY)
    expected = estimator.predict(np.array([[120.0], [2400.0]])).tolist()
    assert status == 200
    assert answer["outputs"][0]["name"] == "minutes_late"
    assert answer["outputs"][0]["data"] == pytest.approx(expected, abs=1e-12)
    assert min(expected) < 0
    assert max(expected) > 1
    assert world.logged()["prediction"].tolist() == answer["outputs"][0]["data"]
    assert ask(parts, "GET", f"/v2/models/{LINE}")[1]["platform"] == "onnxruntime_onnx"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    """500 and an error record, as for a probability beyond 1."""
    parts = serve(world, regression()[1])
    monkeypatch.setattr(OnnxModel, "predict", lambda *_: np.array([1.0, value]))
    status, answer = ask(parts, "POST", INFER, BODY)
    assert status == 500
    assert "expected finite values" in answer["error"]
    assert world.logged()["outcome"].tolist() == ["error", "error"]


def test_a_model_of_scikit_learn_is_served_where_that_is_installed(world: World) -> None:
    """Its own answers, and the platform says who answers."""
    estimator, files = neighbours()
    parts = serve(world, files)
    status, answer = ask(parts, "POST", INFER, BODY)
    assert status == 200
    expected = estimator.predict_proba(np.array([[120.0], [2400.0]]))[:, 1].tolist()
    assert answer["outputs"][0]["data"] == expected
    assert ask(parts, "GET", f"/v2/models/{LINE}")[1]["platform"] == "sklearn_skops"


def test_without_the_extra_it_is_a_problem_with_a_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server runs, the line is not loaded, and both say which extra to install."""
    _, files = neighbours()
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.delitem(sys.modules, "skops.io", raising=False)
    parts = serve(world, files)
    (problem,) = parts.reconciler.table.lines[LINE].problems
    assert "ml-release[serving-sklearn]" in problem
    status, answer = ask(parts, "POST", INFER, BODY)
    assert status == 503
    assert "ml-release[serving-sklearn]" in answer["error"]
