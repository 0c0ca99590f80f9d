"""The endpoint as an RSGI application: reads a body within its limits, and sends the reply.

https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ml_release.serving.acknowledging import Acknowledging
from ml_release.serving.content_coding import require_known_coding, without_coding
from ml_release.serving.replies import HttpError, Reply, error_reply
from ml_release.serving.routes import find_address

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterator, Awaitable

    from ml_release.serving.attendance import Attendance, Visit
    from ml_release.serving.endpoint import Endpoint

MAX_BODY_BYTES = 2 * 1024 * 1024
_DRAINED_BYTES = 4 * MAX_BODY_BYTES
"""So much of a body that is too large is still read, so that its sender gets to see the answer."""

_TOO_LARGE = f"request body: expected at most {MAX_BODY_BYTES} bytes, found more"


class RequestHeaders(Protocol):
    """Headers of a request by lower-case name."""

    def get(self, key: str, default: str | None = None) -> str | None:
        """The value, or the default."""


class Scope(Protocol):
    """What RSGI tells about a request."""

    @property
    def proto(self) -> str:
        """``http`` or ``ws``."""

    @property
    def method(self) -> str:
        """Method in upper case."""

    @property
    def path(self) -> str:
        """Path without the query."""

    @property
    def headers(self) -> RequestHeaders:
        """Headers of the request."""


class Connection(Protocol):
    """What RSGI gives to read the body and to answer."""

    def __call__(self) -> Awaitable[bytes]:
        """The whole body."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer."""


class EndpointApp:
    """RSGI application over an `Endpoint`."""

    def __init__(self, endpoint: Endpoint, attendance: Attendance) -> None:
        self._endpoint = endpoint
        self._acknowledging = Acknowledging(endpoint.log)
        self._attendance = attendance

    def __rsgi_init__(self, loop: AbstractEventLoop) -> None:
        """Answer in turns of the loop that calls this, once and before any request."""
        self._endpoint.answer_in_turns(loop)

    async def __rsgi__(self, scope: Scope, connection: Connection) -> None:
        """Answer one request."""
        headers = _Readable(scope.headers)
        visit = self._attendance.arrive(headers)
        reply = await self._reply(scope, headers, connection, visit)
        reply = self._attendance.leave(visit, scope.method, reply)
        connection.response_bytes(reply.status, list(reply.headers), reply.body)

    async def _reply(
        self, scope: Scope, headers: _Readable, connection: Connection, visit: Visit
    ) -> Reply:
        method, path = scope.method, scope.path
        try:
            address, line, _ = find_address(method, path)
            # Before the body is read: nobody without a token makes the server keep anything.
            line = line or self._endpoint.line_meant_by(address)
            self._attendance.admit(visit, address, line, headers)
            body = b""
            if address.method == "POST":
                body = await _body(scope.headers, connection, address.content_types)
        except HttpError as error:
            return error.reply()
        # The connection broke or its framing is wrong: there may be nobody left to tell.
        except (RuntimeError, OSError) as error:
            return error_reply(400, f"request body: it cannot be read ({error})")
        reply = self._endpoint.answer(method, path, headers, body)
        reply = reply if isinstance(reply, Reply) else await reply
        return await self._acknowledging.when_durable(reply)


class _Readable:
    """Headers whose values are text; one that is not is as good as absent."""

    def __init__(self, headers: RequestHeaders) -> None:
        self._headers = headers

    def get(self, key: str, /) -> str | None:
        """The value, None if there is none that is text."""
        try:
            return self._headers.get(key)
        except (UnicodeDecodeError, RuntimeError):
            return None


async def _body(
    headers: RequestHeaders, connection: Connection, content_types: tuple[str, ...]
) -> bytes:
    content_type = headers.get("content-type") or content_types[0]
    if content_type.split(";")[0].strip().lower() not in content_types:
        expected, found = " or ".join(content_types), content_type[:80]
        message = f"header content-type: expected {expected}, found {found!a}"
        raise HttpError(415, message)
    encoding = headers.get("content-encoding")
    coding = None if encoding is None else require_known_coding(encoding)
    body = await _packed_body(headers, connection)
    return body if coding is None else without_coding(body, coding, limit=MAX_BODY_BYTES)


async def _packed_body(headers: RequestHeaders, connection: Connection) -> bytes:
    stated = headers.get("content-length") or ""
    if stated.isdecimal() and int(stated) <= MAX_BODY_BYTES:
        return await connection()
    if stated.isdecimal() and int(stated) > _DRAINED_BYTES:
        raise HttpError(413, _TOO_LARGE)
    pieces = []
    size = 0
    async for piece in connection:
        size += len(piece)
        if size <= MAX_BODY_BYTES:
            pieces.append(piece)
        elif size > _DRAINED_BYTES:
            break
    if size > MAX_BODY_BYTES:
        raise HttpError(413, _TOO_LARGE)
    return b"".join(pieces)
