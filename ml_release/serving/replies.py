"""What goes back to a client, and the error that becomes one."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

Headers = tuple[tuple[str, str], ...]

JSON_HEADER = ("content-type", "application/json")


class Reply(NamedTuple):
    """Status, body and headers of an answer."""

    status: int
    body: bytes
    headers: Headers = (JSON_HEADER,)


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
