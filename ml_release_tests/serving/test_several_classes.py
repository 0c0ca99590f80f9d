"""Probabilities of several classes, in and out of process, through both protocols and as bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import tritonclient.http as triton
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from ml_release.adapters.in_memory import SameProcessProbe
from ml_release.adapters.inference_tables import InferenceArchiveFiles
from ml_release.adapters.model_ladder import LadderCompiler
from ml_release.adapters.model_process import ModelProcess
from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.onnx_models import OnnxModel
from ml_release.adapters.skops_compiler import SkopsCompiler
from ml_release.domain.artefact import EXAMPLE_FILE, PLAN_FILE, SIGNATURE_FILE, signature_of
from ml_release.domain.deployment import KillSwitch, Shadow
from ml_release.domain.features import FeaturePlan, Number
from ml_release.serving import workers
from ml_release.serving.loaders import serving_loader
from ml_release.serving.workers import IsolatedModel, Limits
from ml_release_tests.serving.test_unmodified_clients import mlflow_client
from ml_release_tests.serving.world import LINE, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ml_release.serving.replies import Reply
    from ml_release.serving.server import Parts

NAMES = ("early", "late", "on time")
PLAN = FeaturePlan(
    features=(Number(name="distance", column="distance"), Number(name="hour", column="hour")),
    vocabularies={},
)
INFER = f"/v2/models/{LINE}/infer"
INVOCATIONS = f"/models/{LINE}/invocations"
SWITCH = f"/models/{LINE}/kill-switch"
ROWS = np.array([[120.0, 6.0], [733.0, 12.5], [2400.0, 23.0], [1200.0, 18.0]])
MAKERS: dict[str, Any] = {
    "histogram boosting": HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=7),
    "logistic": LogisticRegression(max_iter=5000),
    "forest": RandomForestClassifier(n_estimators=10, random_state=0),
    "kept by skops": GaussianNB(),
}
EXACT = frozenset({"forest", "kept by skops"})
"""The same bits as scikit-learn's; the others, whose sums and softmax round apart, within 1e-12."""


def fitted(name: str) -> Any:
    rng = np.random.default_rng(0)
    matrix = np.column_stack([rng.uniform(100, 2500, 300), rng.uniform(0, 24, 300)])
    score = matrix[:, 0] / 2500 + matrix[:, 1] / 24 + rng.normal(0, 0.2, 300)
    return MAKERS[name].fit(matrix, np.array(NAMES)[np.digitize(score, [0.8, 1.2])])


def files_of(estimator: Any, **changes: Any) -> dict[str, bytes]:
    known = {"output": "punctuality", "output_kind": "probabilities", "classes": NAMES, **changes}
    return {
        **LadderCompiler(OnnxCompiler(), SkopsCompiler()).model_files(estimator),
        PLAN_FILE: PLAN.model_dump_json().encode(),
        SIGNATURE_FILE: signature_of(LINE, PLAN, **known).to_json(),
        EXAMPLE_FILE: b'{"dataframe_records":[{"distance":733.0,"hour":6.0}]}',
    }


def v2_body(rows: np.ndarray = ROWS, **more: Any) -> dict[str, Any]:
    tensors = [
        {"name": name, "shape": [len(rows)], "datatype": "FP64", "data": rows[:, i].tolist()}
        for i, name in enumerate(("distance", "hour"))
    ]
    return {"inputs": tensors, **more}


def records(rows: np.ndarray = ROWS) -> dict[str, Any]:
    return {"dataframe_records": [{"distance": d, "hour": h} for d, h in rows.tolist()]}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.at(tmp_path)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[World], Parts]]:
    """Builds servers without network and ends their processes, which may take their time."""
    patient = Limits(answer_s=20.0)
    monkeypatch.setattr(workers, "Limits", lambda **given: replace(patient, **given))
    made: list[Parts] = []

    def build(world: World) -> Parts:
        made.append(world.parts())
        return made[-1]

    yield build
    for parts in made:
        parts.reconciler.close()


