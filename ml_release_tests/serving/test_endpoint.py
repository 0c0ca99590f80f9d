"""Endpoint: every request is answered, by one version, and logged before it is answered."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.adapters.inference_tables import InferenceTables
from ml_release.adapters.onnx_models import OnnxLoader, OnnxModel
from ml_release.domain.assignment import bucket_of
from ml_release.domain.features import feature_values
from ml_release.domain.inference import feature_columns
from ml_release.errors import UnavailableError
from ml_release.serving.routes import ADDRESSES
from ml_release_tests.serving.world import HISTORY, LINE, ROW, World, v2_body

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ml_release.domain.history_table import HistoryTable
    from ml_release.serving.server import Parts

INFER = f"/v2/models/{LINE}/infer"
INVOCATIONS = f"/models/{LINE}/invocations"
LABELS = f"/models/{LINE}/labels"


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    json: Any


@dataclass
class Client:
    """Talks to an endpoint without a network."""

    parts: Parts
    headers: Mapping[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Answered:
        return self.send("GET", path, b"")

    def post(self, path: str, document: object, **headers: str) -> Answered:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", path, json.dumps(document).encode(), named)

    def send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Answered:
        reply = self.parts.endpoint.handle(method, path, headers or {}, body)
        return Answered(reply.status, dict(reply.headers), json.loads(reply.body))


@pytest.fixture
def client(parts: Parts) -> Client:
    return Client(parts)


def test_both_protocols_give_the_prediction_of_the_model(
    client: Client, artefacts: dict[int, dict[str, bytes]]
) -> None:
    """The answers are those of the loaded model on the features with history looked up."""
    model = OnnxLoader().load(artefacts[1])
    columns: dict[str, Any] = {
        "distance": np.array([733.0]),
        "carrier": np.array(["UA"], dtype=object),
        "departure": np.array(["2013-10-01T06:30"], dtype="datetime64[us]"),
        "carrier_rate": np.array([HISTORY.values["carrier_rate"]["UA"]]),
    }
    (expected,) = model.predict(feature_values(model.plan.features, columns))
    v2 = client.post(INFER, v2_body([ROW]))
    mlflow = client.post(INVOCATIONS, {"dataframe_records": [ROW]})
    assert v2.json["outputs"][0]["data"] == [expected]
    assert mlflow.json == {"predictions": [expected]}


def test_an_answer_says_who_gave_it(client: Client, world: World) -> None:
    """Headers and body name version, variant, commit and request."""
    answered = client.post(INFER, v2_body([ROW]), x_request_id="mine")
    declared = world.deployments.read(LINE, "production")
    assert declared is not None
    assert answered.status == 200
    assert answered.headers["x-request-id"] == answered.json["id"] == "mine"
    assert answered.headers["x-model-version"] == answered.json["model_version"] == "1"
    assert answered.headers["x-variant"] == "champion"
    assert answered.headers["x-route-commit"] == declared.commit


def test_a_request_leaves_one_record_per_row(client: Client, world: World) -> None:
    """Records hold the answer that was given and the values the model saw."""
    rows = [ROW, {**ROW, "distance": None, "carrier": "XX"}]
    answered = client.post(
        INFER,
        v2_body(rows, id="from-the-body"),
        x_unit_id="passenger-1",
        x_event_time="2013-10-01T06:30:00-04:00",
    )
    frame = world.logged()
    assert frame["request_id"].tolist() == ["from-the-body"] * 2
    assert frame["row"].tolist() == [0, 1]
    assert frame["prediction"].tolist() == answered.json["outputs"][0]["data"]
    assert frame["route_commit"].unique().tolist() == [answered.headers["x-route-commit"]]
    assert frame["bucket"].unique().tolist() == [bucket_of("passenger-1", "release-1")]
    assert frame["event_time"][0].isoformat() == "2013-10-01T10:30:00+00:00"
    assert frame["features"][0] == {
        "distance": 733.0,
        "carrier": "UA",
        "weekday": 1.0,
        "minute": 390.0,
        "carrier_rate": 0.2,
    }
    assert frame["features"][1]["distance"] is None
    assert frame["features"][1]["carrier_rate"] == 0.15


def test_a_record_says_how_old_the_table_was_and_what_it_did_not_know(
    client: Client, world: World
) -> None:
    """Misses are those of the row itself; the day is that of the event in New York."""
    rows = [ROW, {**ROW, "carrier": "XX"}]
    for moment in ("2013-10-01T06:30:00-04:00", "2013-10-03T03:59:00Z", "2013-09-30T12:00:00Z"):
        client.post(INVOCATIONS, {"dataframe_records": rows}, x_event_time=moment)
    frame = world.logged()
    assert frame["history_digest"].unique().tolist() == [HISTORY.digest]
    assert frame["history_misses"].tolist() == [0, 1] * 3
    assert frame["history_age_days"].tolist() == [0, 0, 1, 1, -1, -1]
    history = client.get("/status").json["lines"][LINE]["serving"]["history"]
    assert history == {
        "as_of": "2013-10-01",
        "look_ups": 6,
        "misses": 3,
        "age_days": -1,
        "age_largest_days": 1,
    }
    page = client.parts.endpoint.handle("GET", "/", {}, b"").body.decode()
    assert (
        "as of 2013-10-01, -1 days old at the last event, at most 1; 3 of 6 look-ups met no key"
        in page
    )


def test_without_a_table_every_look_up_is_a_miss_of_no_age(
    tmp_path: Path, artefacts: dict[int, dict[str, bytes]]
) -> None:
    """The model answers on missing values, and the record says why."""
    world = World.at(tmp_path)
    world.publish(1, artefacts[1])
    world.declare(1)
    client = Client(world.parts())
    assert client.post(INFER, v2_body([ROW])).status == 200
    frame = world.logged()
    assert frame["history_digest"].tolist() == [None]
    assert frame["history_age_days"].isna().tolist() == [True]
    assert frame["history_misses"].tolist() == [1]
    page = client.parts.endpoint.handle("GET", "/", {}, b"").body.decode()
    assert "no table; 1 of 1 look-ups met no key" in page


@pytest.mark.parametrize(
    ("table", "moment"),
    [
        pytest.param(replace(HISTORY, time_zone=None), "2013-10-02T12:00:00Z", id="no zone"),
        pytest.param(HISTORY, "0001-01-01T00:00:00Z", id="no day of the calendar"),
    ],
)
def test_an_age_that_cannot_be_told_stops_no_answer(
    world: World, table: HistoryTable, moment: str
) -> None:
    """It is missing in the record; the look-ups are counted all the same."""
    world.publish_history(table)
    client = Client(world.parts())
    assert client.post(INFER, v2_body([ROW]), x_event_time=moment).status == 200
    (record,) = (world.settings.inference / LINE).glob("records-*.jsonl")
    (line,) = record.read_text().splitlines()
    assert json.loads(line)["history_age_days"] is None
    assert json.loads(line)["history_misses"] == 0
    page = client.parts.endpoint.handle("GET", "/", {}, b"").body.decode()
    assert "as of 2013-10-01; 0 of 1 look-ups met no key" in page


def test_logged_features_give_the_logged_prediction(
    client: Client, world: World, artefacts: dict[int, dict[str, bytes]]
) -> None:
    """Predicting again from the log alone gives bit for bit what was answered."""
    rows = [{**ROW, "distance": None if i % 7 == 0 else 100.0 + i} for i in range(50)]
    client.post(INVOCATIONS, {"dataframe_records": rows})
    frame = world.logged()
    again = OnnxLoader().load(artefacts[1]).predict(feature_columns(frame["features"].tolist()))
    assert again.tolist() == frame["prediction"].tolist()


def test_without_an_event_time_a_request_happens_when_it_comes_in(
    client: Client, world: World
) -> None:
    """Event time and received time are then equal, and there is no bucket without a unit."""
    client.post(INFER, v2_body([ROW]))
    frame = world.logged()
    assert frame["event_time"].tolist() == frame["received_time"].tolist()
    assert frame["bucket"].isna().tolist() == [True]


@pytest.mark.parametrize(
    "stated", ["", " ", "x" * 129, "line\nbreak", "tab\t", "é", "\u202egnp", " padded "]
)
def test_an_unusable_request_id_is_replaced(client: Client, stated: str) -> None:
    """The client gets a random one instead of an error, in headers and in the body."""
    for answered in (
        client.post(INFER, v2_body([ROW]), x_request_id=stated),
        client.post(INFER, v2_body([ROW], id=stated)),
    ):
        assert answered.status == 200
        assert len(answered.headers["x-request-id"]) == 36
        assert answered.json["id"] == answered.headers["x-request-id"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x_event_time", "2013-10-01T06:30:00"),
        ("x_event_time", "yesterday"),
        ("x_event_time", ""),
        ("x_event_time", "0001-01-01T00:00:00+14:00"),
        ("x_unit_id", "x" * 129),
        ("x_unit_id", "é"),
    ],
)
def test_an_unusable_header_is_refused_by_name(client: Client, name: str, value: str) -> None:
    """A unit or an event time that would be ignored is an error, and nothing is logged."""
    answered = client.post(INFER, v2_body([ROW]), **{name: value})
    assert answered.status == 400
    assert name.replace("_", "-") in answered.json["error"]


def test_a_refused_request_leaves_no_record(client: Client, world: World) -> None:
    """It is counted as rejected instead."""
    answered = client.post(INFER, v2_body([{**ROW, "distance": "12"}]))
    assert answered.status == 400
    assert "row 0, field 'distance'" in answered.json["error"]
    assert len(world.logged()) == 0
    assert client.get("/status").json["lines"][LINE]["requests"]["rejected"] == 1


def test_too_many_rows_are_refused(client: Client) -> None:
    """10,000 rows are answered, one more is 413."""
    columns: dict[str, list[Any]] = {
        "distance": [1],
        "carrier": ["UA"],
        "departure": ["2013-10-01"],
    }
    most = client.post(INVOCATIONS, {"inputs": {k: v * 10_000 for k, v in columns.items()}})
    more = client.post(INVOCATIONS, {"inputs": {k: v * 10_001 for k, v in columns.items()}})
    assert (most.status, len(most.json["predictions"])) == (200, 10_000)
    assert (more.status, more.json["error"]) == (
        413,
        "request: expected at most 10000 rows, found 10001",
    )


@pytest.mark.parametrize("broken", ["raises", "NaN", "above one"])
def test_a_model_that_fails_gives_an_error_and_a_record(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """No prediction is made up: 500, an error record, and the next request is answered."""

    def predict(self: OnnxModel, values: object) -> Any:
        if broken == "raises":
            message = "out of cheese"
            raise RuntimeError(message)
        return np.array([np.nan if broken == "NaN" else 1.5])

    with monkeypatch.context() as patched:
        patched.setattr(OnnxModel, "predict", predict)
        patched.setattr(OnnxModel, "predict_row", lambda *asked: predict(*asked).item())
        answered = client.post(INFER, v2_body([ROW]), x_request_id="broken")
    assert answered.status == 500
    assert "the model failed" in answered.json["error"]
    assert answered.headers["x-model-version"] == "1"
    frame = world.logged()
    assert frame["outcome"].tolist() == ["error"]
    assert frame["prediction"].isna().all()
    assert "the model failed" in frame["error"][0]
    assert frame["history_misses"].isna().all()
    assert client.post(INFER, v2_body([ROW])).status == 200


def test_a_request_that_cannot_be_logged_is_not_answered(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 without a prediction, counted as unlogged."""

    def refuse(*arguments: object) -> None:
        message = "inference log: the disk is full"
        raise UnavailableError(message)

    monkeypatch.setattr(type(client.parts.log), "append_records", refuse)
    answered = client.post(INFER, v2_body([ROW]))
    assert (answered.status, answered.json) == (503, {"error": "inference log: the disk is full"})
    assert client.get("/status").json["lines"][LINE]["requests"]["unlogged"] == 1


