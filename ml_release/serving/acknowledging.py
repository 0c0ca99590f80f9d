"""Holds an answer back until the log is as durable as declared.

The log syncs in a thread of its own, for all requests that wait at the same time, so the event
loop goes on with others meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ml_release.errors import LogFullError, UnavailableError
from ml_release.serving.replies import NOT_LOGGED, RETRY_HEADER, error_reply

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ml_release.adapters.inference_log import InferenceLogFiles
    from ml_release.serving.replies import Reply

_LOG = logging.getLogger(__name__)


class Acknowledging:
    """One per event loop."""

    def __init__(self, log: InferenceLogFiles) -> None:
        self._log = log
        self._pending: Future[None] | None = None
        self._shared: asyncio.Future[None] | None = None

    async def when_durable(self, reply: Reply) -> Reply:
        """The reply itself, once its records are where they have to be; 503 if they are lost."""
        if reply.written is None:
            return reply
        try:
            pending = self._log.commit(reply.written)
            if pending is not None:
                # A client that goes away must not end the wait of the others.
                await asyncio.shield(self._future_of(pending))
            return reply
        except UnavailableError as error:
            _LOG.warning("%s", error)
            if isinstance(error, LogFullError):
                if self._log.bounds.when_full == "answer_unlogged":
                    return reply._replace(headers=(*reply.headers, NOT_LOGGED))
                return error_reply(503, str(error), (RETRY_HEADER,))
            return error_reply(503, str(error))

    def _future_of(self, pending: Future[None]) -> asyncio.Future[None]:
        """The group's future on this loop, made once per group."""
        if self._shared is None or self._pending is not pending:
            self._pending, self._shared = pending, asyncio.wrap_future(pending)
        return self._shared
