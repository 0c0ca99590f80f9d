"""Requests that are read in the same turn of the event loop are answered together.

While one request is worked on, others arrive. All that were read before the loop gets on share one
question to the model and one write to the log, and each stage is done for all of them while it is
at hand. Nobody waits for a request that is still to come: alone, one is answered as it ever was.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from ml_release.serving.model_table import Answering
    from ml_release.serving.predictions import Asked
    from ml_release.serving.replies import Reply


class Waiting(NamedTuple):
    """A request that was read, and its reply to come.

    Attributes
    ----------
    failure
        Why another version than the assigned one answers; None if it does not.
    """

    asked: Asked
    chosen: Answering
    failure: str | None
    reply: asyncio.Future[Reply]


class Turn:
    """Those that wait for the end of this turn; made in the thread of the event loop.

    Parameters
    ----------
    answer
        Gives every reply, or the error in its place, of requests of one route to one version.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, answer: Callable[[Sequence[Waiting]], None]
    ) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._answer = answer
        self._waiting: list[Waiting] = []

    @property
    def is_on(self) -> bool:
        """Whether the caller is in a turn of this loop; who calls from elsewhere waits for none."""
        return threading.get_ident() == self._thread and self._loop.is_running()

    def join(self, asked: Asked, chosen: Answering, failure: str | None) -> asyncio.Future[Reply]:
        """Let a request be answered at the end of this turn."""
        waiting = Waiting(asked, chosen, failure, self._loop.create_future())
        if not self._waiting:
            self._loop.call_soon(self._end)
        self._waiting.append(waiting)
        return waiting.reply

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        groups: dict[tuple[int, int], list[Waiting]] = {}
        for one in waiting:
            groups.setdefault((id(one.asked.route), id(one.chosen)), []).append(one)
        for group in groups.values():
            try:
                self._answer(group)
            # Whatever it is, nobody is left waiting, and the other groups are answered.
            except Exception as error:  # noqa: BLE001
                for one in group:
                    if not one.reply.done():
                        one.reply.set_exception(error)
