"""Declared state that was edited by hand: what serves goes on to serve, and the server says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.signing_keys import PUBLIC_KEY
from ml_release_tests.adapters.test_seals import EDITS
from ml_release_tests.declared_by_hand import (
    AT,
    commit_by_hand,
    edit_by_hand,
    file_of,
    git_deployments,
)
from ml_release_tests.domain.test_deployment import state
from ml_release_tests.serving.test_faults import ask, version_of
from ml_release_tests.serving.world import LINE, World

if TYPE_CHECKING:
    from ml_release.serving.server import Parts

HAND = {
    "version": lambda text: text.replace("version: 2\n", "version: 1\n", 1),
    "digest": lambda text: text.replace("sha256:", "sha256:0", 1),
    "withdrawn emptied": lambda text: text.replace("withdrawn:\n    - 9", "withdrawn: []"),
    "seal removed": EDITS["seal removed"][0],
    "annotation garbage": EDITS["annotation garbage"][0],
    "unreadable": EDITS["unreadable"][0],
    "no yaml": EDITS["no yaml"][0],
    "bytes": lambda _: "\x00\x01",
}


@pytest.fixture
def edited_world(world: World) -> World:
    """Version 2 is declared with version 9 withdrawn."""
    world.declare(2, withdrawn=(9,))
    return world


@pytest.mark.parametrize("name", list(HAND))
@pytest.mark.parametrize("starts", [False, True], ids=["running", "starting"])
def test_what_was_sealed_last_serves(edited_world: World, name: str, starts: bool) -> None:
    """Under its own commit; the problem stands in the table, the status and the metrics."""
    world = edited_world
    sealed = world.deployments.read(LINE, "production")
    assert sealed is not None
    parts = None if starts else world.parts()
    commit = edit_by_hand(world.settings.deployments, LINE, HAND[name])
    parts = parts or world.parts()
    parts.reconciler.reconcile()
    reply = ask(parts)
    assert (reply.status, version_of(reply)) == (200, "2")
    assert dict(reply.headers)["x-route-commit"] == sealed.commit
    line = parts.reconciler.table.lines[LINE]
    assert line.declared_commit == commit
    (problem,) = line.problems
    assert f"at commit {commit[:12]}" in problem
    assert f"Commit {sealed.commit[:12]}, the last one that is sealed, serves instead." in problem
    status = json.loads(parts.endpoint.handle("GET", "/status", {}, b"").body)
    assert status["lines"][LINE]["problems"] == [problem]
    metrics = parts.endpoint.handle("GET", "/metrics", {}, b"").body.decode()
    assert f'ml_release_line_problems{{line="{LINE}"}} 1' in metrics


def test_a_sealed_declaration_after_the_edit_serves(edited_world: World) -> None:
    """And the problem is gone."""
    world = edited_world
    parts = world.parts()
    edit_by_hand(world.settings.deployments, LINE, HAND["version"])
    parts.reconciler.reconcile()
    world.declare(1)
    parts.reconciler.reconcile()
    assert version_of(ask(parts)) == "1"
    assert parts.reconciler.table.lines[LINE].problems == ()


def test_a_revert_by_hand_serves(edited_world: World) -> None:
    """Git revert gives back a file that is sealed, byte for byte."""
    world = edited_world
    text = file_of(world.settings.deployments, LINE)
    world.declare(1)
    parts = world.parts()
    assert version_of(ask(parts)) == "1"
    commit = commit_by_hand(world.settings.deployments, LINE, text, message="Revert")
    parts.reconciler.reconcile()
    assert version_of(ask(parts)) == "2"
    assert dict(ask(parts).headers)["x-route-commit"] == commit
    assert parts.reconciler.table.lines[LINE].problems == ()


def test_the_seal_of_a_key_that_is_not_trusted_serves_nothing(
    edited_world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Another home's key seals its declarations, and not ours."""
    world = edited_world
    parts = world.parts()
    other = tmp_path_factory.mktemp("other")
    git_deployments(other).declare(state(line=LINE), expected_commit=None, trailers={}, at=AT)
    assert (other / "keys" / PUBLIC_KEY).exists()
    commit_by_hand(world.settings.deployments, LINE, file_of(other / "deployments", LINE))
    parts.reconciler.reconcile()
    assert version_of(ask(parts)) == "2"
    assert "of a trusted key" in parts.reconciler.table.lines[LINE].problems[0]


def test_a_repository_from_before_seals_serves_nothing_and_says_what_to_do(world: World) -> None:
    """One clear error, until a named person has adopted it."""
    text = file_of(world.settings.deployments, LINE)
    start, _, rest = text.partition("  annotations:\n")
    world.settings.deployments.rename(world.settings.home / "moved")
    world.line = "other_line"
    world.declare(1)
    commit_by_hand(world.settings.deployments, LINE, start + rest.partition("\n")[2])
    parts: Parts = world.parts()
    line = parts.reconciler.table.lines[LINE]
    assert line.route is None
    (problem,) = line.problems
    assert f"ml-release restore {LINE} --adopt COMMIT" in problem
    assert ask(parts).status == 503
