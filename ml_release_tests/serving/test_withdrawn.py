"""A withdrawn version is asked by nobody any more, whatever automation and hands do afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release.domain.deployment import Shadow
from ml_release.domain.experiment import Arm, Experiment
from ml_release.errors import MlReleaseError
from ml_release_tests.declared_by_hand import commit_by_hand, edit_by_hand, file_of
from ml_release_tests.serving.test_faults import ask, version_of
from ml_release_tests.serving.world import LINE, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.serving.server import Parts

BOTH = Experiment(
    name="e",
    salt="s",
    share_percent=50.0,
    arms=(Arm(version=1, weight_percent=50.0), Arm(version=2, weight_percent=50.0)),
)
SERVES_2: dict[str, Callable[[World], object]] = {
    "champion": lambda w: w.declare(2),
    "canary": lambda w: w.declare(w.variant(1, weight=50), w.variant(2, role="canary", weight=50)),
    "arm": lambda w: w.declare(
        w.variant(1), w.variant(2, role="treatment", weight=0), experiment=BOTH
    ),
    "shadow": lambda w: w.declare(
        1, shadows=(Shadow(version=2, model_digest=w.digests[2], sample_percent=100.0),)
    ),
}


@pytest.mark.parametrize("place", list(SERVES_2))
@pytest.mark.parametrize("starts", [False, True], ids=["running", "starting"])
def test_an_old_file_with_a_withdrawn_version_is_refused(
    world: World, place: str, starts: bool
) -> None:
    """What was declared last goes on to serve, under its own commit, and the server says why."""
    SERVES_2[place](world)
    old = file_of(world.settings.deployments, LINE)
    back = world.declare(1, withdrawn=(2,))
    parts = None if starts else world.parts()
    commit = commit_by_hand(world.settings.deployments, LINE, old, message="Revert")
    parts = parts or world.parts()
    parts.reconciler.reconcile()
    replies = [ask(parts) for _ in range(5)]
    assert {version_of(reply) for reply in replies} == {"1"}
    assert dict(replies[0].headers)["x-route-commit"] == back.commit
    line = parts.reconciler.table.lines[LINE]
    assert line.route is not None
    assert line.route.shadows == ()
    (problem,) = line.problems
    assert f"at commit {commit[:12]}" in problem
    assert "it serves version 2, which is withdrawn" in problem


def test_what_is_lifted_and_released_again_serves(world: World) -> None:
    """By a new declaration; not by the file from before."""
    world.declare(2)
    old = file_of(world.settings.deployments, LINE)
    world.declare(1, withdrawn=(2,))
    world.declare(1, lifted=(2,))
    commit_by_hand(world.settings.deployments, LINE, old)
    parts = world.parts()
    assert version_of(ask(parts)) == "1"
    world.declare(2, lifted=(2,))
    parts.reconciler.reconcile()
    assert version_of(ask(parts)) == "2"


def test_fifty_ticks_after_a_rollback_the_withdrawn_version_has_no_request(world: World) -> None:
    """Promotions, canaries, shadows and experiments of it, old files and edits: each in turn."""
    world.declare(2)
    old = file_of(world.settings.deployments, LINE)
    world.declare(1, withdrawn=(2,))
    good = file_of(world.settings.deployments, LINE)
    parts = world.parts()
    root = world.settings.deployments
    hands: list[Callable[[World], object]] = [
        lambda _: commit_by_hand(root, LINE, old),
        lambda _: edit_by_hand(root, LINE, lambda text: text.replace("- 2", "- 7", 1) + "\n"),
        lambda _: commit_by_hand(root, LINE, good),
        lambda w: w.declare(1, reason="a kill switch, a settled watch"),
    ]
    acts = [*SERVES_2.values(), *hands]
    refused = 0
    for tick in range(50):
        try:
            acts[tick % len(acts)](world)
        except MlReleaseError:
            refused += 1
        parts.reconciler.reconcile()
        _asked(parts)
    assert refused >= 4 * (50 // len(acts))
    final = World.at(world.settings.home).parts()
    assert version_of(ask(final)) == "1"


def _asked(parts: Parts) -> None:
    for _ in range(3):
        reply = ask(parts)
        assert (reply.status, version_of(reply)) == (200, "1")
    route = parts.reconciler.table.lines[LINE].route
    assert route is not None
    assert set(route.answering) == {1}
    assert route.shadows == ()
