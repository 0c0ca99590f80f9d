"""Endpoints as their clients see them, and a server to try a version on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ml_release.domain.trial import LoadMeasured, Served, Trial, TrialLoad, TrialReply
    from ml_release.ports.deployments import Deployments


class EndpointClient(Protocol):
    """An endpoint, spoken to as a client."""

    def invoke(
        self, line: str, body: bytes, *, request_id: str, event_time: str, unit: str | None = None
    ) -> tuple[int, str]:
        """Ask for a prediction in MLflow's scoring protocol: HTTP status and body.

        ``unit`` is who asks, always answered by the same variant; None lets each request be its
        own. Raises `UnavailableError` if nothing answers.
        """

    def is_ready(self, line: str) -> bool:
        """Whether something answers for the line, as its server says.

        Raises `UnavailableError` if nothing answers, or it does not tell whoever asks.
        """

    def tell_labels(self, line: str, labels: Sequence[Mapping[str, object]]) -> tuple[int, str]:
        """Tell late labels by request id: HTTP status and body.

        Raises `UnavailableError` if nothing answers.
        """

    def switch(self, line: str, pull: Mapping[str, object]) -> tuple[int, str]:
        """Pull or release the kill switch of a line: HTTP status and body.

        Raises `UnavailableError` if nothing answers.
        """


class TrialServer(Protocol):
    """Starts a real endpoint server, apart from everything that others use."""

    def start(self, trial: Trial) -> AbstractContextManager[RunningTrial]:
        """A server that answers for what is on trial; at the end of the block nothing is left.

        It has declared state, an inference log and kill switches of its own, reads the artefacts
        that everybody reads, and trusts the same keys.

        Raises `UnavailableError` if it ends, or does not answer for the version within
        ``trial.start_limit_s``, with the last lines of its log.
        """


class RunningTrial(Protocol):
    """A server on trial that answers."""

    @property
    def start_s(self) -> float:
        """Seconds from the start of the process until it answered for the version."""

    @property
    def deployments(self) -> Deployments:
        """Its declared state: what is declared there, it serves."""

    def served(self) -> tuple[Served, ...]:
        """Every request in its log so far, in the order in which they came."""

    def ask(
        self, method: str, path: str, *, body: bytes = b"", request_id: str | None = None
    ) -> TrialReply:
        """One request over HTTP; whatever comes back, also nothing, is a reply."""

    def load(
        self, path: str, load: TrialLoad, *, on_progress: Callable[[int, int], None] | None = None
    ) -> LoadMeasured:
        """Many requests at once; ``on_progress`` is told answers so far, and requests in all.

        Requests that a server which is gone does not answer count as failed.
        """

    def logged(self) -> Mapping[str, int]:
        """Rows in its inference log, by request id."""

    def memory_mb(self) -> float | None:
        """Resident memory of its process in 10^6 bytes; None if it cannot be had."""
