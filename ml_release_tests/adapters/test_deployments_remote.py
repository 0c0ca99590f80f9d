"""A remote that is slow to answer, ahead, diverged, lost or raced for: nothing is overwritten."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import make_server

import pytest
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import WSGIRequestHandlerLogger, WSGIServerLogger, make_wsgi_chain

from ml_release.adapters.git_deployments import GitDeployments
from ml_release.adapters.git_deployments.remote import GitRemote
from ml_release.adapters.git_deployments.shared import SharedDeployments
from ml_release.adapters.in_memory import InMemoryRemote
from ml_release.adapters.seals import Seals
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.domain.remote_state import remote_state
from ml_release.errors import StaleWriteError, UnavailableError
from ml_release_tests.adapters.test_deployments_contract import AT, TRAILERS, declare
from ml_release_tests.domain.test_deployment import state, variant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ml_release.domain.remote_state import RemoteState
    from ml_release.ports import DeploymentsRemote

LINE = "flight_delay"
BRANCH = b"refs/heads/main"


class Faulty(GitRemote):
    """A remote on which things go wrong when told to."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.before_push: list[Any] = []
        self.after_push: list[Any] = []

    def push(self) -> RemoteState:
        for act in self.before_push:
            act()
        return super().push()

    def _send(self, *arguments: Any) -> str:
        said = super()._send(*arguments)
        for act in self.after_push:
            act()
        return said


class Home:
    """A clone with its keys in common with every other, so that each trusts the others' seals."""

    def __init__(self, folder: Path, name: str, *, address: str | None = None) -> None:
        self.root = folder / name / "deployments"
        self.clock = datetime(2013, 4, 1, tzinfo=UTC)
        self.remote = Faulty(
            self.root, address or str(folder / "bare"), branch="main", now=lambda: self.clock
        )
        self.local = GitDeployments(self.root, Seals(SigningKeys(folder / "keys")))
        self.strict = SharedDeployments(self.local, self.remote, goes_on_alone=False)
        self.urgent = SharedDeployments(self.local, self.remote, goes_on_alone=True)

    @property
    def commit(self) -> str | None:
        found = self.local.read(LINE, "production")
        return None if found is None else found.commit


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    root = tmp_path / "bare"
    root.mkdir()
    Repo.init_bare(str(root)).close()
    return root


@pytest.fixture
def here(tmp_path: Path, bare: Path) -> Home:
    assert bare.exists()
    return Home(tmp_path, "here")


@pytest.fixture
def there(tmp_path: Path, bare: Path) -> Home:
    assert bare.exists()
    return Home(tmp_path, "there")


def head_of_remote(bare: Path) -> str | None:
    with Repo(str(bare)) as repository:
        found = repository.refs.read_ref(BRANCH)  # type: ignore[arg-type]
    return None if found is None else found.decode()


def gone(bare: Path) -> Path:
    return bare.rename(bare.with_name("gone"))


def back(bare: Path) -> None:
    bare.with_name("gone").rename(bare)


def put_away(home: Home, number: int) -> str:
    """Declare in one clone and push."""
    return declare(home.strict, state(variant(number), release=f"r{number}"), home.commit).commit


@pytest.fixture
def http_address(bare: Path) -> Iterator[str]:
    """The bare repository behind Git's smart HTTP, on the loopback interface."""
    with Repo(str(bare)) as repository:
        backend = DictBackend({"/": repository})  # type: ignore[arg-type]
        chain = make_wsgi_chain(backend)
        server = make_server(
            "127.0.0.1",
            0,
            chain,
            handler_class=WSGIRequestHandlerLogger,
            server_class=WSGIServerLogger,
        )
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(params=["in_memory", "path", "file address", "http"])
def remote(request: pytest.FixtureRequest, tmp_path: Path, bare: Path) -> DeploymentsRemote:
    if request.param == "in_memory":
        known = remote_state(address="x", local=None, remote=None, ahead=0, behind=0)
        return InMemoryRemote(known)
    if request.param == "http":
        address = request.getfixturevalue("http_address")
        return Home(tmp_path, "contract", address=address).remote
    address = f"file://{bare}" if request.param == "file address" else str(bare)
    return Home(tmp_path, "contract", address=address).remote


