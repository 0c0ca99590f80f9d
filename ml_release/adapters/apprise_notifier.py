"""Notices over whatever people read, through apprise. Nothing else knows apprise.

Addresses hold tokens, also in their paths, where apprise does not mask them: no message, log or
error of this module names more of one than its number and its scheme. Each address is told in a
thread of its own that nobody waits for longer than the time limit: a server that hangs holds up
neither the others nor the end of the process.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml_release.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.notices import Notice

_LOG = logging.getLogger(__name__)
LIMIT_SECONDS = 10.0
"""For all addresses together."""


@dataclass(slots=True)
class _Sending:
    """One address being told; ``problem`` is "" once it was."""

    name: str
    teller: Any = field(repr=False)
    problem: str = "gave no answer in time"
    thread: threading.Thread | None = field(default=None, repr=False)

    def begin(self, notice: Notice) -> None:
        """Tell it, in a thread."""
        if self.teller is None:
            return
        # Daemonic: the end of the process waits for no server that hangs.
        self.thread = threading.Thread(
            target=self._tell, args=(notice,), daemon=True, name="notifier"
        )
        self.thread.start()

    def _tell(self, notice: Notice) -> None:
        try:
            was_told = self.teller.notify(
                title=notice.title, body=notice.body, notify_type=notice.severity
            )
            self.problem = "" if was_told else "did not take it"
        # apprise's plugins raise what their libraries raise, with the address in the text.
        except Exception as error:  # noqa: BLE001
            self.problem = f"broke ({type(error).__name__})"


class AppriseNotifier:
    """`Notifier` for some apprise addresses; all of them are told, one is enough.

    If only some took a notice it counts as sent: to try again would repeat it to those, each time,
    for as long as one address is wrong. The others are named in the log.
    """

    def __init__(self, urls: Sequence[str], *, limit_seconds: float = LIMIT_SECONDS) -> None:
        if not urls:
            message = "notifier: expected at least one apprise address, found none"
            raise InputError(message)
        self._urls = tuple(urls)
        self._limit_seconds = limit_seconds

    def send(self, notice: Notice) -> None:
        """Tell every address.

        Raises
        ------
        UnavailableError
            If none took it: each is no address, has refused, or gave no answer in time.
        """
        # Here, not in the threads: to load apprise may take longer than to send.
        sendings = [_made(url, number) for number, url in enumerate(self._urls, 1)]
        for one in sendings:
            one.begin(notice)
        ends = time.monotonic() + self._limit_seconds
        for one in sendings:
            if one.thread is not None:
                one.thread.join(max(0.0, ends - time.monotonic()))
        problems = [f"{one.name}: {one.problem}" for one in sendings if one.problem]
        if not problems:
            return
        message = (
            f"notice {notice.title!r}: expected all {len(sendings)} addresses to take it, found"
            f" {'; '.join(problems)}. Check ML_RELEASE_NOTIFY."
        )
        if len(problems) == len(sendings):
            raise UnavailableError(message)
        _LOG.warning("%s", message)


def _made(url: str, number: int) -> _Sending:
    """Nothing is sent yet."""
    import apprise

    # Its messages hold addresses as they were typed.
    logging.getLogger("apprise").disabled = True
    scheme, separator, _ = url.partition("://")
    known = scheme if separator and scheme.isalnum() else "no scheme"
    sending = _Sending(name=f"address {number} ({known})", teller=apprise.Apprise())
    if not sending.teller.add(url):
        sending.teller = None
        sending.problem = "expected an apprise address, found something else"
    return sending
