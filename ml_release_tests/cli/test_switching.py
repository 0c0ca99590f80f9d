"""The command ``kill-switch`` against a server that runs, and against none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ml_release import cli
from ml_release.adapters.switch_files import SwitchFiles
from ml_release.cli.processes import free_port
from ml_release_tests.cli.test_commands import ml_release
from ml_release_tests.serving.world import LINE, ROW, World, make_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Version 1 is declared; the command finds the home, and no server yet."""
    world = World.at(tmp_path / "home")
    world.publish(1, make_files(1))
    world.declare(1)
    monkeypatch.setenv("ML_RELEASE_HOME", str(world.settings.home))
    monkeypatch.setenv("ML_RELEASE_PORT", str(free_port()))
    monkeypatch.delenv("ML_RELEASE_TOKEN", raising=False)
    return world


def answered(url: str) -> tuple[str, float]:
    """Who answers, and what."""
    reply = httpx.post(
        f"{url}/models/{LINE}/invocations", json={"dataframe_records": [ROW]}, trust_env=False
    )
    return reply.headers["x-variant"], reply.json()["predictions"][0]


def command(position: str, *more: str) -> list[str]:
    return ["kill-switch", LINE, position, "--by", "ada", "--reason", "nonsense", *more]


def test_a_running_server_answers_without_a_model_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And with it again when the switch is released."""
    with world.server() as (url, _):
        monkeypatch.setenv("ML_RELEASE_PORT", url.rsplit(":", 1)[1].strip("/"))
        assert answered(url)[0] == "champion"
        assert ml_release(monkeypatch, *command("on", "--answer", "0.25")) == 0
        assert f"{LINE}: every row is answered with 0.25" in capsys.readouterr().out
        assert answered(url) == ("kill_switch", 0.25)
        assert ml_release(monkeypatch, *command("off", "--json")) == 0
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert (document["answers"], document["by_server"]) == (None, True)
        assert answered(url)[0] == "champion"


def test_without_a_server_the_next_one_holds_it(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said that no server has done it."""
    assert ml_release(monkeypatch, *command("on", "--answer", "0.25")) == 0
    said = capsys.readouterr().out
    assert "no server has done it" in said
    assert "every row is answered with 0.25" in said
    kept = SwitchFiles(world.settings.switches).read(LINE, "production")
    assert kept is not None
    assert (kept.answer, kept.by) == (0.25, "ada")
    with world.server() as (url, _):
        assert answered(url) == ("kill_switch", 0.25)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["kill-switch", LINE, "maybe"], 2, id="neither on nor off"),
        pytest.param(["kill-switch", LINE, "on", "--answer", "0.2"], 2, id="no reason"),
        pytest.param(command("on"), cli.REFUSED, id="no answer to give"),
    ],
)
def test_what_cannot_be_done_is_told(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
) -> None:
    """And no switch is kept."""
    assert ml_release(monkeypatch, *arguments) == code
    assert capsys.readouterr().out == ""
    assert SwitchFiles(world.settings.switches).lines("production") == ()


def test_status_tells_a_pulled_switch_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Right below the name of the line."""
    monkeypatch.setenv("ML_RELEASE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ML_RELEASE_PORT", str(free_port()))
    world = World.at(tmp_path / "home", line="flight_delay")
    world.declare(1, kill_switch={"answer": 0.1, "engaged": True})
    assert ml_release(monkeypatch, "status", "flight_delay") == 0
    second = capsys.readouterr().out.splitlines()[1]
    assert second == "  KILL SWITCH engaged in Git: every row is answered with 0.1"