def test_looking_tells_what_was_seen_and_changes_nothing_twice(remote: DeploymentsRemote) -> None:
    """The state of the last look is told without another."""
    first = remote.sync()
    assert first.kind == "in_sync"
    assert remote.state() == first
    assert remote.sync() == first


def test_what_is_declared_is_pushed_at_once(here: Home, there: Home, bare: Path) -> None:
    """And another clone follows, seal and all."""
    commit = put_away(here, 1)
    assert head_of_remote(bare) == commit
    assert there.remote.pull().kind == "in_sync"
    found = there.local.read(LINE, "production")
    assert found is not None
    assert (found.commit, found.seal_problem) == (commit, "")


def test_over_http_two_clones_share_what_is_declared(
    tmp_path: Path, bare: Path, http_address: str
) -> None:
    """Each pushes after the other, and follows."""
    here, there = (Home(tmp_path, name, address=http_address) for name in ("here", "there"))
    first = put_away(here, 1)
    assert there.remote.sync().local == first
    second = put_away(there, 2)
    assert head_of_remote(bare) == second
    with pytest.raises(StaleWriteError, match=f"found {second}"):
        declare(here.strict, state(variant(3)), first)


def test_a_clone_that_is_behind_follows_before_it_declares(here: Home, there: Home) -> None:
    """Its writer had decided on an older state and is told so; the next try goes through."""
    first = put_away(here, 1)
    there.remote.pull()
    second = put_away(here, 2)
    with pytest.raises(StaleWriteError, match=f"expected to replace .* {first}, found {second}"):
        declare(there.strict, state(variant(3)), first)
    assert there.local.head() == second
    third = put_away(there, 3)
    assert here.remote.pull().local == third


@pytest.mark.parametrize("urgent", [False, True])
def test_what_diverged_is_refused_with_both_commits(
    here: Home, there: Home, bare: Path, urgent: bool
) -> None:
    """Nothing is merged, nothing is forced: a person decides."""
    put_away(here, 1)
    there.remote.pull()
    theirs = put_away(here, 2)
    mine = declare(there.local, state(variant(3)), there.commit).commit
    writer = there.urgent if urgent else there.strict
    with pytest.raises(StaleWriteError) as caught:
        declare(writer, state(variant(4)), mine)
    assert f"commit {mine} is only here, commit {theirs} only there" in str(caught.value)
    assert there.remote.state().kind == "diverged"
    assert "diverged" in there.remote.state().sentence()
    assert (there.local.head(), head_of_remote(bare)) == (mine, theirs)


def test_a_remote_that_cannot_be_reached_lets_nothing_be_promoted(here: Home, bare: Path) -> None:
    """Nothing is declared; since when it is so is kept over tries and processes."""
    first = put_away(here, 1)
    gone(bare)
    with pytest.raises(UnavailableError, match="Nothing was declared"):
        declare(here.strict, state(variant(2)), first)
    assert here.local.head() == first
    here.clock += timedelta(hours=1)
    found = here.remote.pull()
    assert (found.kind, found.since) == ("unreachable", "2013-04-01T00:00:00+00:00")
    assert "NotGitRepository" in found.reason
    back(bare)
    assert here.remote.pull().kind == "in_sync"
    assert here.remote.state().since == ""


def test_an_urgent_declaration_goes_on_alone_and_is_pushed_later(here: Home, bare: Path) -> None:
    """The state says how many wait and why; the next look pushes them."""
    first = put_away(here, 1)
    gone(bare)
    second = declare(here.urgent, state(variant(2)), first)
    third = declare(here.urgent, state(variant(3)), second.commit)
    found = here.remote.state()
    assert (found.kind, found.ahead) == ("unreachable", 2)
    assert found.sentence().startswith("ahead by 2, not pushed: ")
    back(bare)
    assert head_of_remote(bare) == first
    assert here.remote.sync().kind == "in_sync"
    assert head_of_remote(bare) == third.commit


def test_what_waited_is_pushed_by_the_next_declaration(here: Home, bare: Path) -> None:
    """Also one that may not go on alone."""
    first = put_away(here, 1)
    gone(bare)
    second = declare(here.urgent, state(variant(2)), first)
    back(bare)
    third = declare(here.strict, state(variant(3)), second.commit)
    assert head_of_remote(bare) == third.commit