def send(parts: Parts, path: str, document: object = None, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b"" if document is None else json.dumps(document).encode()
    method = "GET" if document is None else "POST"
    return parts.endpoint.handle(method, path, named, body)


def ask(parts: Parts, path: str, document: object = None, **headers: str) -> tuple[int, Any]:
    reply = send(parts, path, document, **headers)
    return reply.status, json.loads(reply.body)


@pytest.mark.parametrize("name", MAKERS)
def test_all_protocols_answer_as_the_estimator(
    world: World, make: Callable[[World], Parts], name: str
) -> None:
    """JSON of both, bytes, from the server's own process and from that of a canary."""
    estimator = fitted(name)
    expected = estimator.predict_proba(ROWS)
    tolerance = 0 if name in EXACT else 1e-12
    for number in (1, 2):
        world.publish(number, files_of(estimator, output=f"answer_{number}"))
    world.declare(world.variant(1, weight=50), world.variant(2, role="canary", weight=50))
    parts = make(world)
    route = parts.reconciler.table.lines[LINE].route
    assert route is not None
    assert isinstance(route.answering[2].loaded.model, IsolatedModel)
    met = set()
    for unit in range(12):
        status, answer = ask(parts, INFER, v2_body(), x_unit_id=f"u{unit}")
        (output,) = answer["outputs"]
        assert (status, output["datatype"], output["shape"]) == (200, "FP64", [4, 3])
        assert json.loads(output["parameters"]["classes"]) == list(NAMES)
        found = np.array(output["data"]).reshape(output["shape"])
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
        met.add(output["name"])
        reply = send(
            parts, INFER, v2_body(parameters={"binary_data_output": True}), x_unit_id=f"u{unit}"
        )
        head = int(dict(reply.headers)["inference-header-content-length"])
        (output,) = json.loads(reply.body[:head])["outputs"]
        assert output["parameters"]["binary_data_size"] == len(reply.body) - head == 4 * 3 * 8
        assert json.loads(output["parameters"]["classes"]) == list(NAMES)
        np.testing.assert_array_equal(np.frombuffer(reply.body[head:]).reshape(4, 3), found)
        _, answer = ask(parts, INVOCATIONS, records(), x_unit_id=f"u{unit}")
        assert answer == {"predictions": found.tolist(), "classes": list(NAMES)}
    assert met == {"answer_1", "answer_2"}


def test_the_record_keeps_all_of_them_and_no_single_prediction(world: World) -> None:
    """Also once it is archived; what counts single probabilities counts none."""
    world.publish(1, files_of(fitted("forest")))
    world.declare(1)
    parts = world.parts()
    _, answer = ask(parts, INVOCATIONS, records())
    expected = [tuple(row) for row in answer["predictions"]]
    logged = world.logged()
    assert logged["probabilities"].tolist() == expected
    assert logged["prediction"].isna().all()
    assert logged["decision"].isna().all()
    assert (logged["outcome"] == "ok").all()
    parts.log.close()
    assert InferenceArchiveFiles(world.settings.inference).archive(LINE).rows == len(ROWS)
    assert world.logged()["probabilities"].tolist() == expected
    counts = parts.endpoint.counts[LINE].variant("champion", 1)
    assert (counts.rows, sum(counts.prediction_buckets)) == (len(ROWS), 0)


def test_a_shadow_is_logged_with_the_rows_of_its_request(
    world: World, make: Callable[[World], Parts]
) -> None:
    """Asked once for several requests, it answers each with its own part."""
    estimators = {1: fitted("forest"), 2: fitted("kept by skops")}
    for number, estimator in estimators.items():
        world.publish(number, files_of(estimator))
    shadow = Shadow(version=2, model_digest=world.digests[2], sample_percent=100)
    world.declare(1, shadows=(shadow,))
    parts = make(world)
    for name, rows in (("a", ROWS[:1]), ("b", ROWS[1:])):
        assert send(parts, INFER, v2_body(rows), x_request_id=name).status == 200
    parts.endpoint.shadows.ask_waiting()
    logged = world.logged()
    kept = logged[logged["shadow"]].sort_values(["request_id", "row"])
    expected = estimators[2].predict_proba(ROWS)
    assert kept["probabilities"].tolist() == [tuple(row) for row in expected.tolist()]
    assert kept["prediction"].isna().all()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([[0.5, 0.5, 0.1], [0.2, 0.3, 0.5]], id="more than 1"),
        pytest.param([[0.5, 0.3, 0.2 - 2e-9], [0.2, 0.3, 0.5]], id="2e-9 less than 1"),
        pytest.param([[1.5, -0.5, 0.0], [0.2, 0.3, 0.5]], id="beyond 0 and 1"),
        pytest.param([[np.nan, 0.5, 0.5], [0.2, 0.3, 0.5]], id="no number"),
        pytest.param([[0.5, 0.5], [0.5, 0.5]], id="one class less"),
        pytest.param([0.5, 0.5], id="one number per row"),
    ],
)
def test_what_is_no_distribution_over_the_classes_is_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    """500 and an error record, as for a probability beyond 1."""
    world.publish(1, files_of(fitted("forest")))
    world.declare(1)
    parts = world.parts()
    monkeypatch.setattr(OnnxModel, "predict", lambda *_: np.array(answer))
    status, found = ask(parts, INFER, v2_body(ROWS[:2]))
    assert status == 500
    assert "3 " in found["error"]
    logged = world.logged()
    assert logged["outcome"].tolist() == ["error", "error"]
    assert logged["probabilities"].isna().all()


