"""Seals on declared states: every edit breaks one, and a repository says so without raising."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.adapters.git_deployments import GitDeployments
from ml_release.adapters.seals import Seals
from ml_release.adapters.signing_keys import PRIVATE_KEY, PUBLIC_KEY, SigningKeys
from ml_release.domain.deployment import (
    SEAL,
    KillSwitch,
    Shadow,
    content_to_seal,
    sealed_from_yaml,
    to_yaml,
)
from ml_release.domain.experiment import Arm, Experiment
from ml_release.errors import InputError
from ml_release_tests.adapters.test_deployments_contract import AT, TRAILERS, declare
from ml_release_tests.declared_by_hand import (
    commit_by_hand,
    edit_by_hand,
    file_of,
    git_deployments,
    replacing,
)
from ml_release_tests.domain.test_deployment import state, variant

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState

LINE = "flight_delay"
DATA = "declared-state.yaml"
RICH = state(
    variant(1, weight_percent=60.0),
    variant(2, role="treatment", weight_percent=40.0),
    rollback_target=variant(3),
    withdrawn=(4, 5),
    shadows=(Shadow(version=6, model_digest="sha256:" + "6" * 64, sample_percent=10.0),),
    experiment=Experiment(
        name="e",
        salt="s",
        share_percent=50.0,
        arms=(Arm(version=1, weight_percent=50.0), Arm(version=2, weight_percent=50.0)),
    ),
    kill_switch=KillSwitch(answer=0.2),
    threshold=0.5,
)


@cache
def seals() -> Seals:
    return Seals(SigningKeys(Path(mkdtemp())))


@cache
def sealed_text() -> str:
    return to_yaml(RICH, seal=seals().seal(content_to_seal(RICH)))


def problem_of(text: str) -> str:
    found = sealed_from_yaml(text, subject="file")
    return seals().problem(found.content, found.seal)


def test_what_was_sealed_is_what_is_read() -> None:
    """Through the file and back, with the content of the state itself."""
    found = sealed_from_yaml(sealed_text(), subject="file")
    assert found.state == RICH
    assert found.content == content_to_seal(RICH)
    assert problem_of(sealed_text()) == ""


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values of a document, also of those that hold others."""
    parts: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        parts = list(document.items())
    elif isinstance(document, list):
        parts = list(enumerate(document))
    own = [path] if path else []
    return own + [found for name, part in parts for found in places(part, (*path, name))]


VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([])
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_edit_of_any_field_breaks_the_seal(data: st.DataObject) -> None:
    """Whatever value takes the place of any other, or is taken away or added."""
    document = yaml.safe_load(sealed_text())
    declared = yaml.safe_load(document["data"][DATA])
    path = data.draw(st.sampled_from(places(declared)))
    parent = declared
    for name in path[:-1]:
        parent = parent[name]
    before = parent[path[-1]]
    act = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if act == "remove":
        del parent[path[-1]]
    elif act == "add" and isinstance(parent, list):
        parent.append(before)
    elif act == "add":
        parent["new"] = data.draw(VALUES)
    else:
        parent[path[-1]] = data.draw(VALUES.filter(lambda v: repr(v) != repr(before)))
    found = yaml.safe_load(document["data"][DATA])
    assert declared != found or repr(declared) != repr(found)
    document["data"][DATA] = yaml.safe_dump(declared)
    content = _content_of(declared)
    seal = document["metadata"]["annotations"][SEAL]
    assert seals().problem(content, seal) != ""


def _content_of(declared: object) -> bytes:
    from ml_release.domain.deployment import _content

    return _content(declared)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_changed_character_of_a_seal_is_no_seal(data: st.DataObject) -> None:
    """It seals nothing, and nobody raises."""
    content = content_to_seal(RICH)
    seal = sealed_from_yaml(sealed_text(), subject="file").seal
    place = data.draw(st.integers(0, len(seal) - 5))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != seal[place]))
    assert seals().problem(content, seal[:place] + other + seal[place + 1 :]) != ""


def test_a_signature_on_anything_else_is_no_seal() -> None:
    """What the key signs as another kind of document does not count as a declared state."""
    content = content_to_seal(RICH)
    bare = content.partition(b"\n")[2]
    assert seals().problem(content, seals().seal(bare)) != ""