@pytest.mark.parametrize("urgent", [False, True])
def test_a_push_that_loses_the_race_is_taken_back(
    here: Home, there: Home, bare: Path, urgent: bool
) -> None:
    """Somebody pushes between our look and our push; then we follow them."""
    first = put_away(here, 1)
    there.remote.pull()
    won: list[str] = []

    def be_first() -> None:
        if not won:
            won.append(put_away(there, 2))

    here.remote.before_push.append(be_first)
    writer = here.urgent if urgent else here.strict
    with pytest.raises(StaleWriteError, match=r"was pushed to .* first\. It was taken"):
        declare(writer, state(variant(3)), first)
    assert head_of_remote(bare) == won[0] == here.local.head()
    assert [d.commit for d in here.local.history(LINE, "production")] == [first, won[0]]
    assert put_away(here, 4) == head_of_remote(bare)


def test_a_remote_that_goes_away_before_the_push_undoes_the_promotion(
    here: Home, bare: Path
) -> None:
    """Nothing changed here, nothing there."""
    first = put_away(here, 1)
    here.remote.before_push.append(lambda: gone(bare))
    with pytest.raises(UnavailableError, match=r"did not take .* It was taken back"):
        declare(here.strict, state(variant(2)), first)
    back(bare)
    assert here.local.head() == head_of_remote(bare) == first


def test_a_push_whose_answer_was_lost_is_found_by_the_next_look(here: Home, bare: Path) -> None:
    """It had arrived: the retried act finds it declared and adds nothing."""
    first = put_away(here, 1)

    def cut() -> None:
        here.remote.after_push.clear()
        message = "connection reset"
        raise ConnectionError(message)

    here.remote.after_push.append(cut)
    with pytest.raises(UnavailableError, match="connection reset"):
        declare(here.strict, state(variant(2)), first)
    arrived = head_of_remote(bare)
    assert arrived != first
    assert here.remote.sync().local == arrived
    assert declare(here.strict, state(variant(2)), here.commit).commit == arrived
    assert head_of_remote(bare) == arrived


def test_a_process_killed_between_commit_and_push_converges(here: Home, bare: Path) -> None:
    """The next declaration pushes both."""
    first = put_away(here, 1)

    def killed() -> None:
        here.remote.before_push.clear()
        raise KeyboardInterrupt

    here.remote.before_push.append(killed)
    with pytest.raises(KeyboardInterrupt):
        declare(here.strict, state(variant(2)), first)
    waiting = here.local.head()
    assert head_of_remote(bare) == first != waiting
    found = here.remote.state()
    assert (found.kind, found.ahead) == ("ahead", 1)
    again = declare(here.strict, state(variant(2)), waiting)
    assert (again.commit, head_of_remote(bare)) == (waiting, waiting)
    third = put_away(here, 3)
    assert head_of_remote(bare) == third


def test_a_remote_that_refuses_a_push_says_so(
    here: Home, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A protected branch: it is not taken for a race."""
    first = put_away(here, 1)
    monkeypatch.setattr(GitRemote, "_send", lambda *_: "protected branch")
    with pytest.raises(UnavailableError, match="protected branch"):
        declare(here.strict, state(variant(2)), first)
    assert here.local.head() == first
    kept = declare(here.urgent, state(variant(2)), first)
    assert here.local.head() == kept.commit
    assert here.remote.state().sentence() == "ahead by 1, not pushed: protected branch"
    assert head_of_remote(bare) == first


def test_another_branch_of_the_remote_is_followed(tmp_path: Path, bare: Path) -> None:
    """Its others are left alone."""
    home = Home(tmp_path, "here")
    home.remote = Faulty(home.root, str(bare), branch="production", now=lambda: AT)
    shared = SharedDeployments(home.local, home.remote, goes_on_alone=False)
    made = shared.declare(state(), expected_commit=None, trailers=TRAILERS, at=AT)
    assert head_of_remote(bare) is None
    with Repo(str(bare)) as repository:
        assert repository.refs.as_dict() == {b"refs/heads/production": made.commit.encode()}


def test_reading_is_that_of_the_local_repository(here: Home, bare: Path) -> None:
    """A remote that is gone keeps nobody from reading."""
    commit = put_away(here, 1)
    gone(bare)
    for found in (
        here.strict.read(LINE, "production"),
        here.strict.sealed(LINE, "production"),
        here.strict.history(LINE, "production")[-1],
    ):
        assert found is not None
        assert found.commit == commit