@pytest.mark.parametrize(
    "document",
    [
        {"labels": [{"request_id": "a", "label": 1}, {"request_id": "b", "label": 0}]},
        {"request_id": "a", "label": 1, "event_time": "2013-10-01T12:00:00-04:00"},
    ],
)
def test_labels_are_kept(client: Client, world: World, document: dict[str, Any]) -> None:
    """One label or a list of them; each with a moment."""
    answered = client.post(LABELS, document)
    frame = InferenceTables(world.settings.inference).labels(LINE)
    assert answered.json == {"accepted": len(frame)}
    assert frame["request_id"][0] == "a"
    assert frame["label"][0] == 1
    if "event_time" in document:
        assert frame["event_time"][0].isoformat() == "2013-10-01T16:00:00+00:00"


@pytest.mark.parametrize(
    "document",
    [
        {"labels": [{"request_id": "a", "label": 1}, {"request_id": "b", "label": 2}]},
        {"request_id": "a", "label": True},
        {"request_id": "a", "label": 1.0},
        {"request_id": "a", "label": "1"},
        {"request_id": "", "label": 1},
        {"request_id": "a"},
        {"request_id": "a", "label": 1, "row": 3},
        {"request_id": "a", "label": 1, "event_time": "2013-10-01T12:00:00"},
        {"labels": {}},
        [],
        None,
    ],
)
def test_labels_are_taken_all_or_none(client: Client, world: World, document: object) -> None:
    """A label that is not usable is named, and the others of its request are not kept."""
    answered = client.post(LABELS, document)
    assert answered.status == 400
    assert len(InferenceTables(world.settings.inference).labels(LINE)) == 0


