"""What is declared to serve, the remote, and what was switched off."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ml_release.domain.deployment import Declaration, from_yaml, path_of, to_yaml
from ml_release.domain.identity import canonical_json, check_line_name, digest_hex, digest_of_bytes
from ml_release.domain.withdrawals import keeping, known_to_all
from ml_release.errors import InputError, StaleWriteError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.kill_switch import Pulled
    from ml_release.domain.remote_state import RemoteState


class InMemoryDeployments:
    """`Deployments` as one list per line and environment."""

    def __init__(self) -> None:
        self._histories: dict[str, list[Declaration]] = {}
        self._lock = threading.Lock()

    def read(self, line: str, environment: str) -> Declaration | None:
        """What is declared now, None if nothing ever was."""
        history = self.history(line, environment)
        return history[-1] if history else None

    def declare(
        self,
        state: DeclaredState,
        *,
        expected_commit: str | None,
        trailers: Mapping[str, str],
        at: datetime,
    ) -> Declaration:
        """Add a declaration, if the one that stands is still the expected one."""
        path = path_of(state.line, state.environment)
        for key, value in trailers.items():
            if ":" in key or len(key.splitlines()) != 1 or len(value.splitlines()) != 1:
                message = f"trailer {key!r}: expected one line, found {value!r}"
                raise InputError(message)
        with self._lock:
            history = self._histories.setdefault(path, [])
            standing = history[-1] if history else None
            found = None if standing is None else standing.commit
            if found != expected_commit:
                message = f"{path}: expected to replace commit {expected_commit}, found {found}"
                raise StaleWriteError(message)
            state = keeping(state, known_to_all(one.state for one in history))
            if standing is not None and standing.state == state:
                return standing
            # Through text and back, as every reader of a file gets it.
            written = from_yaml(to_yaml(state), subject=path)
            commit = canonical_json([found, to_yaml(state), dict(trailers), at.isoformat()])
            declaration = Declaration(
                state=written,
                commit=digest_hex(digest_of_bytes(commit))[:40],
                committed_at=at.astimezone(UTC).replace(microsecond=0).isoformat(),
                actor=trailers.get("Actor", "unknown"),
                reason=trailers.get("Reason", "unknown"),
                trailers=dict(trailers),
                # Nobody else can write here.
                seal_problem="",
            )
            history.append(declaration)
        return declaration

    def sealed(self, line: str, environment: str) -> Declaration | None:
        """What is declared now."""
        return self.read(line, environment)

    def history(self, line: str, environment: str) -> tuple[Declaration, ...]:
        """Every declaration, oldest first."""
        return tuple(self._histories.get(path_of(line, environment), ()))


class InMemoryRemote:
    """A remote in one state; counts how often it was looked at."""

    def __init__(self, state: RemoteState) -> None:
        self.now = state
        self.looks = 0
        self._seen = state

    def sync(self) -> RemoteState:
        """What it is in now."""
        self.looks += 1
        self._seen = self.now
        return self._seen

    def state(self) -> RemoteState:
        """What it was in at the last look."""
        return self._seen


class InMemorySwitches:
    """`Switches` that forget everything with the process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Pulled] = {}

    def pull(self, line: str, environment: str, pulled: Pulled) -> None:
        """Keep what was done."""
        self._kept[check_line_name(line), environment] = pulled

    def lines(self, environment: str) -> tuple[str, ...]:
        """Lines of which something is kept."""
        return tuple(sorted(line for line, kept in self._kept if kept == environment))

    def read(self, line: str, environment: str) -> Pulled | None:
        """What was done last; None if there is nothing."""
        return self._kept.get((check_line_name(line), environment))

    def clear(self, line: str, environment: str, pulled: Pulled) -> bool:
        """Forget exactly this; False if something else was done since."""
        if self._kept.get((line, environment)) != pulled:
            return False
        del self._kept[line, environment]
        return True
