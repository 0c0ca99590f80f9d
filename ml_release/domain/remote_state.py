"""How a deployments repository stands to the remote it is shared through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteState:
    """As of the last look at the remote.

    Attributes
    ----------
    kind
        ``unreachable`` whatever was known before: the counts are then those of the last look.
    address
        Of the remote; it never holds a password.
    local, remote
        Newest commit here and there; None where nothing was ever declared.
    ahead, behind
        Commits that only this repository has, and that only the remote has.
    reason, since
        Why it could not be reached or refused a push, and since when, ISO 8601; "" otherwise.
    """

    kind: Literal["in_sync", "ahead", "behind", "diverged", "unreachable"]
    address: str
    local: str | None
    remote: str | None
    ahead: int = 0
    behind: int = 0
    reason: str = ""
    since: str = ""

    @property
    def is_harmless(self) -> bool:
        """Whether nothing has to be done."""
        return self.kind == "in_sync"

    def sentence(self) -> str:
        """The state in words."""
        if self.kind == "in_sync":
            return f"in sync with {self.address}"
        if self.kind == "unreachable":
            waiting = f"ahead by {self.ahead}, not pushed: " if self.ahead else ""
            return f"{waiting}{self.address} is unreachable since {self.since}: {self.reason}"
        if self.kind == "ahead":
            return f"ahead by {self.ahead}, not pushed: {self.reason or 'not tried yet'}"
        if self.kind == "behind":
            return f"behind {self.address} by {self.behind}"
        return (
            f"diverged from {self.address}: {self.ahead} commits up to {_short(self.local)} are"
            f" only here, {self.behind} up to {_short(self.remote)} only there"
        )


def remote_state(
    *,
    address: str,
    local: str | None,
    remote: str | None,
    ahead: int,
    behind: int,
    reason: str = "",
    since: str = "",
    is_reachable: bool = True,
) -> RemoteState:
    """The state of two branches, of which each has so many commits that the other has not."""
    kind: Literal["in_sync", "ahead", "behind", "diverged", "unreachable"] = "in_sync"
    if not is_reachable:
        kind = "unreachable"
    elif ahead and behind:
        kind = "diverged"
    elif ahead or behind:
        kind = "ahead" if ahead else "behind"
    return RemoteState(
        kind=kind,
        address=address,
        local=local,
        remote=remote,
        ahead=ahead,
        behind=behind,
        reason=reason,
        since=since,
    )


def _short(commit: str | None) -> str:
    return "none" if commit is None else commit[:_SHOWN]
