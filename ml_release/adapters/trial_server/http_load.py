"""A load generator that costs less than what it measures: sockets, and requests made before.

Each connection is kept alive and asks its next request when it has the answer to the last one (a
closed loop). One request costs this client some 10 microseconds, and nothing of an answer is
parsed but its status and its length. Loopback only.
"""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_release.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOOPBACK = "127.0.0.1"
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_READ_BYTES = 1 << 18
_TURN_SECONDS = 0.05
_NO_ANSWER = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer to one request.

    Attributes
    ----------
    request
        Position of the request in those that were given.
    status
        0 if the connection was closed or no answer came.
    sent_s, answered_s
        In seconds since the load began; both by the client's clock.
    """

    request: int
    status: int
    sent_s: float
    answered_s: float


@dataclass(slots=True, kw_only=True)
class _Connection:
    open: socket.socket
    request: int = 0
    sent_s: float = 0.0
    partial: bytes = field(default=b"")


def prebuilt(path: str, bodies: Sequence[bytes], *, ids: Sequence[str] = ()) -> list[bytes]:
    """Whole requests with JSON bodies; with ``ids`` each states its own in ``x-request-id``."""
    stated = [f"x-request-id: {one}\r\n" for one in ids] or [""] * len(bodies)
    return [
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"{more}content-length: {len(body)}\r\n\r\n".encode()
        + body
        for body, more in zip(bodies, stated, strict=True)
    ]


def whole_length(answer: bytes) -> int | None:
    """Bytes of an answer whose head is there, None as long as it is not.

    Raises
    ------
    UnavailableError
        If the head does not say how long the body is.
    """
    end = answer.find(_END)
    if end < 0:
        return None
    head = answer[:end].lower()
    position = head.find(_LENGTH)
    if position < 0:
        message = f"load: expected an answer with a content-length, found {head[:200]!r}"
        raise UnavailableError(message)
    stated = head[position + len(_LENGTH) :].split(b"\r\n", 1)[0]
    return end + len(_END) + int(stated)


def ask_under_load(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    is_endless: bool = False,
    grace_s: float = 10.0,
    on_progress: Callable[[int], None] | None = None,
) -> list[Answer]:
    """Ask until every request was sent once, or the time is over.

    Parameters
    ----------
    seconds
        After that nothing is sent any more.
    is_endless
        Begin with the first request again after the last one, until the time is over.
    grace_s
        How long an answer that is still to come is waited for; it counts as none after that.
    on_progress
        Called with the number of answers, after every one.

    Raises
    ------
    UnavailableError
        If nothing listens at the port, or an answer cannot be read.
    """
    loop = _Loop(port=port, requests=requests, is_endless=is_endless, on_progress=on_progress)
    with ExitStack() as stack:
        stack.callback(loop.close)
        return loop.run(connections=connections, seconds=seconds, grace_s=grace_s)


@dataclass(slots=True, kw_only=True)
class _Loop:
    port: int
    requests: Sequence[bytes]
    is_endless: bool
    on_progress: Callable[[int], None] | None
    answers: list[Answer] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _waiting: dict[socket.socket, _Connection] = field(default_factory=dict)
    _sent: int = 0
    _begun: float = 0.0

    def run(self, *, connections: int, seconds: float, grace_s: float) -> list[Answer]:
        self._begun = time.perf_counter()
        for _ in range(connections):
            if self._has_more(seconds):
                self._send(self._connect())
        while self._waiting and self._now() < seconds + grace_s:
            for key, _ in self._selector.select(_TURN_SECONDS):
                self._receive(self._waiting[key.fileobj], seconds)  # type: ignore[index]
        for connection in list(self._waiting.values()):
            self._conclude(connection, _NO_ANSWER)
        return self.answers

    def close(self) -> None:
        for connection in list(self._waiting.values()):
            connection.open.close()
        self._selector.close()

    def _now(self) -> float:
        return time.perf_counter() - self._begun

    def _has_more(self, seconds: float) -> bool:
        is_left = self.is_endless or self._sent < len(self.requests)
        return bool(self.requests) and is_left and self._now() < seconds

    def _connect(self) -> _Connection:
        try:
            opened = socket.create_connection((LOOPBACK, self.port), timeout=5)
        except OSError as error:
            message = f"load: nothing listens on port {self.port} of {LOOPBACK} ({error})"
            raise UnavailableError(message) from error
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(opened, selectors.EVENT_READ)
        connection = _Connection(open=opened)
        self._waiting[opened] = connection
        return connection

    def _send(self, connection: _Connection) -> None:
        connection.request = self._sent % len(self.requests)
        connection.sent_s = self._now()
        self._sent += 1
        # What could not be sent is not answered either: reading says so.
        with suppress(OSError):
            connection.open.sendall(self.requests[connection.request])

    def _receive(self, connection: _Connection, seconds: float) -> None:
        try:
            more = connection.open.recv(_READ_BYTES)
        except OSError:
            more = b""
        if not more:
            self._conclude(connection, _NO_ANSWER)
            if self._has_more(seconds):
                self._send(self._connect())
            return
        connection.partial += more
        length = whole_length(connection.partial)
        if length is None or len(connection.partial) < length:
            return
        status = int(connection.partial[9:12])
        connection.partial = b""
        self._answered(connection, status)
        if self._has_more(seconds):
            self._send(connection)
        else:
            self._forget(connection)

    def _conclude(self, connection: _Connection, status: int) -> None:
        self._answered(connection, status)
        self._forget(connection)

    def _forget(self, connection: _Connection) -> None:
        del self._waiting[connection.open]
        self._selector.unregister(connection.open)
        connection.open.close()

    def _answered(self, connection: _Connection, status: int) -> None:
        self.answers.append(
            Answer(
                request=connection.request,
                status=status,
                sent_s=connection.sent_s,
                answered_s=self._now(),
            )
        )
        if self.on_progress is not None:
            self.on_progress(len(self.answers))
