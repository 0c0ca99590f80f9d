"""What every adapter of `Deployments` has to do, and what the Git repository shows besides."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from ml_release.adapters.git_deployments import GitDeployments, trailers_of
from ml_release.adapters.in_memory import InMemoryDeployments
from ml_release.adapters.seals import Seals
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.errors import (
    DeclarationError,
    InputError,
    MlReleaseError,
    RefusedError,
    StaleWriteError,
    UnavailableError,
)
from ml_release_tests.declared_by_hand import commit_by_hand, file_of, git_deployments
from ml_release_tests.domain.test_deployment import state, variant

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.ports import Deployments

LINE = "flight_delay"
AT = datetime(2013, 4, 1, 12, 0, 0, tzinfo=UTC)
TRAILERS = {"Actor": "someone", "Reason": "because: it is good", "Approved-By": "a <a@b.c>"}


@pytest.fixture(params=["in_memory", "git"])
def deployments(request: pytest.FixtureRequest, tmp_path: Path) -> Deployments:
    if request.param == "in_memory":
        return InMemoryDeployments()
    return git_deployments(tmp_path)


def declare(
    deployments: Deployments,
    declared: DeclaredState,
    expected_commit: str | None = None,
    *,
    at: datetime = AT,
) -> Declaration:
    return deployments.declare(declared, expected_commit=expected_commit, trailers=TRAILERS, at=at)


def test_nothing_is_declared_at_first(deployments: Deployments) -> None:
    """Reading makes nothing."""
    assert deployments.read(LINE, "production") is None
    assert deployments.history(LINE, "production") == ()


def test_what_was_declared_is_read_with_who_when_and_why(deployments: Deployments) -> None:
    """The declaration returned is the one that stands."""
    at = AT.astimezone(timezone(timedelta(hours=-4)))
    made = declare(deployments, state(), at=at)
    assert deployments.read(LINE, "production") == made
    assert made.state == state()
    assert (made.actor, made.reason) == ("someone", "because: it is good")
    assert made.trailers == TRAILERS
    assert made.committed_at == "2013-04-01T12:00:00+00:00"


def test_history_is_every_declaration_oldest_first(deployments: Deployments) -> None:
    """Also when a clock ran backwards between them."""
    first = declare(deployments, state(variant(1)), None)
    second = declare(deployments, state(variant(2)), first.commit, at=AT - timedelta(days=1))
    third = declare(deployments, state(variant(1), release="r3"), second.commit)
    assert deployments.history(LINE, "production") == (first, second, third)
    assert deployments.read(LINE, "production") == third


@pytest.mark.parametrize(
    "expected", ["first", "unknown", None], ids=["an older one", "an unknown one", "none"]
)
def test_a_writer_who_read_another_declaration_is_refused(
    deployments: Deployments, expected: str | None
) -> None:
    """And nothing changes."""
    first = declare(deployments, state(variant(1)))
    second = declare(deployments, state(variant(2)), first.commit)
    commit = {"first": first.commit, "unknown": "0" * 40, None: None}[expected]
    with pytest.raises(StaleWriteError, match=f"found {second.commit}"):
        declare(deployments, state(variant(3)), commit)
    assert deployments.history(LINE, "production") == (first, second)


def test_expecting_a_declaration_where_there_is_none_is_refused(deployments: Deployments) -> None:
    """The writer looked into another repository."""
    with pytest.raises(StaleWriteError, match="found None"):
        declare(deployments, state(), "0" * 40)
    assert deployments.read(LINE, "production") is None


def test_declaring_what_stands_already_changes_nothing(deployments: Deployments) -> None:
    """A retried act gets the declaration that stands, and the next writer is not stale."""
    first = declare(deployments, state(variant(1)))
    assert declare(deployments, state(variant(1)), first.commit) == first
    assert deployments.history(LINE, "production") == (first,)
    second = declare(deployments, state(variant(2)), first.commit)
    assert deployments.read(LINE, "production") == second


def test_lines_and_environments_do_not_disturb_one_another(deployments: Deployments) -> None:
    """Another line's declaration makes nobody stale."""
    first = declare(deployments, state())
    other = declare(deployments, state(line="credit_risk"))
    staging = declare(deployments, state(environment="staging"))
    assert deployments.read(LINE, "production") == first
    second = declare(deployments, state(variant(2)), first.commit)
    assert deployments.read("credit_risk", "production") == other
    assert deployments.read(LINE, "staging") == staging
    assert deployments.history(LINE, "production") == (first, second)