def test_units_keep_their_variant_and_shares_are_as_declared(world: World) -> None:
    """With a canary at 30 percent, a unit always meets the same version."""
    world.declare(world.variant(1, weight=70), world.variant(2, role="canary", weight=30))
    client = Client(world.parts())
    met: dict[str, set[str]] = {}
    for i in range(400):
        unit = f"user-{i % 200}"
        answered = client.post(INFER, v2_body([ROW]), x_unit_id=unit)
        met.setdefault(unit, set()).add(answered.headers["x-model-version"])
    assert all(len(versions) == 1 for versions in met.values())
    assert 35 <= sum(versions == {"2"} for versions in met.values()) <= 85


def test_a_line_that_is_not_declared_is_unknown(client: Client) -> None:
    """404 on every route that names a line."""
    for address in ADDRESSES:
        if "{line}" in address.path:
            path = address.path.format(line="other", version="1")
            answered = client.send(address.method, path, b"{}")
            assert answered.status == 404
            assert LINE in answered.json["error"]


def test_a_declared_line_without_a_version_is_unavailable(world: World) -> None:
    """503 with the reason, and neither the line nor the server is ready."""
    world.digests.clear()
    world.declare(3)
    client = Client(world.parts())
    answered = client.post(INFER, v2_body([ROW]))
    assert answered.status == 503
    assert "no artefact" in answered.json["error"]
    assert client.get(f"/v2/models/{LINE}").status == 503
    assert client.get(f"/v2/models/{LINE}/ready").json == {"name": LINE, "ready": False}
    assert client.get("/v2/health/ready").status == 503
    assert client.get("/v2/health/live").status == 200


