"""The floor: Granian's RSGI reads the body and answers a constant. ECHO_BYTES says how long."""

from __future__ import annotations

import os
from typing import Any

BODY = b"x" * int(os.environ.get("ECHO_BYTES", "200"))
HEADERS = [("content-type", "application/json")]


class Echo:
    """An RSGI application."""

    async def __rsgi__(self, _scope: Any, connection: Any) -> None:  # noqa: ANN401 (Granian's own)
        """Answer."""
        await connection()
        connection.response_bytes(200, HEADERS, BODY)


app = Echo()
