"""A server process as it is operated: tokens, TLS, draining, logs."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from ml_release.adapters.http_endpoint import HttpEndpoint, trusting
from ml_release.serving.token_file import add_token
from ml_release_tests.serving.certificates import make_certificate
from ml_release_tests.serving.load import Load
from ml_release_tests.serving.world import LINE, ROOT, ROW, START_SECONDS, World, v2_body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INFER = f"/v2/models/{LINE}/infer"
READY = "/v2/health/ready"


@dataclass
class Guarded:
    """A server with tokens and TLS, the token of one client and that of another line's."""

    base: str
    token: str
    far: str
    certificate: Path
    process: subprocess.Popen[str]

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    def client(self) -> httpx.Client:
        trust = trusting(self.certificate)
        return httpx.Client(base_url=self.base, verify=trust, trust_env=False)


@pytest.fixture
def guarded(world: World, tmp_path: Path) -> Iterator[Guarded]:
    """One token for every line, one for another line."""
    certificate, key = make_certificate(tmp_path / "tls", datetime.now(tz=UTC))
    tokens = tmp_path / "tokens.jsonl"
    token = add_token(tokens, name="shop", scopes=["predict"])
    far = add_token(tokens, name="far", scopes=["predict"], lines=["far_line"])
    settings = {
        "ML_RELEASE_TOKENS": str(tokens),
        "ML_RELEASE_TLS_CERT": str(certificate),
        "ML_RELEASE_TLS_KEY": str(key),
        "ML_RELEASE_ACCESS_LOG": "true",
    }
    with world.server(**settings) as (url, process):
        base = f"https://127.0.0.1:{urlsplit(url).port}"
        yield Guarded(base=base, token=token, far=far, certificate=certificate, process=process)


def test_with_tokens_only_their_holders_are_answered(guarded: Guarded) -> None:
    """Health is open; the log names the token, and shows neither it nor a feature."""
    with guarded.client() as client:
        assert client.get(READY).status_code == 200
        asked = client.post(INFER, json=v2_body([ROW]))
        assert (asked.status_code, asked.headers["www-authenticate"][:6]) == (401, "Bearer")
        answered = client.post(INFER, json=v2_body([ROW]), headers=guarded.bearer)
        assert answered.status_code == 200
        label = {"labels": [{"request_id": "mine", "label": 1}]}
        told = client.post(f"/models/{LINE}/labels", json=label, headers=guarded.bearer)
        assert told.status_code == 403
        assert client.get("/status").status_code == 401
        assert client.get("/", auth=httpx.BasicAuth("me", guarded.token)).status_code == 200
        scraped = client.get("/metrics", headers=guarded.bearer).text
    assert 'ml_release_token_refusals_total{reason="missing"} 2.0' in scraped
    rejected = f'{{line="{LINE}",reason="not_allowed",route="labels"}} 1.0'
    assert f"ml_release_rejected_total{rejected}" in scraped
    guarded.process.terminate()
    _, log = guarded.process.communicate(timeout=START_SECONDS)
    lines = [json.loads(line) for line in log.splitlines()]
    seen = [line for line in lines if line["message"] == "request" and line.get("status") == 200]
    first = next(line for line in seen if line["path"] == "/v2/models/{line}/infer")
    assert first["token"] == "shop"
    assert (first["line"], first["version"], first["variant"]) == (LINE, "1", "champion")
    assert first["request_id"] == answered.headers["x-request-id"]
    assert first["latency_ms"] > 0
    assert guarded.token not in log
    assert "UA" not in log


def test_our_own_commands_bring_their_token_and_trust_the_certificate(guarded: Guarded) -> None:
    """As replay and demo do; without the certificate nobody trusts the server."""
    endpoint = HttpEndpoint(guarded.base, token=guarded.token, certificate=guarded.certificate)
    body = json.dumps({"dataframe_records": [ROW]}).encode()
    now = datetime.now(tz=UTC).isoformat()
    status, _ = endpoint.invoke(LINE, body, request_id="cli", event_time=now)
    endpoint.close()
    assert status == 200
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(guarded.base + READY, trust_env=False)


def test_an_address_that_names_no_line_is_that_of_the_line_it_means(guarded: Guarded) -> None:
    """A token for another line opens MLflow's short address no more than the long one."""
    rows = {"dataframe_records": [ROW]}
    with guarded.client() as client:
        for path in ("/invocations", f"/models/{LINE}/invocations"):
            far = {"authorization": f"Bearer {guarded.far}"}
            assert client.post(path, json=rows, headers=far).status_code == 403
            assert client.post(path, json=rows, headers=guarded.bearer).status_code == 200


def test_with_tls_nothing_is_said_in_the_clear(guarded: Guarded) -> None:
    """A request without TLS gets no HTTP answer."""
    plain = http.client.HTTPConnection(urlsplit(guarded.base).netloc, timeout=5)
    plain.request("GET", READY)
    with pytest.raises((http.client.HTTPException, OSError)):
        plain.getresponse()
    plain.close()


def test_a_server_that_drains_says_so_and_fails_nobody(world: World) -> None:
    """SIGTERM under load: not ready at once, answers until the end, exit code 0, all logged."""
    with world.server(ML_RELEASE_DRAIN_SECONDS="3") as (url, process):
        load = Load(url)
        load.start()
        wait_until(lambda: len(load.acknowledged) > 50)
        process.terminate()
        begun = time.monotonic()
        wait_until(lambda: status_of(url, READY) == 503, seconds=2)
        so_far = len(load.acknowledged)
        wait_until(lambda: len(load.acknowledged) > so_far + 50)
        load.stop()
        _, log = process.communicate(timeout=START_SECONDS)
    assert load.failed == []
    assert process.returncode == 0
    assert time.monotonic() - begun >= 3
    assert json.loads(log.splitlines()[-1])["message"] == "stopped"
    told = sorted(answer.request_id for answer in load.acknowledged)
    assert sorted(world.logged()["request_id"]) == told


def test_a_request_that_has_begun_is_answered_after_the_signal(world: World) -> None:
    """Its body comes after SIGTERM, and the server waits for it."""
    body = json.dumps(v2_body([ROW])).encode()
    with world.server() as (url, process):
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
        connection.putrequest("POST", INFER)
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", str(len(body)))
        connection.endheaders()
        connection.send(body[:10])
        time.sleep(0.3)
        process.terminate()
        time.sleep(0.3)
        connection.send(body[10:])
        answered = connection.getresponse()
        assert answered.status == 200
        assert answered.headers["connection"] == "close"
        answered.read()
        connection.close()
        process.communicate(timeout=START_SECONDS)
        assert process.returncode == 0
    assert len(world.logged()) == 1


def test_settings_that_cannot_be_used_end_the_start_with_one_line(
    world: World, tmp_path: Path
) -> None:
    """Exit code 2 and nothing on standard output."""
    cases = (
        ({"ML_RELEASE_TOKENS": str(tmp_path / "none")}, "tokens file"),
        ({"ML_RELEASE_TLS_CERT": "a", "ML_RELEASE_TLS_KEY": "b"}, "ML_RELEASE_TLS_CERT: expected"),
        ({"ML_RELEASE_TLS_CERT": "a"}, "expected both or neither"),
    )
    for variables, message in cases:
        done = subprocess.run(
            world.command("--port", "0"),
            env={**world.environ(), **variables},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


def status_of(url: str, path: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def wait_until(condition: object, seconds: float = 10.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)
