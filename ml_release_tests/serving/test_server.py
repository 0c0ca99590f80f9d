"""Server process: loopback only, one port, clean start, clean stop, real HTTP."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from ml_release.errors import InputError
from ml_release.serving.app import MAX_BODY_BYTES
from ml_release.serving.server import Running, serve
from ml_release_tests.serving.world import LINE, ROOT, ROW, START_SECONDS, World, v2_body

if TYPE_CHECKING:
    from collections.abc import Iterator

INFER = f"/v2/models/{LINE}/infer"
JSON = {"content-type": "application/json"}


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    """A client of a server in a thread of this process."""
    ready = threading.Event()
    running: list[Running] = []

    def on_ready(server: Running) -> None:
        running.append(server)
        ready.set()

    thread = threading.Thread(
        target=serve, args=(world.settings,), kwargs={"port": 0, "on_ready": on_ready}
    )
    thread.start()
    assert ready.wait(START_SECONDS)
    try:
        with httpx.Client(base_url=running[0].url, trust_env=False) as client:
            yield client
    finally:
        running[0].stop()
        thread.join(START_SECONDS)
        assert not thread.is_alive()


def test_predictions_labels_and_pages_travel_over_http(client: httpx.Client, world: World) -> None:
    """Status, headers and bodies arrive as the endpoint made them."""
    answered = client.post(INFER, json=v2_body([ROW]), headers={"x-request-id": "mine"})
    assert answered.status_code == 200
    assert answered.headers["x-request-id"] == "mine"
    assert answered.headers["x-model-version"] == "1"
    label = {"labels": [{"request_id": "mine", "label": 1}]}
    assert client.post(f"/models/{LINE}/labels", json=label).json() == {"accepted": 1}
    assert client.get("/status").json()["lines"][LINE]["requests"]["labels"] == 1
    assert "text/html" in client.get("/").headers["content-type"]
    assert client.get("/nothing").json()["error"].startswith("path '/nothing'")
    assert client.get(INFER).headers["allow"] == "POST"
    assert world.logged()["request_id"].tolist() == ["mine"]


def test_a_body_has_to_be_json_and_within_the_limit(client: httpx.Client) -> None:
    """415 for another type or encoding, 413 for a longer body, also without a stated length."""
    body = json.dumps(v2_body([ROW])).encode()
    padded = body + b" " * (MAX_BODY_BYTES - len(body))

    def pieces() -> Iterator[bytes]:
        yield from (padded[i : i + 65_536] for i in range(0, len(padded), 65_536))
        yield b" "

    text = {"content-type": "text/csv"}
    packed = {**JSON, "content-encoding": "br"}
    assert client.post(INFER, content=body, headers=text).status_code == 415
    assert client.post(INFER, content=body, headers=packed).status_code == 415
    assert client.post(INFER, content=body).status_code == 200
    octets = {"content-type": "application/octet-stream"}
    assert client.post(INFER, content=body, headers=octets).status_code == 200
    zipped = {**JSON, "content-encoding": "gzip"}
    assert client.post(INFER, content=gzip.compress(padded), headers=zipped).status_code == 200
    bomb = gzip.compress(padded + b" ")
    assert client.post(INFER, content=bomb, headers=zipped).status_code == 413
    assert client.post(INFER, content=padded, headers=JSON).status_code == 200
    assert client.post(INFER, content=padded + b" ", headers=JSON).status_code == 413
    assert client.post(INFER, content=pieces(), headers=JSON).status_code == 413


def test_a_header_that_is_no_text_is_as_good_as_absent(client: httpx.Client) -> None:
    """Bytes beyond ASCII in a request id neither break the server nor come back."""
    headers = {b"x-request-id": b"\xff\xfe", b"content-type": b"application/json"}
    answered = client.post(INFER, content=json.dumps(v2_body([ROW])), headers=headers)
    assert answered.status_code == 200
    assert len(answered.headers["x-request-id"]) == 36


def test_an_address_that_others_can_reach_is_refused(world: World) -> None:
    """Before anything is loaded or listened on."""
    with pytest.raises(InputError, match="expected a loopback address"):
        serve(world.settings, host="0.0.0.0", port=0)  # noqa: S104


def test_a_taken_port_is_one_clear_error(world: World) -> None:
    """Exit code 2, one line that names the port, also beside another server of ours."""
    with world.server() as (url, _):
        port = url.rsplit(":", 1)[1]
        done = subprocess.run(
            world.command("--port", port),
            env=world.environ(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
        )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"port {port} on 127.0.0.1: expected a free port")
    assert done.stderr.count("\n") == 1


def test_a_server_stops_when_it_is_asked_to(world: World) -> None:
    """SIGTERM ends it with exit code 0, and its port is free at once."""
    with world.server() as (url, process):
        assert httpx.get(f"{url}/v2/health/ready", trust_env=False).status_code == 200
        process.terminate()
        process.communicate(timeout=START_SECONDS)
        assert process.returncode == 0
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", int(url.rsplit(":", 1)[1])))
