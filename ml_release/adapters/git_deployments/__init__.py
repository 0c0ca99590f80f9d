"""Declared state in a bare Git repository, written through dulwich.

The repository has no work tree: what is declared is what a commit on ``main`` holds, so nobody can
serve a file that was written but never committed. Work on a clone and push, or read it in place
with ``git -C .ml_release/deployments log``.
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dulwich.objects import Blob, Commit

from ml_release.adapters.git_deployments.trees import (
    BRANCH,
    commit_at,
    descend,
    head_of,
    moved,
    open_at,
    open_or_create,
    read_file,
    with_file,
)
from ml_release.adapters.git_deployments.withdrawn import SealedWithdrawals
from ml_release.domain.deployment import (
    SEAL,
    Declaration,
    content_to_seal,
    from_yaml,
    path_of,
    sealed_from_yaml,
    to_yaml,
)
from ml_release.domain.identity import check_line_name
from ml_release.domain.withdrawals import (
    Withdrawals,
    forgotten,
    in_words,
    keeping,
    known_to,
    outdated,
)
from ml_release.errors import DeclarationError, InputError, StaleWriteError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from pathlib import Path

    from ml_release.domain.deployment import DeclaredState

_AUTHOR = b"ml_release <ml_release@localhost>"
_ATTEMPTS = 20


class Seals(Protocol):
    """Seals content, and judges seals."""

    def seal(self, content: bytes) -> str:
        """The seal on ``content``; its text differs from time to time."""

    def problem(self, content: bytes, seal: str) -> str:
        """Why ``seal`` does not say that a trusted key sealed ``content``; "" if it does."""


class _Version(NamedTuple):
    """A commit that changed a file, and what it then held; None if it was removed."""

    commit: Commit
    content: bytes | None


class GitDeployments:
    """`Deployments` in a bare repository, made when it is first written to."""

    def __init__(self, root: Path, seals: Seals) -> None:
        self._root = root
        self._seals = seals
        self._withdrawals = SealedWithdrawals(self._sealed_state)

    def head(self) -> str | None:
        """The newest commit of the repository, whichever line it is about."""
        repository = open_at(self._root)
        if repository is None:
            return None
        with repository:
            head = head_of(repository)
            return head.decode() if head else None

    def read(self, line: str, environment: str) -> Declaration | None:
        """What is declared now, with the commit that last changed the file.

        A file that cannot be read, or was removed, gives the state before it and its problem;
        `DeclarationError` if there never was a state.
        """
        path = path_of(line, environment)
        with closing(self._versions(path)) as versions:
            newest = next(versions, None)
            if newest is None:
                return None
            found = self._declaration(line, environment, newest, versions)
            if found is not None:
                found = _effective(found, self._known(path), path)
            if found is None or "Actor" in trailers_of(_text(newest.commit.message)):
                return found
            # Only what another program wrote is looked up in the whole history.
            return _named_as_revert(found, newest, versions)

    def sealed(self, line: str, environment: str) -> Declaration | None:
        """The newest declaration that a trusted key has sealed."""
        path = path_of(line, environment)
        known = self._known(path)
        with closing(self._versions(path)) as versions:
            for version in versions:
                # Cheap to tell, and a history from before seals may be long.
                if version.content is None or SEAL.encode() not in version.content:
                    continue
                try:
                    declaration = self._declaration(line, environment, version, ())
                except DeclarationError:
                    continue
                if declaration is None:
                    continue
                declaration = _effective(declaration, known, path)
                if not declaration.seal_problem:
                    return declaration
        return None

    def history(self, line: str, environment: str) -> tuple[Declaration, ...]:
        """Every declaration, oldest first; a file that was no state from the start is left out.

        Each as it stood at its time: with what had been withdrawn by then.
        """
        path = path_of(line, environment)
        versions = list(self._versions(path))
        found: list[Declaration] = []
        known = Withdrawals()
        for place, version in reversed(list(enumerate(versions))):
            try:
                one = self._declaration(line, environment, version, versions[place + 1 :])
            except DeclarationError:
                continue
            if one is None:
                continue
            if not one.seal_problem:
                known = known.joined(known_to(one.state))
            # The newest one as everybody else reads it.
            by_then = known if place else self._known(path)
            one = _effective(one, by_then, path)
            found.append(_named_as_revert(one, version, versions[place + 1 :]))
        return tuple(found)

    def lines(self, environment: str) -> tuple[str, ...]:
        """Names of the lines that have a declared state in this environment."""
        repository = open_at(self._root)
        if repository is None:
            return ()
        with repository:
            head = head_of(repository)
            if head is None:
                return ()
            tree = commit_at(repository, head).tree
            applications = descend(repository, tree, ["applications"])
            if applications is None:
                return ()
            names = sorted(entry.path.decode() for entry in applications.items())
            return tuple(
                name
                for name in names
                if _is_line_name(name)
                and read_file(repository, tree, path_of(name, environment).split("/")) is not None
            )

    def declare(
        self,
        state: DeclaredState,
        *,
        expected_commit: str | None,
        trailers: Mapping[str, str],
        at: datetime,
    ) -> Declaration:
        """Write the whole file as one commit, if the declaration is still the expected one.

        What sealed declarations have withdrawn stays withdrawn, whatever the writer knew of it.
        A state that is declared already is not declared twice: the declaration that stands is
        returned. One that stands unsealed is declared again, with a seal.
        """
        path = path_of(state.line, state.environment)
        text = _message(state, trailers).encode()
        wanted = state
        for _ in range(_ATTEMPTS):
            with open_or_create(self._root) as repository:
                head = head_of(repository)
                standing = self._check_expected(state, expected_commit)
                state = keeping(wanted, self._withdrawals.at(repository, head, path))
                if standing is not None and standing.state == state and _stands(standing):
                    return standing
                seal = self._seals.seal(content_to_seal(state))
                blob = Blob.from_string(to_yaml(state, seal=seal).encode())
                repository.object_store.add_object(blob)
                base = None if head is None else commit_at(repository, head).tree
                commit = Commit()
                commit.tree = with_file(repository, base, path.split("/"), blob.id)
                commit.parents = [] if head is None else [head]
                commit.author = commit.committer = _AUTHOR
                commit.author_time = commit.commit_time = int(at.timestamp())
                commit.author_timezone = commit.commit_timezone = 0
                commit.encoding = b"UTF-8"
                commit.message = text
                repository.object_store.add_object(commit)
                if moved(repository, head, commit.id):
                    return _declaration(state, commit, seal_problem="")
            # Another line's writer came first: look again, our own file may be untouched.
            time.sleep(0.05)
        message = (
            f"{path}: other writers kept coming first; nothing was declared. Try again; if no"
            f" writer runs, remove {self._root / BRANCH.decode()}.lock, which a killed one left."
        )
        raise UnavailableError(message)

    def _known(self, path: str) -> Withdrawals:
        repository = open_at(self._root)
        if repository is None:
            return Withdrawals()
        with repository:
            return self._withdrawals.at(repository, head_of(repository), path)

    def _sealed_state(self, path: str, content: bytes) -> DeclaredState | None:
        try:
            found = sealed_from_yaml(_text(content), subject=path)
        except DeclarationError:
            return None
        state = found.state
        is_own = path_of(state.line, state.environment) == path
        return state if is_own and not self._seals.problem(found.content, found.seal) else None

    def _check_expected(
        self, state: DeclaredState, expected_commit: str | None
    ) -> Declaration | None:
        path = path_of(state.line, state.environment)
        found = self.read(state.line, state.environment)
        found_commit = None if found is None else found.commit
        if found_commit != expected_commit:
            message = (
                f"{path}: expected to replace the declaration of commit {expected_commit}, found"
                f" {found_commit}. Somebody declared another state meanwhile; look at it and"
                " decide again."
            )
            raise StaleWriteError(message)
        return found

    def _versions(self, path: str) -> Generator[_Version]:
        """What a file held, newest first, from what it holds now."""
        repository = open_at(self._root)
        if repository is None:
            return
        with repository:
            head = head_of(repository)
            if head is None:
                return
            parts = path.split("/")
            now = read_file(repository, commit_at(repository, head).tree, parts)
            is_now = False
            for entry in repository.get_walker(include=[head], paths=[path.encode()]):
                content = read_file(repository, entry.commit.tree, parts)
                # The newest commit is on the side of a merge that was not taken, at times.
                is_now = is_now or content == now
                if is_now:
                    yield _Version(entry.commit, content)

    def _declaration(
        self, line: str, environment: str, version: _Version, older: Iterable[_Version]
    ) -> Declaration | None:
        """One version of a file, judged; None if nothing is there and never was."""
        subject = f"{path_of(line, environment)} at commit {version.commit.id.decode()[:12]}"
        if version.content is None:
            state, problem = None, f"{subject}: the file was removed by hand"
        else:
            state, problem = self._read(line, environment, version.content, subject=subject)
        for one in older if state is None else ():
            state = None if one.content is None else _state(one.content)
            if state is not None:
                break
        if state is None:
            if version.content is None:
                return None
            raise DeclarationError(problem)
        return _declaration(state, version.commit, seal_problem=problem)

    def _read(
        self, line: str, environment: str, content: bytes, *, subject: str
    ) -> tuple[DeclaredState | None, str]:
        try:
            found = sealed_from_yaml(_text(content), subject=subject)
        except DeclarationError as error:
            return None, str(error)
        state = found.state
        if (state.line, state.environment) != (line, environment):
            return None, (
                f"{subject}: expected the state of {line} in {environment}, found that of"
                f" {state.line} in {state.environment}"
            )
        problem = self._seals.problem(found.content, found.seal)
        return state, f"{subject}: {problem}" if problem else ""


def _effective(declaration: Declaration, known: Withdrawals, path: str) -> Declaration:
    """The declaration with what is withdrawn by all; one that serves such a version is refused."""
    state = declaration.state
    if declaration.seal_problem:
        return declaration
    if bad := outdated(state, known):
        problem = (
            f"{path} at commit {declaration.commit[:12]}: an earlier declaration was put back by"
            f" hand; it serves {in_words(bad, known)}"
        )
        return dataclasses.replace(declaration, seal_problem=problem)
    lost = forgotten(state, known)
    return dataclasses.replace(declaration, state=keeping(state, known), forgotten=lost)


def _stands(declaration: Declaration) -> bool:
    return not declaration.seal_problem and not declaration.forgotten


def _named_as_revert(
    declaration: Declaration, version: _Version, older: Iterable[_Version]
) -> Declaration:
    if declaration.seal_problem:
        return declaration
    for one in older:
        if one.content == version.content:
            return dataclasses.replace(declaration, revert_of=one.commit.id.decode())
    return declaration


def _declaration(state: DeclaredState, commit: Commit, *, seal_problem: str) -> Declaration:
    trailers = trailers_of(_text(commit.message))
    return Declaration(
        state=state,
        commit=commit.id.decode(),
        committed_at=datetime.fromtimestamp(commit.commit_time, tz=UTC).isoformat(),
        actor=trailers.get("Actor", "unknown"),
        reason=trailers.get("Reason", "unknown"),
        trailers=trailers,
        seal_problem=seal_problem,
    )


def _text(content: bytes) -> str:
    # What is no UTF-8 was not written here; it must not end the reader.
    return content.decode(errors="replace")


def _state(content: bytes) -> DeclaredState | None:
    try:
        return from_yaml(_text(content), subject="an earlier one")
    except DeclarationError:
        return None


def trailers_of(message: str) -> dict[str, str]:
    """Trailers of a commit message: the ``Key: value`` lines of its last paragraph.

    The first paragraph is the summary and holds none.
    """
    paragraph = message.rstrip("\n").partition("\n\n")[2].rsplit("\n\n", 1)[-1]
    # By \n alone: splitlines also splits at characters that a value may hold in a foreign commit.
    pairs = (line.partition(": ") for line in paragraph.split("\n"))
    return {key: value for key, separator, value in pairs if separator}


def _is_line_name(name: str) -> bool:
    try:
        check_line_name(name)
    except DeclarationError:
        return False
    return True


def _message(state: DeclaredState, trailers: Mapping[str, str]) -> str:
    for key, value in trailers.items():
        if len(key.splitlines()) != 1 or ":" in key or len(value.splitlines()) != 1:
            message = f"trailer {key!r}: expected one line, found {value!r}"
            raise InputError(message)
    shares = ", ".join(
        f"{variant.role} version {variant.version} at {variant.weight_percent:g} %"
        for variant in state.variants
    )
    rows = "\n".join(f"{key}: {value}" for key, value in trailers.items())
    return f"{state.line} {state.environment}: {shares}\n\n{rows}\n"
