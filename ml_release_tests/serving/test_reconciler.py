"""Reconciler: what is served becomes what is declared, and nothing that fails takes its place."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.online_files import OnlineFiles
from ml_release.domain.artefact import EXAMPLE_FILE, MODEL_FILE, SIGNATURE_FILE
from ml_release.domain.deployment import path_of
from ml_release.domain.identity import digest_hex
from ml_release_tests.serving.world import HISTORY, LINE, World

if TYPE_CHECKING:
    from ml_release.serving.model_table import LineState, Route
    from ml_release.serving.reconciler import Reconciler
    from ml_release.serving.server import Parts


@pytest.fixture
def reconciler(parts: Parts) -> Reconciler:
    parts.reconciler._retry_seconds = 0
    return parts.reconciler


def line_of(reconciler: Reconciler) -> LineState:
    return reconciler.table.lines[LINE]


def route_of(reconciler: Reconciler) -> Route:
    route = line_of(reconciler).route
    assert route is not None
    return route


def served(reconciler: Reconciler) -> int:
    return route_of(reconciler).champion.variant.version


def test_a_new_declaration_is_served(reconciler: Reconciler, world: World) -> None:
    """One pass after the commit the new version answers by that commit."""
    declared = world.declare(2, rollback_target=1)
    reconciler.reconcile()
    assert served(reconciler) == 2
    assert route_of(reconciler).declaration.commit == declared.commit
    assert line_of(reconciler).problems == ()


def test_the_rollback_target_stays_loaded(reconciler: Reconciler, world: World) -> None:
    """Rolling back uses the very model that served before, without reading a file."""
    first = route_of(reconciler).champion.loaded
    world.declare(2, rollback_target=1)
    reconciler.reconcile()
    assert route_of(reconciler).warm is first
    world.declare(1)
    reconciler.reconcile()
    assert route_of(reconciler).champion.loaded is first


def test_what_nothing_refers_to_is_forgotten(reconciler: Reconciler, world: World) -> None:
    """A version that is neither served nor a rollback target is not kept in memory."""
    world.declare(2)
    reconciler.reconcile()
    assert list(reconciler._versions._loaded) == [(LINE, world.digests[2], False)]


def test_without_a_change_nothing_is_replaced(reconciler: Reconciler) -> None:
    """A pass over an unchanged repository leaves the very same table."""
    before = reconciler.table
    reconciler.reconcile()
    assert reconciler.table is before


def test_a_version_that_is_missing_leaves_the_current_one(
    reconciler: Reconciler, world: World
) -> None:
    """The problem is reported with the commit that cannot be served; published, it is."""
    files = world.models.read(world.digests[2])
    folder = world.settings.models / digest_hex(world.digests[2])
    hidden = folder.rename(folder.with_suffix(".away"))
    declared = world.declare(2)
    reconciler.reconcile()
    assert served(reconciler) == 1
    assert line_of(reconciler).declared_commit == declared.commit
    assert "version 2: model" in line_of(reconciler).problems[0]
    hidden.rename(folder)
    reconciler.reconcile()
    assert served(reconciler) == 2
    assert line_of(reconciler).problems == ()
    assert MODEL_FILE in files


def test_a_model_that_was_changed_is_not_served(reconciler: Reconciler, world: World) -> None:
    """One byte more in the model file, and the digest refuses it."""
    folder = world.settings.models / digest_hex(world.digests[2])
    with (folder / MODEL_FILE).open("ab") as file:
        file.write(b"\0")
    world.declare(2)
    reconciler.reconcile()
    assert served(reconciler) == 1
    assert "expected digest" in line_of(reconciler).problems[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({MODEL_FILE: b"\x08no model"}, "cannot be loaded"),
        ({EXAMPLE_FILE: b'{"dataframe_records": [{"distance": 1}]}'}, "missing fields"),
        ({EXAMPLE_FILE: b"{nothing}"}, "does not fit the signature"),
        ({EXAMPLE_FILE: None}, "to warm up with"),
        ({SIGNATURE_FILE: b'{"line": "other", "inputs": [], "output": "p"}'}, "found other"),
        ({SIGNATURE_FILE: b"{}"}, "signature"),
    ],
)
def test_an_artefact_that_cannot_answer_is_not_served(
    reconciler: Reconciler,
    world: World,
    artefacts: dict[int, dict[str, bytes]],
    damage: dict[str, bytes | None],
    message: str,
) -> None:
    """Every version answers its own example before it answers anybody else."""
    files = {**artefacts[2], **damage}
    world.publish(3, {n: c for n, c in files.items() if c is not None})
    world.declare(3)
    reconciler.reconcile()
    assert served(reconciler) == 1
    assert message in line_of(reconciler).problems[0]


def test_a_rollback_is_served_although_its_own_target_is_broken(
    reconciler: Reconciler, world: World
) -> None:
    """What cannot be kept warm is reported, and never in the way."""
    world.declare(2, rollback_target=9)
    reconciler.reconcile()
    assert served(reconciler) == 2
    assert route_of(reconciler).warm is None
    assert "version 9" in line_of(reconciler).problems[0]


def test_a_canary_that_fails_leaves_the_declaration_before(
    reconciler: Reconciler, world: World
) -> None:
    """A declaration is served whole or not at all, as long as there is something to serve."""
    world.declare(world.variant(2, weight=90), world.variant(9, role="canary", weight=10))
    reconciler.reconcile()
    assert served(reconciler) == 1


def test_a_restart_beside_a_broken_canary_serves_the_champion(world: World) -> None:
    """With nothing to fall back on, the champion answers in the place of what is missing."""
    world.declare(world.variant(2, weight=90), world.variant(9, role="canary", weight=10))
    route = route_of(world.parts().reconciler)
    assert {route.answering_for(version).variant.version for version in (2, 9)} == {2}


def test_a_canary_with_other_inputs_is_refused(
    reconciler: Reconciler, world: World, artefacts: dict[int, dict[str, bytes]]
) -> None:
    """A request is decoded before it is known who answers it."""
    signature = json.loads(artefacts[2][SIGNATURE_FILE])
    signature["inputs"][0]["nullable"] = False
    world.publish(3, {**artefacts[2], SIGNATURE_FILE: json.dumps(signature).encode()})
    world.declare(world.variant(1, weight=90), world.variant(3, role="canary", weight=10))
    reconciler.reconcile()
    assert "inputs of the champion" in line_of(reconciler).problems[0]


def test_a_new_history_table_is_used_without_a_declaration(
    reconciler: Reconciler, world: World
) -> None:
    """The file was replaced: the next pass reads it, and the route is otherwise the same."""
    since = route_of(reconciler).since
    world.publish_history(dataclasses.replace(HISTORY, as_of="2013-10-02"))
    reconciler.reconcile()
    history = route_of(reconciler).history
    assert history is not None
    assert history.as_of == "2013-10-02"
    assert route_of(reconciler).since == since


def test_a_broken_history_table_leaves_the_one_before(reconciler: Reconciler, world: World) -> None:
    """It is reported until a good one comes."""
    path = OnlineFiles(world.settings.online).path(LINE)
    path.write_text("{}")
    reconciler.reconcile()
    assert route_of(reconciler).history == HISTORY
    assert "expected a recorded table" in (line_of(reconciler).history_problem or "")
    path.unlink()
    reconciler.reconcile()
    assert route_of(reconciler).history == HISTORY
    assert "cannot be read any more" in (line_of(reconciler).history_problem or "")
    world.publish_history()
    reconciler.reconcile()
    assert line_of(reconciler).history_problem is None


def test_a_repository_that_is_gone_leaves_everything_serving(
    reconciler: Reconciler, world: World
) -> None:
    """Absence of declared state is no declaration that nothing should serve."""
    away = world.settings.deployments.rename(world.settings.home / "away")
    reconciler.reconcile()
    assert served(reconciler) == 1
    assert "found none" in reconciler.table.problems[0]
    away.rename(world.settings.deployments)
    reconciler.reconcile()
    assert reconciler.table.problems == ()


def test_a_declaration_that_cannot_be_read_leaves_the_current_one(
    reconciler: Reconciler, world: World
) -> None:
    """Somebody pushed a file that is no declared state."""
    _push(world, path_of(LINE, "production"), "not: a declaration\n")
    reconciler.reconcile()
    assert served(reconciler) == 1
    assert "expected a ConfigMap" in line_of(reconciler).problems[0]


def test_whatever_a_pass_raises_is_reported_and_survived(
    reconciler: Reconciler, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on; the next pass that works clears the report."""

    def fail(self: object) -> str:
        message = "object not found"
        raise KeyError(message)

    with monkeypatch.context() as patched:
        patched.setattr("ml_release.adapters.git_deployments.GitDeployments.head", fail)
        reconciler.reconcile()
    assert "KeyError" in reconciler.table.problems[0]
    assert served(reconciler) == 1
    reconciler.reconcile()
    assert reconciler.table.problems == ()


def test_the_thread_picks_up_a_declaration_by_itself(parts: Parts, world: World) -> None:
    """Started once, it needs nobody; stopped, it ends."""
    parts.reconciler.start(poll_seconds=0.01)
    try:
        world.declare(2)
        deadline = time.monotonic() + 5
        while served(parts.reconciler) != 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert served(parts.reconciler) == 2
    finally:
        parts.reconciler.stop()


def test_problems_are_tried_again_after_a_pause_only(parts: Parts, world: World) -> None:
    """Within the pause a broken version is not read again."""
    world.declare(9)
    parts.reconciler.reconcile()
    before = parts.reconciler.table
    parts.reconciler.reconcile()
    assert parts.reconciler.table is before


def _push(world: World, path: str, content: str) -> None:
    """Commit a file as somebody with plain git would."""
    work = world.settings.home / "clone"
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=somebody", "-c", "user.email=somebody@localhost")
        subprocess.run(["git", *who, *arguments], check=True, capture_output=True, env=environ)

    git("clone", str(world.settings.deployments), str(work))
    (work / path).write_text(content)
    git("-C", str(work), "commit", "-am", "by hand")
    git("-C", str(work), "push", "origin", "HEAD:main")
