"""The floor: Granian's RSGI reads the body and answers a constant. Arguments: port, bytes."""

from __future__ import annotations

import sys
from typing import Any

from granian import Granian
from granian.constants import Interfaces

import os; BODY = b"x" * int(os.environ.get("ECHO_BYTES", "130"))
HEADERS = [("content-type", "application/json")]


class Echo:
    """An RSGI application."""

    async def __rsgi__(self, _scope: Any, connection: Any) -> None:  # noqa: ANN401 (Granian's own)
        """Answer."""
        await connection()
        connection.response_bytes(200, HEADERS, BODY)


app = Echo()

if __name__ == "__main__":
    Granian(
        f"{__spec__.name if __spec__ else 'echo'}:app",
        port=int(sys.argv[1]),
        interface=Interfaces.RSGI,
        log_enabled=False,
        target=None,
    ).serve()