def test_a_new_field_with_a_default_leaves_older_seals_good() -> None:
    """The seal is on the words of the file, not on what this release makes of them."""
    minimal = state(variant(1))
    document = yaml.safe_load(to_yaml(minimal))
    declared = yaml.safe_load(document["data"][DATA])
    del declared["withdrawn"]  # as if it had come later
    document["data"][DATA] = yaml.safe_dump(declared)
    seal = seals().seal(_content_of(declared))
    document["metadata"]["annotations"] = {SEAL: seal}
    found = sealed_from_yaml(yaml.safe_dump(document), subject="file")
    assert found.state == minimal
    assert seals().problem(found.content, found.seal) == ""


@pytest.fixture
def git(tmp_path: Path) -> GitDeployments:
    """Version 1, then version 2 with version 9 withdrawn, sealed both."""
    git = git_deployments(tmp_path)
    first = declare(git, state(variant(1)))
    declare(git, state(variant(2), withdrawn=(9,), release="r2"), first.commit)
    return git


def seal_in(text: str) -> str:
    return sealed_from_yaml(text, subject="file").seal


EDITS = {
    "weight and a second variant": (
        replacing("weight_percent: 100.0", "weight_percent: 1.0e+2"),
        None,
    ),
    "version": (replacing("version: 2", "version: 3"), "edited by hand"),
    "withdrawn emptied": (replacing("withdrawn:\n    - 9", "withdrawn: []"), "edited by hand"),
    "threshold added": (
        replacing("  declared-state.yaml: |\n", "  declared-state.yaml: |\n    threshold: 0.5\n"),
        "edited by hand",
    ),
    "seal removed": (
        lambda text: text.replace(f"{SEAL}: {seal_in(text)}", "other: x"),
        "it carries no seal",
    ),
    "annotation garbage": (
        lambda text: text.replace(seal_in(text), "garbage"),
        "its seal is none",
    ),
    "annotation a list": (
        lambda text: text.replace(f" {seal_in(text)}", " [1, 2]"),
        "its seal is none",
    ),
    "no base64": (
        lambda text: text.replace(seal_in(text), seal_in(text)[:-8] + "!!!!!!!!"),
        "its seal is none",
    ),
    "unreadable": (lambda _: "data: {}", "expected a ConfigMap"),
    "no yaml": (lambda _: "{", "expected a ConfigMap"),
    "brackets in thousands": (lambda _: "[" * 5000, "expected a ConfigMap"),
    "of another line": (
        lambda text: text.replace("line: flight_delay", "line: other"),
        "expected the state of flight_delay in production, found that of other",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_declaration_edited_by_hand_is_read_with_its_problem(
    git: GitDeployments, tmp_path: Path, name: str
) -> None:
    """Naming file and commit; what was sealed last is still told, and nothing raises."""
    edit, expected = EDITS[name]
    last = git.read(LINE, "production")
    assert last is not None
    commit = edit_by_hand(tmp_path / "deployments", LINE, edit)
    found = git.read(LINE, "production")
    assert found is not None
    assert found.commit == commit
    if expected is None:
        # The same number in other characters declares the same.
        assert (found.seal_problem, found.state) == ("", last.state)
        return
    assert expected in found.seal_problem
    assert f"model-config.yaml at commit {commit[:12]}" in found.seal_problem
    assert git.sealed(LINE, "production") == last
    assert git.history(LINE, "production")[-1] == found


def test_a_removed_file_is_the_state_before_with_a_problem(
    git: GitDeployments, tmp_path: Path
) -> None:
    """No new line begins where one was removed."""
    commit = commit_by_hand(tmp_path / "deployments", LINE, None)
    found = git.read(LINE, "production")
    assert found is not None
    assert (found.commit, found.state.champion.version) == (commit, 2)
    assert "was removed by hand" in found.seal_problem


def test_the_seal_of_another_state_is_none_of_this_one(git: GitDeployments, tmp_path: Path) -> None:
    """Both are of a trusted key."""
    root = tmp_path / "deployments"
    declare(git, state(line="other"))
    theirs = seal_in(file_of(root, "other"))
    edit_by_hand(root, LINE, lambda text: text.replace(seal_in(text), theirs))
    found = git.read(LINE, "production")
    assert found is not None
    assert "it is not what was sealed" in found.seal_problem


def test_a_sealed_file_of_another_environment_does_not_count(
    git: GitDeployments, tmp_path: Path
) -> None:
    """Copied from staging into production, seal and all."""
    root = tmp_path / "deployments"
    declare(git, state(variant(7), environment="staging"))
    commit_by_hand(root, LINE, file_of(root, LINE, "staging"))
    found = git.read(LINE, "production")
    assert found is not None
    assert "found that of flight_delay in staging" in found.seal_problem


def test_an_older_sealed_file_counts_and_is_named_as_a_revert(
    git: GitDeployments, tmp_path: Path
) -> None:
    """As git revert restores it, byte for byte."""
    root = tmp_path / "deployments"
    first = git.history(LINE, "production")[0]
    second = file_of(root, LINE)
    again = declare(git, first.state, git.history(LINE, "production")[-1].commit)
    assert again.revert_of == ""
    commit_by_hand(root, LINE, second, message="Revert it\n\nThis reverts commit x.")
    found = git.read(LINE, "production")
    assert found is not None
    assert (found.seal_problem, found.state.champion.version) == ("", 2)
    assert found.revert_of == git.history(LINE, "production")[1].commit
    assert git.history(LINE, "production")[-1] == found


def test_a_seal_of_a_key_that_is_not_trusted_does_not_count(
    git: GitDeployments, tmp_path: Path
) -> None:
    """Both keys can be trusted while one replaces the other."""
    foreign = git_deployments(tmp_path / "foreign")
    declare(foreign, state(variant(8)))
    publics = [tmp_path / home / "keys" / PUBLIC_KEY for home in (".", "foreign")]
    text = file_of(tmp_path / "foreign" / "deployments", LINE)
    commit_by_hand(tmp_path / "deployments", LINE, text)
    found = git.read(LINE, "production")
    assert found is not None
    assert "expected a seal of a trusted key" in found.seal_problem
    both = Seals(SigningKeys(tmp_path / "keys", verify_keys=publics))
    trusting = GitDeployments(tmp_path / "deployments", both).read(LINE, "production")
    assert trusting is not None
    assert (trusting.seal_problem, trusting.state.champion.version) == ("", 8)


def test_without_a_key_nobody_can_tell_and_nothing_counts(
    git: GitDeployments, tmp_path: Path
) -> None:
    """Said as a problem; reading does not raise."""
    lost = GitDeployments(tmp_path / "deployments", Seals(SigningKeys(tmp_path / "nowhere")))
    found = lost.read(LINE, "production")
    assert found is not None
    assert "nobody can tell whether it is sealed" in found.seal_problem
    assert lost.sealed(LINE, "production") is None
    assert not (tmp_path / "nowhere").exists()


def test_a_key_nobody_trusts_declares_nothing(git: GitDeployments, tmp_path: Path) -> None:
    """What it sealed would be refused by everybody."""
    git_deployments(tmp_path / "other")
    theirs = SigningKeys(tmp_path / "other" / "keys")
    theirs.private_file()
    keys = SigningKeys(
        tmp_path / "keys",
        signing_key=tmp_path / "other" / "keys" / PRIVATE_KEY,
        verify_keys=[tmp_path / "keys" / PUBLIC_KEY],
    )
    before = git.history(LINE, "production")
    with pytest.raises(InputError, match="whose public half is trusted"):
        GitDeployments(tmp_path / "deployments", Seals(keys)).declare(
            state(variant(3)), expected_commit=before[-1].commit, trailers=TRAILERS, at=AT
        )
    assert git.history(LINE, "production") == before


def test_declaring_over_an_edit_seals_again_what_was_declared(
    git: GitDeployments, tmp_path: Path
) -> None:
    """Also where the edit only took the seal away."""
    last = git.read(LINE, "production")
    assert last is not None
    commit = edit_by_hand(tmp_path / "deployments", LINE, EDITS["seal removed"][0])
    made = declare(git, last.state, commit)
    assert made.seal_problem == ""
    assert git.read(LINE, "production") == made
    assert made == dataclasses.replace(last, commit=made.commit)


def test_the_seal_stands_in_an_annotation_of_the_config_map(tmp_path: Path) -> None:
    """Where kubectl and Argo CD leave it alone."""
    declare(git_deployments(tmp_path), state())
    document = yaml.safe_load(file_of(tmp_path / "deployments", LINE))
    assert document["kind"] == "ConfigMap"
    seal = document["metadata"]["annotations"][SEAL]
    assert seal.startswith("ecdsa-p256-sha256:")


def test_two_seals_on_one_state_differ_and_both_hold() -> None:
    """So that a file tells a declaration made again from one put back."""
    content = content_to_seal(_plain())
    first, second = seals().seal(content), seals().seal(content)
    assert first != second
    assert (seals().problem(content, first), seals().problem(content, second)) == ("", "")


def _plain() -> DeclaredState:
    return state(variant(1))