@pytest.mark.parametrize(
    "trailers",
    [
        pytest.param({"Reason": "a\nApproved-By: boss"}, id="line break"),
        pytest.param({"Reason": "a\rApproved-By: boss"}, id="carriage return"),
        pytest.param({"Reason": "a\u2028Approved-By: boss"}, id="line separator"),
        pytest.param({"Reason": ""}, id="no reason"),
        pytest.param({"Approved-By: boss": "x"}, id="a colon in the key"),
        pytest.param({"a\nb": "x"}, id="a line break in the key"),
    ],
)
def test_a_trailer_that_could_forge_another_is_refused(
    deployments: Deployments, trailers: dict[str, str]
) -> None:
    """Who approved what is not decided by a reason's text."""
    with pytest.raises(InputError, match="expected one line"):
        deployments.declare(state(), expected_commit=None, trailers=trailers, at=AT)
    assert deployments.read(LINE, "production") is None


def test_without_trailers_actor_and_reason_are_unknown(deployments: Deployments) -> None:
    """They are not read out of the summary."""
    made = deployments.declare(state(), expected_commit=None, trailers={}, at=AT)
    assert (made.actor, made.reason) == ("unknown", "unknown")
    assert deployments.read(LINE, "production") == made


def test_a_line_is_a_plain_name(deployments: Deployments) -> None:
    """It becomes part of a path."""
    with pytest.raises(DeclarationError):
        deployments.read("../x", "production")


def together(*works: object) -> list[object]:
    """Results and errors of functions that start at once."""
    results: list[object] = []
    start = threading.Barrier(len(works))

    def run(work: object) -> None:
        assert callable(work)
        start.wait()
        try:
            results.append(work())
        except MlReleaseError as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("standing", [False, True], ids=["the first", "the next"])
def test_of_writers_at_once_exactly_one_wins(deployments: Deployments, standing: bool) -> None:
    """The others are told that they are stale, and only one declaration is added."""
    expected = declare(deployments, state(release="r0")).commit if standing else None
    works = [lambda n=n: declare(deployments, state(variant(n)), expected) for n in range(1, 7)]
    results = together(*works)
    stale = [result for result in results if isinstance(result, StaleWriteError)]
    (winner,) = [result for result in results if not isinstance(result, Exception)]
    assert (len(results), len(stale)) == (6, 5)
    assert deployments.read(LINE, "production") == winner
    assert len(deployments.history(LINE, "production")) == 1 + standing


def test_writers_of_different_lines_all_win(deployments: Deployments) -> None:
    """Also when the repository is made by them."""
    works = [lambda n=n: declare(deployments, state(line=f"line{n}")) for n in range(6)]
    results = together(*works)
    assert [result for result in results if isinstance(result, Exception)] == []
    for n in range(6):
        found = deployments.read(f"line{n}", "production")
        assert found is not None
        assert found.state.line == f"line{n}"


@pytest.fixture
def git(tmp_path: Path) -> GitDeployments:
    return git_deployments(tmp_path)


def commit_files(root: Path, files: dict[str, bytes]) -> None:
    """What a person could commit by hand."""
    from dulwich.objects import Blob, Commit, Tree

    with Repo(str(root)) as repository:
        head = repository.refs[b"refs/heads/main"]  # type: ignore[index]
        old = repository[head]
        assert isinstance(old, Commit)
        store = repository.object_store
        root_tree = repository[old.tree]
        assert isinstance(root_tree, Tree)
        folder = repository[root_tree[b"applications"][1]]
        assert isinstance(folder, Tree)
        for name, content in files.items():
            blob = Blob.from_string(content)
            store.add_object(blob)
            folder.add(name.encode(), 0o100644, blob.id)
        store.add_object(folder)
        root_tree.add(b"applications", 0o040000, folder.id)
        store.add_object(root_tree)
        new = Commit()
        new.tree, new.parents = root_tree.id, [old.id]
        new.author = new.committer = b"a person <a@b.c>"
        new.author_time = new.commit_time = int(AT.timestamp())
        new.author_timezone = new.commit_timezone = 0
        new.message = b"by hand"
        store.add_object(new)
        repository.refs[b"refs/heads/main"] = new.id  # type: ignore[index]


def test_git_names_the_lines_that_have_a_declared_state(
    git: GitDeployments, tmp_path: Path
) -> None:
    """Per environment; a stray file among the applications is no line and breaks nothing."""
    assert git.lines("production") == ()
    declare(git, state(line="b_line"))
    declare(git, state(line="a_line"))
    declare(git, state(line="only_staging", environment="staging"))
    commit_files(tmp_path / "deployments", {"README.md": b"hello", "stray": b"x"})
    assert git.lines("production") == ("a_line", "b_line")
    assert git.lines("staging") == ("only_staging",)


