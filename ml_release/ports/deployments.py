"""What is declared to serve, and what was switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.domain.kill_switch import Pulled
    from ml_release.domain.remote_state import RemoteState


class Deployments(Protocol):
    """Declared state under version control, sealed by whoever may declare."""

    def read(self, line: str, environment: str) -> Declaration | None:
        """What is declared now, None if nothing ever was.

        A declaration that was edited by hand is returned with its ``seal_problem``, and so is an
        earlier one that was put back and serves a version that was withdrawn since.
        """

    def sealed(self, line: str, environment: str) -> Declaration | None:
        """The newest declaration without a seal problem: what counts, and what a server serves."""

    def declare(
        self,
        state: DeclaredState,
        *,
        expected_commit: str | None,
        trailers: Mapping[str, str],
        at: datetime,
    ) -> Declaration:
        """Write the whole file as one commit.

        ``expected_commit`` is the commit of the declaration the writer had read (None: there was
        none). Raises `StaleWriteError` if another one stands there now.

        What sealed declarations before it have withdrawn, or lifted, is written too, whether or not
        the writer knew it, see `ml_release.domain.withdrawals`. Raises `RefusedError` if the state
        serves a version that is withdrawn.
        """

    def history(self, line: str, environment: str) -> tuple[Declaration, ...]:
        """Every declaration, oldest first."""


class DeploymentsRemote(Protocol):
    """The remote through which declared state is shared; nothing here raises because of it."""

    def sync(self) -> RemoteState:
        """Fetch, follow it where nothing is only here, and push what is only here."""

    def state(self) -> RemoteState:
        """As of the last look, by whichever process; asks nobody."""


class Switches(Protocol):
    """Kill switches that were pulled at the endpoint and are not in Git yet."""

    def pull(self, line: str, environment: str, pulled: Pulled) -> None:
        """Keep what was done; raises `UnavailableError` if it cannot be."""

    def lines(self, environment: str) -> tuple[str, ...]:
        """Lines of which something is kept."""

    def read(self, line: str, environment: str) -> Pulled | None:
        """What was done last; None if there is nothing."""

    def clear(self, line: str, environment: str, pulled: Pulled) -> bool:
        """Forget exactly this; False if something else was done since."""
