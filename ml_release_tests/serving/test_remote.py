"""A server follows what is pushed elsewhere, and a remote that fails disturbs nothing."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from dulwich.repo import Repo

from ml_release.adapters.git_deployments.remote import GitRemote
from ml_release.adapters.git_deployments.shared import SharedDeployments
from ml_release.serving.remote_follower import RemoteFollower
from ml_release.settings import RemoteSettings
from ml_release_tests.declared_by_hand import AT
from ml_release_tests.serving.test_faults import ask, version_of
from ml_release_tests.serving.world import LINE, World

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.remote_state import RemoteState
    from ml_release.serving.server import Parts


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    root = tmp_path / "bare"
    root.mkdir()
    Repo.init_bare(str(root)).close()
    return root


@pytest.fixture
def shared(world: World, bare: Path) -> World:
    """The world's deployments have a remote that knows them, and another clone of it."""
    world.settings = replace(
        world.settings, remote=RemoteSettings(address=str(bare), fetch_seconds=0.1)
    )
    remote(world).sync()
    return world


def remote(world: World, root: Path | None = None) -> GitRemote:
    assert world.settings.remote is not None
    return GitRemote(
        root or world.settings.deployments,
        world.settings.remote.address,
        branch="main",
        now=lambda: AT,
    )


def declare_elsewhere(world: World, number: int) -> str:
    """Another machine with the same key declares a version and pushes."""
    here = world.settings.deployments
    other = World.at(world.settings.home / "elsewhere")
    other.digests = world.digests
    there = remote(world, other.settings.deployments)
    there.pull()
    local = type(world.deployments)(other.settings.deployments, world.deployments._seals)
    standing = local.read(LINE, "production")
    assert standing is not None
    assert here != other.settings.deployments
    declared = standing.state.model_copy(
        update={"variants": (world.variant(number),), "release": "elsewhere"}
    )
    return (
        SharedDeployments(local, there, goes_on_alone=False)
        .declare(declared, expected_commit=standing.commit, trailers={"Actor": "they"}, at=AT)
        .commit
    )


def status(parts: Parts) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(parts.endpoint.handle("GET", "/status", {}, b"").body)
    return found


def test_a_push_elsewhere_is_served(shared: World) -> None:
    """By the next look at the remote and the next pass over the repository."""
    parts = shared.parts()
    assert parts.follower is not None
    commit = declare_elsewhere(shared, 2)
    parts.reconciler.reconcile()
    assert version_of(ask(parts)) == "1"
    parts.follower.follow()
    parts.reconciler.reconcile()
    assert version_of(ask(parts)) == "2"
    assert dict(ask(parts).headers)["x-route-commit"] == commit
    assert status(parts)["notes"] == []


def test_a_remote_that_is_gone_disturbs_nothing_and_is_noted(shared: World, bare: Path) -> None:
    """A note, no problem: the server is as ready as before, and recovers by itself."""
    parts = shared.parts()
    assert parts.follower is not None
    moved = bare.rename(bare.with_name("gone"))
    parts.follower.follow()
    parts.reconciler.reconcile()
    assert version_of(ask(parts)) == "1"
    (note,) = status(parts)["notes"]
    assert f"{bare} is unreachable since 2" in note
    assert status(parts)["problems"] == []
    assert status(parts)["ready"] is True
    metrics = parts.endpoint.handle("GET", "/metrics", {}, b"").body.decode()
    assert "ml_release_notes 1" in metrics
    page = parts.endpoint.handle("GET", "/", {"accept": "text/html"}, b"").body.decode()
    assert '<p class="note">deployments: ' in page
    moved.rename(bare)
    parts.follower.follow()
    assert status(parts)["notes"] == []


def test_what_diverged_goes_on_to_serve_what_is_here(shared: World) -> None:
    """And says which commits stand where."""
    parts = shared.parts()
    assert parts.follower is not None
    theirs = declare_elsewhere(shared, 2)
    mine = shared.declare(1, withdrawn=(9,)).commit
    parts.follower.follow()
    parts.reconciler.reconcile()
    assert dict(ask(parts).headers)["x-route-commit"] == mine
    (note,) = status(parts)["notes"]
    assert f"up to {mine[:12]} are only here, 1 up to {theirs[:12]} only there" in note


def test_the_thread_looks_again_and_again(shared: World) -> None:
    """Until it is stopped, also after a look that broke."""
    looks: list[int] = []

    class Breaking:
        def pull(self) -> RemoteState:
            looks.append(1)
            if len(looks) == 1:
                message = "no room"
                raise OSError(message)
            return remote(shared).pull()

    follower = RemoteFollower(Breaking(), seconds=0.01)
    follower.follow()
    assert follower.notes == ("deployments: the remote is not followed: OSError: no room",)
    follower.start()
    deadline = time.monotonic() + 20
    while len(looks) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    follower.stop()
    assert len(looks) >= 4
    assert not follower.notes


def test_a_server_with_nothing_but_a_remote_serves_what_is_there(
    shared: World, tmp_path: Path
) -> None:
    """A new machine with the models and the key: the first answer is the declared version."""
    shared.settings.deployments.rename(tmp_path / "moved")
    shared.more = {
        "ML_RELEASE_DEPLOYMENTS_REMOTE": str(tmp_path / "bare"),
        "ML_RELEASE_DEPLOYMENTS_FETCH_SECONDS": "0.1",
    }
    with shared.server() as (url, _):
        found = httpx.get(f"{url}/status", trust_env=False).json()
        assert found["ready"] is True
        assert found["lines"][LINE]["serving"]["variants"][0]["version"] == 1
        commit = declare_elsewhere(shared, 2)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = httpx.get(f"{url}/status", trust_env=False).json()
            if found["lines"][LINE]["serving"]["commit"] == commit:
                break
            time.sleep(0.1)
        assert found["lines"][LINE]["serving"]["commit"] == commit
