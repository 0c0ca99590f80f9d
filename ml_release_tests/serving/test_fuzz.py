"""Requests made from the server's own document, well-formed and not: each gets a fit answer."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from ml_release.serving.openapi_schemas import infer_example
from ml_release_tests.serving.test_endpoint import INFER, INVOCATIONS
from ml_release_tests.serving.world import LINE, ROW, World, v2_body

if TYPE_CHECKING:
    from ml_release.serving.endpoint import Endpoint
    from ml_release.serving.replies import Reply

ROUGHLY = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
POSTS = (
    INFER,
    f"/v2/models/{LINE}/versions/{{version}}/infer",
    INVOCATIONS,
    "/invocations",
    f"/models/{LINE}/labels",
    f"/models/{LINE}/rewards",
)


@pytest.fixture(scope="module")
def endpoint(
    tmp_path_factory: pytest.TempPathFactory, artefacts: dict[int, dict[str, bytes]]
) -> Endpoint:
    world = World.at(tmp_path_factory.mktemp("home"))
    world.publish(1, artefacts[1])
    world.publish_history()
    world.declare(1)
    return world.parts().endpoint


@pytest.fixture(scope="module")
def document(endpoint: Endpoint) -> Any:
    return schemathesis.openapi.from_dict(
        json.loads(endpoint.handle("GET", "/openapi.json", {}, b"").body)
    )


def send(endpoint: Endpoint, case: Any) -> Reply:
    """A generated request as a client would put it on the wire, without the wire."""
    stated = case.as_transport_kwargs(base_url="http://127.0.0.1")
    known = {name: stated.get(name) for name in ("headers", "json", "data", "params")}
    made: Any = requests.Request(stated["method"], stated["url"], **known).prepare()
    body = made.body or b""
    content = body.encode() if isinstance(body, str) else body
    return endpoint.handle(made.method, urlsplit(made.url).path, made.headers, content)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("path", POSTS)
def test_no_request_breaks_the_server(
    endpoint: Endpoint, document: Any, path: str, mode: GenerationMode
) -> None:
    """An answer, or an error that is the client's, always with its reason."""
    seen: Counter[int] = Counter()

    @ROUGHLY
    @given(document[path]["POST"].as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        reply = send(endpoint, case)
        seen[reply.status] += 1
        assert reply.status in {200, 400, 404, 409, 413}, reply.body
        if reply.status != 200:
            assert json.loads(reply.body)["error"]

    check()
    assert seen.total() >= 50


def test_rows_that_fit_the_document_are_answered(endpoint: Endpoint, document: Any) -> None:
    """In every format: never refused, never failed, and the same predictions in all of them."""
    answered: Counter[str] = Counter()

    @ROUGHLY
    @given(document[INVOCATIONS]["POST"].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def check(case: Any) -> None:
        if case.media_type != "application/json" or not isinstance(case.body, dict):
            return
        (format_,) = set(case.body) - {"params"}
        if format_ not in {"dataframe_records", "instances"}:
            return
        reply = endpoint.handle("POST", INVOCATIONS, {}, json.dumps(case.body).encode())
        assert reply.status == 200, reply.body
        signature = endpoint.table().lines[LINE].route.champion.loaded.signature  # type: ignore[union-attr]
        v2 = json.dumps(infer_example(signature, case.body[format_])).encode()
        other = endpoint.handle("POST", INFER, {}, v2)
        assert other.status == 200, other.body
        predictions = json.loads(reply.body)["predictions"]
        assert json.loads(other.body)["outputs"][0]["data"] == predictions
        answered[format_] += 1

    check()
    assert answered.total() >= 5


VALID = {
    INFER: json.dumps(v2_body([ROW])).encode(),
    INVOCATIONS: json.dumps({"dataframe_records": [ROW]}).encode(),
    f"/models/{LINE}/labels": json.dumps({"labels": [{"request_id": "r", "label": 1}]}).encode(),
    f"/models/{LINE}/rewards": json.dumps({"request_id": "r", "reward": 0.5}).encode(),
    f"/models/{LINE}/kill-switch": json.dumps(
        {"engaged": False, "by": "ada", "reason": "mended"}
    ).encode(),
}


@pytest.mark.parametrize("path", VALID)
def test_a_body_with_a_few_other_bytes_breaks_nothing(endpoint: Endpoint, path: str) -> None:
    """Nearly right is where a reader slips: cut, doubled and overwritten pieces, 10,000 of them."""
    before = endpoint.handle("POST", INFER, {}, VALID[INFER])
    valid = VALID[path]
    positions = st.integers(0, len(valid))

    @settings(ROUGHLY, max_examples=2000)
    @given(st.lists(st.tuples(positions, positions, st.binary(max_size=4)), min_size=1, max_size=3))
    def check(edits: list[tuple[int, int, bytes]]) -> None:
        body = valid
        for start, length, piece in edits:
            body = body[:start] + piece + body[start + length % 8 :]
        reply = endpoint.handle("POST", path, {}, body)
        assert reply.status in {200, 400, 409}, (reply.body, body)

    check()
    after = endpoint.handle("POST", INFER, {}, VALID[INFER])
    assert json.loads(after.body)["outputs"] == json.loads(before.body)["outputs"]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"inputs":[', b'{"inputs":[{"data":['])
def test_deep_nesting_is_a_bad_request(endpoint: Endpoint, path: str, opening: bytes) -> None:
    """Two megabytes of brackets: 400, not a full stack."""
    body = opening * (2 * 1024 * 1024 // len(opening))
    reply = endpoint.handle("POST", path.replace("{version}", "1"), {}, body)
    assert reply.status == 400, reply.body
    closed = opening + b"[" * 900 + b"]" * 900
    assert endpoint.handle("POST", path.replace("{version}", "1"), {}, closed).status == 400