def test_git_head_moves_with_every_declaration(git: GitDeployments) -> None:
    """A watcher compares one commit for all lines."""
    assert git.head() is None
    first = declare(git, state())
    assert git.head() == first.commit
    other = declare(git, state(line="other"))
    assert git.head() == other.commit != first.commit


def test_git_keeps_the_whole_file_and_the_trailers_in_each_commit(
    git: GitDeployments, tmp_path: Path
) -> None:
    """The log of the repository is the audit trail."""
    declare(git, state())
    with Repo(str(tmp_path / "deployments")) as repository:
        (entry,) = list(repository.get_walker())
        message = entry.commit.message.decode()
        assert repository.refs.get_symrefs()[b"HEAD"] == b"refs/heads/main"  # type: ignore[index]
    assert message.startswith(f"{LINE} production: champion version 1 at 100 %\n\n")
    assert trailers_of(message) == TRAILERS


def test_git_reads_a_file_that_somebody_broke_as_the_state_before_and_a_problem(
    git: GitDeployments, tmp_path: Path
) -> None:
    """With path and commit; the other lines stay as they are."""
    good = declare(git, state())
    other = declare(git, state(line="other"))
    commit = commit_by_hand(tmp_path / "deployments", LINE, "data: {}")
    path = "applications/flight_delay/overlays/production/model-config.yaml"
    found = git.read(LINE, "production")
    assert found is not None
    assert (found.state, found.commit) == (good.state, commit)
    assert found.seal_problem.startswith(f"{path} at commit {commit[:12]}: expected a ConfigMap")
    assert git.sealed(LINE, "production") == good
    assert git.history(LINE, "production") == (good, found)
    assert git.read("other", "production") == other
    assert git.lines("production") == (LINE, "other")


def test_git_refuses_a_file_that_never_was_a_declared_state(
    git: GitDeployments, tmp_path: Path
) -> None:
    """There is no state before it that could stand for it."""
    declare(git, state(line="other"))
    commit = commit_by_hand(tmp_path / "deployments", LINE, "data: {}")
    with pytest.raises(DeclarationError, match=f"at commit {commit[:12]}: expected a ConfigMap"):
        git.read(LINE, "production")
    assert git.sealed(LINE, "production") is None
    assert git.history(LINE, "production") == ()