def test_health_and_metadata_follow_the_protocol(client: Client) -> None:
    """The documents of the Open Inference Protocol."""
    assert client.get("/v2/health/live").json == {"live": True}
    assert client.get("/v2/health/ready").json == {"ready": True}
    assert client.get(f"/v2/models/{LINE}/ready").json == {"name": LINE, "ready": True}
    assert client.get("/v2").json["name"] == "ml_release"
    metadata = client.get(f"/v2/models/{LINE}").json
    assert metadata["versions"] == ["1"]
    assert [tensor["name"] for tensor in metadata["inputs"]] == list(ROW)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "//", 404),
        ("POST", f"/v2/models/{LINE}/infer/", 404),
        ("POST", "/v2/models//infer", 404),
        ("POST", f"/v2/models/{LINE}/versions/1/infer/", 404),
        ("POST", f"/v2/models/{LINE}/versions//infer", 404),
        ("POST", f"/v2/models/{LINE}/versions/{{version}}/infer", 404),
        ("GET", f"/v2/models/{LINE}/versions/1/infer", 405),
        ("POST", "/models/{line}/invocations", 404),
        ("GET", INFER, 405),
        ("PUT", INFER, 405),
        ("POST", "/status", 405),
        ("HEAD", "/", 405),
    ],
)
def test_other_addresses_are_refused(client: Client, method: str, path: str, status: int) -> None:
    """404 where nothing answers; 405 with the allowed method where something else does."""
    answered = client.send(method, path, b"{}")
    assert answered.status == status
    assert "error" in answered.json
    assert ("allow" in answered.headers) == (status == 405)


def test_the_status_says_what_serves_and_why(client: Client, world: World) -> None:
    """Version, commit, actor, reason, counts and latency."""
    for _ in range(3):
        client.post(INFER, v2_body([ROW]))
    line = client.get("/status").json["lines"][LINE]
    declared = world.deployments.read(LINE, "production")
    assert declared is not None
    assert line["problems"] == []
    assert line["serving"]["commit"] == line["declared_commit"] == declared.commit
    assert (line["serving"]["actor"], line["serving"]["reason"]) == ("tester", "for the test")
    assert line["serving"]["variants"][0]["version"] == 1
    assert line["serving"]["variants"][0]["answered"] == line["requests"]["answered"] == 3
    assert line["latency_ms"]["p99"] >= line["latency_ms"]["p50"] > 0


def test_the_page_shows_reasons_as_text(world: World) -> None:
    """What a person wrote into a commit is never markup, and the page loads nothing."""
    world.declare(2, rollback_target=1, reason="<script>alert('x')</script> & better")
    parts = world.parts()
    reply = parts.endpoint.handle("GET", "/", {}, b"")
    page = reply.body.decode()
    assert reply.status == 200
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; better" in page
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "version 1, warm" in page
    assert all(
        address.description in page for address in ADDRESSES if "'" not in address.description
    )


def test_the_page_of_an_empty_home_says_so(tmp_path: Any) -> None:
    """Before anything is declared the server is ready and has nothing to show."""
    client = World.at(tmp_path).parts().endpoint
    assert b"No line is declared" in client.handle("GET", "/", {}, b"").body
    assert client.handle("GET", "/v2/health/ready", {}, b"").status == 200