def test_rows_that_add_to_1_within_a_billionth_are_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounding is no fault."""
    world.publish(1, files_of(fitted("forest")))
    world.declare(1)
    parts = world.parts()
    monkeypatch.setattr(OnnxModel, "predict", lambda *_: np.array([[0.5, 0.3, 0.2 - 5e-10]]))
    assert ask(parts, INFER, v2_body(ROWS[:1]))[0] == 200


def test_the_metadata_and_the_schema_name_the_classes(world: World) -> None:
    """The shape with them, before anybody has asked."""
    world.publish(1, files_of(fitted("logistic")))
    world.declare(1)
    parts = world.parts()
    (output,) = ask(parts, f"/v2/models/{LINE}")[1]["outputs"]
    assert (output["name"], output["shape"]) == ("punctuality", [-1, 3])
    assert json.loads(output["parameters"]["classes"]) == list(NAMES)
    schemas = ask(parts, "/openapi.json")[1]["components"]["schemas"]
    answer = schemas[f"{LINE}.predictions"]
    assert answer["required"] == ["predictions", "classes"]
    assert answer["properties"]["classes"] == {"const": list(NAMES)}
    items = answer["properties"]["predictions"]["items"]
    assert (items["type"], items["minItems"], items["maxItems"]) == ("array", 3, 3)
    assert "[rows, 3]" in schemas[f"{LINE}.infer_answer"]["description"]


def test_a_declared_threshold_decides_nothing_and_is_a_problem(world: World) -> None:
    """No decision is answered, and asking for one says why there is none."""
    world.publish(1, files_of(fitted("forest")))
    world.declare(1, threshold=0.5)
    parts = world.parts()
    (problem,) = parts.reconciler.table.lines[LINE].problems
    assert "threshold: expected none" in problem
    status, answer = ask(parts, INFER, v2_body())
    assert (status, [output["name"] for output in answer["outputs"]]) == (200, ["punctuality"])
    assert "decisions" not in ask(parts, INVOCATIONS, records())[1]
    status, answer = ask(parts, INFER, v2_body(outputs=[{"name": "decision"}]))
    assert status == 400
    assert "no threshold decides between several classes" in answer["error"]
    assert world.logged()["decision"].isna().all()


def test_a_declared_static_answer_is_refused_instead_of_given(world: World) -> None:
    """One number is no answer here: no model is asked, and no client gets it."""
    world.publish(1, files_of(fitted("forest")))
    world.declare(1, kill_switch=KillSwitch(answer=0.2, engaged=True))
    parts = world.parts()
    (problem,) = parts.reconciler.table.lines[LINE].problems
    assert "kill_switch: expected none" in problem
    for path, document in ((INFER, v2_body()), (INVOCATIONS, records())):
        status, answer = ask(parts, path, document)
        assert status == 503
        assert "one static number is no answer" in answer["error"]
    assert len(world.logged()) == 0


def test_the_switch_of_such_a_line_cannot_be_pulled(world: World) -> None:
    """It says what to do instead, and the model goes on to answer."""
    world.publish(1, files_of(fitted("forest")))
    world.declare(1)
    parts = world.parts()
    pull = {"engaged": True, "by": "ada", "reason": "it answers nonsense", "answer": 0.25}
    status, answer = ask(parts, SWITCH, pull)
    assert status == 409
    assert "Declare another version instead" in answer["error"]
    assert ask(parts, INFER, v2_body())[0] == 200


@pytest.mark.parametrize(
    ("estimator", "changes"),
    [
        pytest.param("forest", {"classes": ("a", "b", "c")}, id="other classes"),
        pytest.param("two", {"output_kind": "probability", "classes": ()}, id="one probability"),
    ],
)
def test_a_canary_of_other_classes_does_not_answer_beside_the_champion(
    world: World, make: Callable[[World], Parts], estimator: str, changes: dict[str, Any]
) -> None:
    """A client would take its columns for those of the champion."""
    world.publish(1, files_of(fitted("forest")))
    if estimator == "two":
        other = LogisticRegression().fit(ROWS, [0, 1, 0, 1])
    else:
        names = dict(zip(NAMES, changes["classes"], strict=True))
        other = LogisticRegression(max_iter=5000).fit(
            ROWS, [names[name] for name in ("early", "late", "on time", "early")]
        )
    world.publish(2, files_of(other, **changes))
    world.declare(world.variant(1, weight=50), world.variant(2, role="canary", weight=50))
    parts = make(world)
    (problem,) = parts.reconciler.table.lines[LINE].problems
    assert "version 2: expected the classes of the champion" in problem
    versions = {
        ask(parts, INFER, v2_body(), x_unit_id=f"u{unit}")[1]["model_version"] for unit in range(12)
    }
    assert versions == {"1"}


@pytest.mark.parametrize("name", ["histogram boosting", "kept by skops"])
def test_the_probes_measure_such_a_model(name: str) -> None:
    """In a process of its own, by the loader that serves."""
    values = {"distance": ROWS[:, 0], "hour": ROWS[:, 1]}
    measured = ModelProcess().measure(files_of(fitted(name)), values)
    assert measured.n == len(ROWS)
    assert measured.p50_ms > 0
    assert SameProcessProbe(serving_loader()).measure(files_of(fitted(name)), values).n == len(ROWS)


def test_unmodified_clients_get_a_matrix(world: World) -> None:
    """Those of Triton and of MLflow, from a server process, in JSON and as bytes."""
    estimator = fitted("forest")
    expected = estimator.predict_proba(ROWS)
    world.publish(1, files_of(estimator))
    world.declare(1)
    with world.server() as (url, _):
        client = triton.InferenceServerClient(url.removeprefix("http://"))
        for is_binary in (True, False):
            inputs = []
            for i, name in enumerate(("distance", "hour")):
                tensor = triton.InferInput(name, [len(ROWS)], "FP64")
                tensor.set_data_from_numpy(ROWS[:, i].copy(), binary_data=is_binary)
                inputs.append(tensor)
            outputs = [triton.InferRequestedOutput("punctuality", binary_data=is_binary)]
            answer = client.infer(LINE, inputs, outputs=outputs)
            np.testing.assert_array_equal(answer.as_numpy("punctuality"), expected)
            parameters = answer.get_output("punctuality")["parameters"]
            assert json.loads(parameters["classes"]) == list(NAMES)
        client.close()
        frame = pd.DataFrame(ROWS, columns=["distance", "hour"])
        answered = mlflow_client(url).invoke(frame)
        np.testing.assert_array_equal(answered.get_predictions().to_numpy(), expected)
