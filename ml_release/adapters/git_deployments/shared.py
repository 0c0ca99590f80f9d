"""Declared state that is shared through a remote: what is declared here is pushed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ml_release.errors import StaleWriteError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ml_release.adapters.git_deployments import GitDeployments
    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.domain.remote_state import RemoteState


class Remote(Protocol):
    """What is asked of the remote."""

    def pull(self) -> RemoteState:
        """Fetch, and follow where nothing is only here."""

    def push(self) -> RemoteState:
        """Push what is only here, if the remote is where it was fetched."""

    def take_back(self, commit: str, *, to: str | None) -> bool:
        """Undo the newest commit here; False if another came after it."""


class SharedDeployments:
    """`Deployments` of a local repository and its remote.

    Reading is local: the server, and `ml-release status`, bring it up to date.

    Parameters
    ----------
    goes_on_alone
        Whether to declare while the remote cannot be reached, and to push later: for what must not
        wait, a rollback and a kill switch. Otherwise nothing is declared then.
    """

    def __init__(self, local: GitDeployments, remote: Remote, *, goes_on_alone: bool) -> None:
        self._local = local
        self._remote = remote
        self._goes_on_alone = goes_on_alone

    def read(self, line: str, environment: str) -> Declaration | None:
        """What is declared here."""
        return self._local.read(line, environment)

    def sealed(self, line: str, environment: str) -> Declaration | None:
        """The newest declaration here that is sealed."""
        return self._local.sealed(line, environment)

    def history(self, line: str, environment: str) -> tuple[Declaration, ...]:
        """Every declaration here, oldest first."""
        return self._local.history(line, environment)

    def declare(
        self,
        state: DeclaredState,
        *,
        expected_commit: str | None,
        trailers: Mapping[str, str],
        at: datetime,
    ) -> Declaration:
        """Follow the remote, declare here, and push; all or nothing, unless it goes on alone.

        Raises
        ------
        StaleWriteError
            If another declaration stands here or at the remote, or both have commits of their own;
            what was declared here is taken back.
        UnavailableError
            If the remote cannot be reached or does not take it, and this does not go on alone.
        """
        subject = f"{state.line} in {state.environment}"
        found = self._remote.pull()
        if found.kind == "ahead":
            # Declared alone, or by a process that ended before it could push.
            found = self._remote.push()
        self._require_usable(found, subject)
        before = self._local.head()
        made = self._local.declare(state, expected_commit=expected_commit, trailers=trailers, at=at)
        if self._local.head() == before or found.kind == "unreachable":
            return made
        pushed = self._remote.push()
        if pushed.kind == "in_sync" or (pushed.kind != "diverged" and self._goes_on_alone):
            return made
        is_undone = self._remote.take_back(made.commit, to=before)
        if pushed.kind == "diverged":
            self._remote.pull()
            message = (
                f"{subject}: commit {made.commit} lost to commit {pushed.remote}, which was pushed"
                f" to {pushed.address} first. {_undone(is_undone=is_undone)} Look at it and decide"
                " again."
            )
            raise StaleWriteError(message)
        message = (
            f"{subject}: {pushed.address} did not take commit {made.commit}: {pushed.reason}."
            f" {_undone(is_undone=is_undone)} Try again."
        )
        raise UnavailableError(message)

    def _require_usable(self, found: RemoteState, subject: str) -> None:
        if found.kind == "diverged":
            message = (
                f"{subject}: expected to follow {found.address}, found it diverged: commit"
                f" {found.local} is only here, commit {found.remote} only there. Nothing was"
                " declared. Keep the one here under another name (git branch kept main), let main"
                " be the one there (git update-ref refs/heads/main refs/remotes/origin/main) and"
                " decide again, in the deployments folder of the home."
            )
            raise StaleWriteError(message)
        if found.kind in {"unreachable", "ahead"} and not self._goes_on_alone:
            message = (
                f"{subject}: expected to reach the remote of the deployments repository, found:"
                f" {found.sentence()}. Nothing was declared. Try again; a rollback and a kill"
                " switch do not wait for it."
            )
            raise UnavailableError(message)


def _undone(*, is_undone: bool) -> str:
    if is_undone:
        return "It was taken back."
    return "It could not be taken back: another one follows it here."