def test_git_says_what_to_do_about_a_lock_that_a_killed_writer_left(
    git: GitDeployments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not an exception of the vendor, and nothing is declared."""
    first = declare(git, state(variant(1)))
    lock = tmp_path / "deployments" / "refs" / "heads" / "main.lock"
    lock.touch()
    monkeypatch.setattr("ml_release.adapters.git_deployments.time.sleep", lambda _: None)
    with pytest.raises(UnavailableError, match=r"remove .*main\.lock"):
        declare(git, state(variant(2)), first.commit)
    lock.unlink()
    declare(git, state(variant(2)), first.commit)


def test_git_refuses_a_folder_of_other_files(tmp_path: Path) -> None:
    """It does not scatter a repository among them."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="found other files"):
        declare(GitDeployments(tmp_path, Seals(SigningKeys(tmp_path.parent / "keys"))), state())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_writer_who_forgets_a_withdrawal_declares_it_all_the_same(
    deployments: Deployments,
) -> None:
    """Whoever writes, and whatever they knew."""
    first = declare(deployments, state(variant(1), withdrawn=(2,)))
    second = declare(deployments, state(variant(3), release="r2"), first.commit)
    assert second.state.withdrawn == (2,)
    assert deployments.read(LINE, "production") == second


def test_a_withdrawn_version_is_not_declared(deployments: Deployments) -> None:
    """Nothing is written."""
    first = declare(deployments, state(variant(1), withdrawn=(2,)))
    with pytest.raises(RefusedError, match="found version 2, which is withdrawn"):
        declare(deployments, state(variant(2)), first.commit)
    assert deployments.history(LINE, "production") == (first,)


def test_a_lift_holds_until_the_next_withdrawal(deployments: Deployments) -> None:
    """Each is a turn of its own."""
    first = declare(deployments, state(variant(1), withdrawn=(2,)))
    second = declare(deployments, state(variant(1), lifted=(2,)), first.commit)
    assert (second.state.withdrawn, second.state.lifted) == ((), (2,))
    third = declare(deployments, state(variant(2), lifted=(2,), release="r3"), second.commit)
    assert third.state.champion.version == 2
    fourth = declare(deployments, state(variant(1), withdrawn=(2,), lifted=(2,)), third.commit)
    with pytest.raises(RefusedError, match="which is withdrawn"):
        declare(deployments, state(variant(2), lifted=(2,), release="r5"), fourth.commit)


@pytest.mark.parametrize("starts", [False, True], ids=["the same process", "another one"])
def test_an_old_file_put_back_does_not_let_a_withdrawn_version_serve(
    tmp_path: Path, starts: bool
) -> None:
    """It is sealed, and counts for nothing: what was declared before it does."""
    git = git_deployments(tmp_path)
    root = tmp_path / "deployments"
    declare(git, state(variant(1)))
    second = declare(git, state(variant(2)), git.head())
    old = file_of(root, LINE)
    third = declare(git, state(variant(1), withdrawn=(2,), release="back"), second.commit)
    commit = commit_by_hand(root, LINE, old, message="Revert")
    git = git_deployments(tmp_path) if starts else git
    found = git.read(LINE, "production")
    assert found is not None
    assert found.commit == commit
    assert "it serves version 2, which is withdrawn" in found.seal_problem
    assert git.sealed(LINE, "production") == third
    assert [bool(one.seal_problem) for one in git.history(LINE, "production")] == [
        False,
        False,
        False,
        True,
    ]
    with pytest.raises(RefusedError, match="which is withdrawn"):
        declare(git, state(variant(2), release="again"), commit)
    again = declare(git, third.state, commit)
    assert git.read(LINE, "production") == again


def test_an_old_file_that_lacks_a_withdrawal_serves_and_withdraws_it(tmp_path: Path) -> None:
    """Declaring what it says makes a new commit, which names it."""
    git = git_deployments(tmp_path)
    root = tmp_path / "deployments"
    declare(git, state(variant(1)))
    old = file_of(root, LINE)
    second = declare(git, state(variant(3), withdrawn=(2,)), git.head())
    commit = commit_by_hand(root, LINE, old)
    found = git.read(LINE, "production")
    assert found is not None
    assert (found.state.champion.version, found.state.withdrawn) == (1, (2,))
    assert (found.seal_problem, found.forgotten, found.commit) == ("", (2,), commit)
    sealed = git.sealed(LINE, "production")
    assert sealed is not None
    assert (sealed.state, sealed.commit) == (found.state, commit)
    made = declare(git, found.state, commit)
    assert made.commit not in (commit, second.commit)
    assert made.forgotten == ()


def test_a_branch_that_is_set_back_by_force_takes_nothing_back(tmp_path: Path) -> None:
    """As long as the process runs that has read it."""
    git = git_deployments(tmp_path)
    declare(git, state(variant(1)))
    second = declare(git, state(variant(2)), git.head())
    declare(git, state(variant(1), withdrawn=(2,), release="back"), second.commit)
    assert git.read(LINE, "production") is not None
    with Repo(str(tmp_path / "deployments")) as repository:
        repository.refs[Ref(b"refs/heads/main")] = ObjectID(second.commit.encode())
    found = git.read(LINE, "production")
    assert found is not None
    assert "version 2, which is withdrawn" in found.seal_problem
    sealed = git.sealed(LINE, "production")
    assert sealed is not None
    assert sealed.state.champion.version == 1


def test_a_withdrawal_that_nobody_sealed_counts_for_nothing(tmp_path: Path) -> None:
    """Otherwise anybody who may push could stop a line."""
    git = git_deployments(tmp_path)
    root = tmp_path / "deployments"
    first = declare(git, state(variant(1)))
    commit_by_hand(root, LINE, file_of(root, LINE).replace("withdrawn: []", "withdrawn: [1]"))
    assert git.sealed(LINE, "production") == first
    last = git.read(LINE, "production")
    assert last is not None
    made = declare(git, state(variant(1), release="r2"), last.commit)
    assert made.state.withdrawn == ()


def test_a_file_in_another_form_counts_by_what_it_says(tmp_path: Path) -> None:
    """A person may have laid it out anew; the seal is on what it says."""
    git = git_deployments(tmp_path)
    root = tmp_path / "deployments"
    first = declare(git, state(variant(1), withdrawn=(2,)))
    text = file_of(root, LINE)
    with_flow = text.replace("withdrawn:\n    - 2\n", "withdrawn: [2]\n")
    assert with_flow != text
    commit_by_hand(root, LINE, with_flow)
    found = git_deployments(tmp_path).read(LINE, "production")
    assert found is not None
    assert (found.state.withdrawn, found.seal_problem) == ((2,), "")
    assert found.commit != first.commit
