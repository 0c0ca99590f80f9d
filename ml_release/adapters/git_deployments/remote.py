"""The remote of a deployments repository: fetched, followed and pushed to, never forced.

Credentials are never in its address: an agent, a key file or Git's own configuration has them.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from dulwich.client import get_transport_and_path
from dulwich.config import ConfigFile, StackedConfig
from dulwich.refs import Ref

from ml_release.adapters.git_deployments.trees import (
    BRANCH,
    head_of,
    moved,
    open_at,
    open_or_create,
)
from ml_release.domain.remote_state import remote_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime
    from pathlib import Path

    from dulwich.client import GitClient
    from dulwich.objects import ObjectID
    from dulwich.repo import Repo

    from ml_release.domain.remote_state import RemoteState

# Over HTTP four times, as dulwich tries again: what waits for a rollback is 20 s at most.
TIMEOUT_SECONDS = 5
_TRACKED = Ref(b"refs/remotes/origin/main")
_FAILURE = "ml-release-remote.json"


class GitRemote:
    """`DeploymentsRemote` behind a path or an address that Git knows, through dulwich.

    Parameters
    ----------
    root
        The local repository, made when something is fetched first.
    address
        A path, or ``file``, ``ssh`` or ``https`` address.
    branch
        Of the remote; here it is always ``main``.
    now
        The clock, for since when it is unreachable.
    """

    def __init__(
        self, root: Path, address: str, *, branch: str, now: Callable[[], datetime]
    ) -> None:
        self._root = root
        self._address = address
        self._branch = Ref(f"refs/heads/{branch}".encode())
        self._now = now

    def state(self) -> RemoteState:
        """As of the last look, without the network."""
        repository = open_at(self._root)
        if repository is None:
            return remote_state(address=self._address, local=None, remote=None, ahead=0, behind=0)
        with repository:
            return self._state(repository)

    def pull(self) -> RemoteState:
        """Fetch, and follow the remote where nothing is only here; never raises for the remote."""
        with open_or_create(self._root) as repository:
            try:
                self._fetch(repository)
            # The transports of dulwich raise errors of their own, of urllib3 and of the system.
            except Exception as error:  # noqa: BLE001
                self._keep_failure(error)
                return self._state(repository)
            self._forget_failure()
            found = self._state(repository)
            there = _tracked(repository)
            if found.kind == "behind" and there is not None:
                # By compare and swap: a declaration that came first here stays, and diverges.
                moved(repository, head_of(repository), there)
                found = self._state(repository)
            return found

    def push(self) -> RemoteState:
        """Let the remote's branch follow, if it is where it was fetched; never forced."""
        with open_or_create(self._root) as repository:
            head, tracked = head_of(repository), _tracked(repository)
            if head is None or head == tracked:
                return self._state(repository)
            try:
                refused = self._send(repository, head, tracked)
            except Exception as error:  # noqa: BLE001 (as above)
                self._keep_failure(error)
                return self._state(repository)
            if not refused:
                repository.refs[_TRACKED] = head
                self._forget_failure()
                return self._state(repository)
        # Refused: somebody was first, or the remote does not want it. A look at it tells which.
        found = self.pull()
        if found.kind == "ahead":
            self._keep_failure(refused, is_reachable=True)
            with open_or_create(self._root) as repository:
                return self._state(repository)
        return found

    def sync(self) -> RemoteState:
        """Pull, then push what is only here."""
        found = self.pull()
        return self.push() if found.kind == "ahead" else found

    def take_back(self, commit: str, *, to: str | None) -> bool:
        """Undo the newest commit here, which was not pushed; False if another came after it."""
        with open_or_create(self._root) as repository:
            old = commit.encode()
            if to is None:
                return repository.refs.remove_if_equals(BRANCH, old)  # type: ignore[arg-type]
            return repository.refs.set_if_equals(BRANCH, old, to.encode())  # type: ignore[arg-type]

    def _client(self, operation: str) -> tuple[GitClient, str]:
        bounds = ConfigFile()
        bounds.set((b"http",), b"timeout", str(TIMEOUT_SECONDS).encode())
        bounds.set(
            (b"core",),
            b"sshCommand",
            f"ssh -o BatchMode=yes -o ConnectTimeout={TIMEOUT_SECONDS}".encode(),
        )
        config = StackedConfig([*StackedConfig.default_backends(), bounds])
        return get_transport_and_path(self._address, config=config, operation=operation, quiet=True)

    def _fetch(self, repository: Repo) -> None:
        client, path = self._client("pull")
        found: list[ObjectID] = []

        def wants(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:
            del depth
            found.extend([refs[self._branch]] if self._branch in refs else [])
            return [sha for sha in found if sha not in repository.object_store]

        client.fetch(path, repository, determine_wants=wants)
        if found:
            repository.refs[_TRACKED] = found[0]
        elif _TRACKED in repository.refs:
            del repository.refs[_TRACKED]

    def _send(self, repository: Repo, head: ObjectID, tracked: ObjectID | None) -> str:
        """Why the remote did not take it; "" if it did."""
        client, path = self._client("push")
        lost = f"{self._branch.decode()} moved meanwhile"
        refused: list[str] = []

        def update(refs: dict[Ref, ObjectID]) -> dict[Ref, ObjectID]:
            if refs.get(self._branch) != tracked:
                refused.append(lost)
                return {}
            return {self._branch: head}

        def pack(have: AbstractSet[ObjectID], want: AbstractSet[ObjectID], **_: Any) -> Any:
            return repository.generate_pack_data(set(have), set(want))

        result = client.send_pack(path.encode(), update, pack)
        said = (result.ref_status or {}).get(self._branch)
        return refused[0] if refused else str(said or "")

    def _state(self, repository: Repo) -> RemoteState:
        local, remote = head_of(repository), _tracked(repository)
        failure = self._failure()
        return remote_state(
            address=self._address,
            local=local.decode() if local else None,
            remote=remote.decode() if remote else None,
            ahead=_count(repository, local, remote),
            behind=_count(repository, remote, local),
            reason=str(failure.get("reason", "")),
            since=str(failure.get("since", "")),
            is_reachable=not failure or bool(failure.get("is_reachable")),
        )

    def _failure(self) -> dict[str, object]:
        try:
            found = json.loads((self._root / _FAILURE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _keep_failure(self, error: object, *, is_reachable: bool = False) -> None:
        """Beside the branch, so that another process knows since when."""
        kind = f"{type(error).__name__}: " if isinstance(error, Exception) else ""
        text = " ".join(f"{kind}{error}".split())[:300]
        known = self._failure()
        # Since when it could not be reached, not since the last try.
        same = known.get("is_reachable") == is_reachable
        since = known.get("since") if same else None
        document = {
            "reason": text,
            "since": since or self._now().isoformat(timespec="seconds"),
            "is_reachable": is_reachable,
        }
        # Who may only read the repository still tells the reason of another.
        with contextlib.suppress(OSError):
            draft = self._root / f"{_FAILURE}.draft"
            draft.write_text(json.dumps(document), encoding="utf-8")
            draft.replace(self._root / _FAILURE)

    def _forget_failure(self) -> None:
        with contextlib.suppress(OSError):
            (self._root / _FAILURE).unlink(missing_ok=True)


def _tracked(repository: Repo) -> ObjectID | None:
    found = repository.refs.read_ref(_TRACKED)
    return None if found is None else found  # type: ignore[return-value]


def _count(repository: Repo, of: ObjectID | None, beyond: ObjectID | None) -> int:
    """Commits of one branch that another has not."""
    if of is None or of == beyond:
        return 0
    exclude = [] if beyond is None else [beyond]
    return sum(1 for _ in repository.get_walker(include=[of], exclude=exclude))
