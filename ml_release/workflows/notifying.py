"""Tell people what was done: nothing here ever stops or fails what it tells of."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.notices import (
    PERIOD,
    NoticeBook,
    after_sending,
    book_from_json,
    notifier_failed,
    to_send,
)
from ml_release.errors import IntegrityError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from ml_release.domain.notices import Notice
    from ml_release.ports import Clock, EvidenceStore, Notifier

NOTICES = "notices"
_SUBJECT = "book"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """What became of some notices.

    Attributes
    ----------
    sent, failed
        Those of now and those that had waited; what failed is tried again the next time.
    problem
        Why something could not be sent or kept; "" if all went well. Holds no addresses.
    """

    sent: tuple[Notice, ...] = ()
    failed: tuple[Notice, ...] = ()
    problem: str = ""


def notify(
    line: str,
    notices: Sequence[Notice | None],
    *,
    notifier: Notifier,
    evidence: EvidenceStore,
    clock: Clock,
    period: timedelta = PERIOD,
) -> Notified:
    """Send what was not said yet, with what waits from before; call it after the act, not before.

    Raises nothing: whatever breaks is logged and returned. After a notice that failed the others
    are not tried: each would take as long. None among the notices is nothing to say.
    """
    asked = [one for one in notices if one is not None]
    try:
        return _notify(
            line,
            asked,
            notifier=notifier,
            evidence=evidence,
            now=clock.now(),
            period=period,
        )
    # The act is done, and nobody may take it for failed because somebody could not be told.
    except Exception as error:  # noqa: BLE001
        problem = f"nobody was told ({type(error).__name__})"
        _LOG.warning("notices of %s: %s", line, problem)
        return Notified(failed=tuple(asked), problem=problem)


def _notify(
    line: str,
    asked: Sequence[Notice],
    *,
    notifier: Notifier,
    evidence: EvidenceStore,
    now: datetime,
    period: timedelta,
) -> Notified:
    book = _book(line, evidence=evidence)
    due = to_send(book, asked, now=now, period=period)
    if not due:
        return Notified()
    sent: list[Notice] = []
    problem = ""
    for notice in due:
        try:
            notifier.send(notice)
        except UnavailableError as error:
            problem = str(error)
            break
        # An adapter with a bug is an adapter that cannot send; its message may hold an address.
        except Exception as error:  # noqa: BLE001
            problem = f"the notifier broke ({type(error).__name__})"
            break
        sent.append(notice)
    failed = [one for one in due if one not in sent]
    if failed:
        _LOG.warning("notices of %s: %d were not sent: %s", line, len(failed), problem)
        known = {one.kind for one in failed}
        if "notifier_failed" not in known:
            failed.append(notifier_failed(line, failed, problem=problem, now=now))
    after = after_sending(book, sent=sent, failed=failed, now=now, period=period)
    evidence.record(line, NOTICES, _SUBJECT, after.to_json())
    return Notified(sent=tuple(sent), failed=tuple(failed), problem=problem)


def _book(line: str, *, evidence: EvidenceStore) -> NoticeBook:
    """What was said so far; empty if it was edited: to say a thing twice is better than never."""
    try:
        content = evidence.find(line, NOTICES, _SUBJECT)
        return NoticeBook() if content is None else book_from_json(content)
    except IntegrityError:
        return NoticeBook()
