"""What was edited by hand is not built on: refused, rolled back, restored, said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ml_release.domain.kill_switch import Pulled
from ml_release.errors import NotFoundError, RefusedError
from ml_release.workflows.kill_switch import adopt_kill_switch
from ml_release.workflows.promotion import Request
from ml_release.workflows.restoring import restore
from ml_release.workflows.status import line_status
from ml_release_tests.declared_by_hand import (
    commit_by_hand,
    edit_by_hand,
    file_of,
    git_deployments,
    replacing,
)
from ml_release_tests.domain.test_deployment import state
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_promotion import candidate_version

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.workflows.promotion import Moved
    from ml_release.workflows.status import LineStatus
    from ml_release_tests.small_line import House

LINE = steps.LINE
REQUEST = Request(by="ada", reason="somebody edited it", run_id="run-9")


@pytest.fixture
def edited(serving: House, tmp_path: Path) -> House:
    """The serving house with its declaration in Git, in which version 1 became version 7."""
    kept = serving.deployments.read(LINE, "production")
    assert kept is not None
    serving.deployments = git_deployments(tmp_path)  # type: ignore[assignment]
    serving.deployments.declare(
        kept.state, expected_commit=None, trailers={"Actor": "a"}, at=serving.clock.now()
    )
    change(tmp_path)
    return serving


def change(home: Path, old: str = "version: 1\n", new: str = "version: 7\n") -> str:
    return edit_by_hand(home / "deployments", LINE, replacing(old, new))


def restored(house: House, adopt: str | None = None) -> Moved:
    return restore(
        house.line,
        environment="production",
        request=REQUEST,
        deployments=house.deployments,
        clock=house.clock,
        adopt=adopt,
    )


def status(house: House) -> LineStatus:
    return line_status(
        house.line,
        environment="production",
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        deployments=house.deployments,
        switches=house.switches,
        workplace=house.workplace,
        now=house.clock.now(),
    )


def commits(house: House) -> list[str]:
    return [one.commit for one in house.deployments.history(LINE, "production")]


def test_a_promotion_does_not_build_on_what_was_edited(edited: House, tmp_path: Path) -> None:
    """It names the commit, the field with both values, and what to do; nothing is declared."""
    restored(edited)
    candidate_version(edited)
    change(tmp_path)
    before = commits(edited)
    with pytest.raises(RefusedError) as caught:
        steps.declare(edited)
    said = str(caught.value)
    assert f"at commit {before[-1][:12]}: it is not what was sealed" in said
    assert "variants.0.version: 1, now 7" in said
    assert f"Roll back, or run `ml-release restore {LINE} --by WHO --reason WHY`" in said
    assert commits(edited) == before


def test_restoring_declares_the_last_sealed_state_once(edited: House) -> None:
    """A new commit by a named person; asked again it changes nothing."""
    first, edit = commits(edited)
    moved = restored(edited)
    found = edited.deployments.read(LINE, "production")
    assert found is not None
    assert moved.changed
    assert found == moved.declaration
    assert (found.seal_problem, found.actor, found.reason) == ("", "ada", "somebody edited it")
    assert found.state == edited.deployments.history(LINE, "production")[0].state
    assert commits(edited) == [first, edit, found.commit]
    assert restored(edited).changed is False
    assert commits(edited) == [first, edit, found.commit]
    assert status(edited).declared_problem is None


@pytest.mark.parametrize("number", [None, 1])
def test_a_rollback_with_nowhere_to_go_restores_the_sealed_state(
    edited: House, number: int | None
) -> None:
    """The emergency command always ends in a declaration that counts."""
    moved = steps.go_back(edited, number)
    assert moved.changed
    assert moved.declaration.state.champion.version == 1
    assert moved.declaration.state.withdrawn == ()
    assert moved.declaration.seal_problem == ""
    assert steps.go_back(edited, 1).changed is False


def test_a_rollback_goes_by_sealed_declarations_alone(edited: House, tmp_path: Path) -> None:
    """Version 2 answers, so version 1 is restored and version 2 withdrawn, whatever was edited."""
    restored(edited)
    version = candidate_version(edited)
    steps.declare(edited, version)
    change(tmp_path, f"version: {version}\n", "version: 7\n")
    moved = steps.go_back(edited)
    assert moved.declaration.state.champion.version == 1
    assert moved.declaration.state.withdrawn == (version,)
    assert moved.declaration.seal_problem == ""
    emptied = change(tmp_path, f"withdrawn:\n    - {version}", "withdrawn: []")
    again = steps.go_back(edited)
    assert commits(edited)[-2] == emptied
    assert again.changed
    assert again.declaration.state.withdrawn == (version,)


def test_a_kill_switch_is_declared_without_the_edit(edited: House) -> None:
    """It is put into the last sealed state."""
    pulled = Pulled(
        engaged=True, answer=0.2, by="ada", reason="bad", at=datetime(2013, 5, 1, tzinfo=UTC)
    )
    edited.switches.pull(LINE, "production", pulled)
    adopted = adopt_kill_switch(
        edited.line,
        environment="production",
        run_id="r",
        switches=edited.switches,
        deployments=edited.deployments,
        clock=edited.clock,
    )
    assert adopted.changed
    assert adopted.declaration is not None
    assert adopted.declaration.state.champion.version == 1
    assert adopted.declaration.state.kill_switch is not None
    assert edited.deployments.read(LINE, "production") == adopted.declaration


def test_status_tells_what_counts_and_what_was_edited(edited: House) -> None:
    """The version that serves is the sealed one."""
    found = status(edited)
    assert found.serving == 1
    assert found.declared_problem is not None
    assert "variants.0.version: 1, now 7" in found.declared_problem
    assert found.waits_for.startswith("a sealed declaration")


def test_status_names_a_revert(edited: House, tmp_path: Path) -> None:
    """It counts, and nobody takes it for a declaration of the engine."""
    first = file_of(tmp_path / "deployments", LINE).replace("version: 7\n", "version: 1\n", 1)
    commit = commit_by_hand(tmp_path / "deployments", LINE, first, message='Revert "by hand"')
    found = status(edited)
    assert (found.serving, found.commit) == (1, commit)
    assert found.declared_problem is not None
    assert f"put the declaration of commit {commits(edited)[0][:12]} back" in found.declared_problem


def test_with_nothing_declared_there_is_nothing_to_restore(house: House) -> None:
    """Not an empty state."""
    with pytest.raises(NotFoundError, match="expected something declared"):
        restored(house)


@pytest.fixture
def unsealed(edited: House, tmp_path: Path) -> House:
    """As a repository from before declarations were sealed."""
    text = file_of(tmp_path / "deployments", LINE)
    edited.deployments = git_deployments(tmp_path / "old")  # type: ignore[assignment]
    edited.deployments.declare(
        state(line="other"), expected_commit=None, trailers={}, at=edited.clock.now()
    )
    start, _, rest = text.partition("  annotations:\n")
    without = start + rest.partition("\n")[2]
    commit_by_hand(tmp_path / "old" / "deployments", LINE, without)
    return edited


def test_what_was_never_sealed_is_adopted_by_a_named_person(unsealed: House) -> None:
    """By the commit they have read, and by no other; every other act says so."""
    (commit,) = commits(unsealed)
    for act in (restored, steps.go_back, steps.declare):
        with pytest.raises(RefusedError, match="--adopt COMMIT"):
            act(unsealed)
    for wrong in ("0" * 12, commit[:3]):
        with pytest.raises(RefusedError, match=f"the present declaration, commit {commit}"):
            restored(unsealed, adopt=wrong)
    assert commits(unsealed) == [commit]
    moved = restored(unsealed, adopt=commit[:12])
    assert moved.declaration.seal_problem == ""
    assert unsealed.deployments.read(LINE, "production") == moved.declaration


def test_what_was_edited_is_not_adopted_where_a_sealed_state_exists(edited: House) -> None:
    """That would launder the edit."""
    before = commits(edited)
    with pytest.raises(RefusedError, match=f"but {before[0][:12]} is"):
        restored(edited, adopt=before[-1])
    assert commits(edited) == before


def test_an_old_file_that_lacks_a_withdrawal_is_said_and_declared_again(
    serving: House, tmp_path: Path
) -> None:
    """Version 1 answers by a file from before version 2 was withdrawn, which it stays."""
    kept = serving.deployments.read(LINE, "production")
    assert kept is not None
    git = git_deployments(tmp_path)
    serving.deployments = git  # type: ignore[assignment]
    first = git.declare(kept.state, expected_commit=None, trailers={}, at=serving.clock.now())
    old = file_of(tmp_path / "deployments", LINE)
    git.declare(
        kept.state.model_copy(update={"withdrawn": (2,), "release": "back"}),
        expected_commit=first.commit,
        trailers={},
        at=serving.clock.now(),
    )
    commit_by_hand(tmp_path / "deployments", LINE, old)
    found = status(serving)
    assert (found.serving, found.withdrawn) == (1, (2,))
    assert found.declared_problem is not None
    assert "says nothing of versions 2" in found.declared_problem
    moved = restored(serving)
    assert (moved.changed, moved.declaration.state.withdrawn) == (True, (2,))
    assert status(serving).declared_problem is None
    assert restored(serving).changed is False
