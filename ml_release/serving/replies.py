"""What goes back to a client, and the error that becomes one."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

Headers = tuple[tuple[str, str], ...]

JSON_HEADER = ("content-type", "application/json")
NOT_LOGGED = ("x-logged", "no")
"""Says that an answer left no record, where that is allowed."""

RETRY_HEADER = ("retry-after", "10")
"""In seconds: room in the log takes an archivist, or a person."""


class Reply(NamedTuple):
    """Status, body and headers of an answer.

    ``written`` is the position in the inference log that has to be durable before it is sent; None
    if nothing was written.
    """

    status: int
    body: bytes
    headers: Headers = (JSON_HEADER,)
    written: int | None = None


class HttpError(Exception):
    """A request that ends with a status of its own, inside the server only."""

    def __init__(self, status: int, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers

    def reply(self) -> Reply:
        """The error as JSON."""
        return error_reply(self.status, str(self), self.headers)


def json_reply(document: object, *, status: int = 200) -> Reply:
    """A document as JSON."""
    return Reply(status, msgspec.json.encode(document))


def error_reply(status: int, message: str, headers: Headers = ()) -> Reply:
    """An error as JSON: ``{"error": message}``."""
    return Reply(status, msgspec.json.encode({"error": message}), (JSON_HEADER, *headers))
