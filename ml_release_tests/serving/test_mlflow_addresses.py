"""Addresses of `mlflow models serve`: at the root for an only line, and under a line's name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ml_release_tests.serving.test_endpoint import INVOCATIONS, Client
from ml_release_tests.serving.world import LINE, ROW, World

if TYPE_CHECKING:
    from pathlib import Path

BODY = json.dumps({"dataframe_records": [ROW]}).encode()
ROOT_ADDRESSES = [("GET", "/ping"), ("GET", "/health"), ("POST", "/invocations")]


def test_an_only_line_answers_at_the_root(world: World) -> None:
    """The same prediction, under the line's own name in the log."""
    client = Client(world.parts())
    assert (
        client.send("POST", "/invocations", BODY).json
        == client.send("POST", INVOCATIONS, BODY).json
    )
    assert world.logged()["line"].tolist() == [LINE, LINE]


@pytest.mark.parametrize("path", ["/ping", "/health", f"/models/{LINE}/ping"])
def test_a_line_that_answers_is_healthy(world: World, path: str) -> None:
    """200 with an empty line, as MLflow has it."""
    reply = world.parts().endpoint.handle("GET", path, {}, b"")
    assert (reply.status, reply.body) == (200, b"\n")


@pytest.mark.parametrize("path", ["/version", f"/models/{LINE}/version"])
def test_the_version_is_text(world: World, path: str) -> None:
    """That of this server: there is no MLflow in it."""
    reply = world.parts().endpoint.handle("GET", path, {}, b"")
    assert reply.status == 200
    assert dict(reply.headers)["content-type"] == "text/plain"
    assert reply.body


@pytest.mark.parametrize(("method", "path"), ROOT_ADDRESSES)
def test_with_several_lines_the_root_means_none(world: World, method: str, path: str) -> None:
    """404 that names them, and how to name one."""
    world.line = "other_line"
    world.declare(2)
    answered = Client(world.parts()).send(method, path, BODY)
    assert answered.status == 404
    assert "['other_line', 'small_line']" in answered.json["error"]
    assert "/models/{line}/invocations" in answered.json["error"]


@pytest.mark.parametrize(("method", "path"), ROOT_ADDRESSES)
def test_without_lines_there_is_nothing_at_the_root(tmp_path: Path, method: str, path: str) -> None:
    """404, for the same reason."""
    assert Client(World.at(tmp_path).parts()).send(method, path, BODY).status == 404


def test_a_line_without_a_version_is_not_healthy(world: World) -> None:
    """503 with the reason."""
    world.digests.clear()
    world.declare(3)
    answered = Client(world.parts()).get(f"/models/{LINE}/ping")
    assert answered.status == 503
    assert "no artefact" in answered.json["error"]


def test_csv_is_read_by_its_content_type(world: World) -> None:
    """The same rows in another form get the same prediction; as JSON they are refused."""
    client = Client(world.parts())
    csv = f"{','.join(ROW)}\n{','.join(str(value) for value in ROW.values())}\n".encode()
    headers = {"content-type": "Text/CSV; charset=utf-8"}
    assert (
        client.send("POST", INVOCATIONS, csv, headers).json
        == client.send("POST", INVOCATIONS, BODY).json
    )
    assert client.send("POST", INVOCATIONS, csv).status == 400
