"""What people are told, once: templates, and what was said already.

A notice has a key. Of the same key one is sent within a period, however often it is asked for. One
that could not be sent waits and is tried again with the next; that it could not is said as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.identity import canonical_json
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ml_release.domain.verdict import Verdict

Kind = Literal[
    "rolled_back",
    "held",
    "approval_wanted",
    "canary_advanced",
    "truth_violated",
    "notifier_failed",
]
Severity = Literal["info", "warning", "failure"]
PERIOD = timedelta(hours=24)
"""For so long a notice of the same key is not sent again."""
LONGEST_WAIT = timedelta(days=7)
"""A notice that could not be sent for so long is news no more."""
MOST_WAITING = 100
"""Of the notices that wait the newest are kept."""
_SHOWN = 8


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Notice(_Record):
    """One thing that people are told.

    Attributes
    ----------
    line, subject
        The release line, and what of it: a version, an environment.
    body
        Plain text.
    key
        What it is about; the same key is the same news.
    """

    kind: Kind
    line: str
    subject: str
    severity: Severity
    title: str
    body: str
    key: str


class Waiting(_Record):
    """A notice that could not be sent, and since when."""

    notice: Notice
    since: AwareDatetime


class NoticeBook(_Record):
    """What was sent when, by key, and what still waits, oldest first."""

    sent: Mapping[str, AwareDatetime] = Field(default_factory=dict)
    waiting: tuple[Waiting, ...] = ()

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(self.model_dump(mode="json"))


def book_from_json(content: bytes) -> NoticeBook:
    """Read a recorded book back; `IntegrityError` if it is none."""
    try:
        return NoticeBook.model_validate_json(content)
    except ValidationError as error:
        message = f"notices: expected a record of what was sent, found something else ({error})"
        raise IntegrityError(message) from error


def to_send(
    book: NoticeBook, asked: Iterable[Notice], *, now: datetime, period: timedelta = PERIOD
) -> tuple[Notice, ...]:
    """What is to be sent now: what waits first, then what is asked for; of each key one.

    Examples
    --------
    >>> from datetime import UTC
    >>> now = datetime(2013, 10, 1, tzinfo=UTC)
    >>> one = rolled_back("flight_delay", version=3, to=2, reason="errors", key="c1")
    >>> [notice.subject for notice in to_send(NoticeBook(), [one, one], now=now)]
    ['version 3']
    >>> to_send(NoticeBook(sent={one.key: now}), [one], now=now)
    ()
    """
    found: dict[str, Notice] = {}
    for waiting in book.waiting:
        if now - waiting.since <= LONGEST_WAIT:
            found.setdefault(waiting.notice.key, waiting.notice)
    for notice in asked:
        found.setdefault(notice.key, notice)
    return tuple(
        notice for key, notice in found.items() if not _was_sent(book, key, now=now, period=period)
    )


def after_sending(
    book: NoticeBook,
    *,
    sent: Collection[Notice],
    failed: Collection[Notice],
    now: datetime,
    period: timedelta = PERIOD,
) -> NoticeBook:
    """The book after a round; what is older than the period is forgotten."""
    since = {waiting.notice.key: waiting.since for waiting in book.waiting}
    times = {key: at for key, at in book.sent.items() if abs(now - at) <= period}
    times |= {notice.key: now for notice in sent}
    waiting = tuple(Waiting(notice=one, since=since.get(one.key, now)) for one in failed)
    return NoticeBook(sent=times, waiting=waiting[-MOST_WAITING:])


def _was_sent(book: NoticeBook, key: str, *, now: datetime, period: timedelta) -> bool:
    at = book.sent.get(key)
    # A time of the future is of a clock that was moved; it must not silence anybody for long.
    return at is not None and abs(now - at) < period


def rolled_back(line: str, *, version: int, to: int, reason: str, key: str) -> Notice:
    """A version was taken back; ``key`` tells this time from others, as the commit does."""
    return Notice(
        kind="rolled_back",
        line=line,
        subject=f"version {version}",
        severity="failure",
        title=f"{line}: version {version} was rolled back",
        body=f"Version {to} answers. Version {version} is withdrawn. Why: {reason}",
        key=f"rolled_back:{line}:{version}:{key}",
    )


def held(line: str, *, version: int, where: str, reason: str) -> Notice:
    """A release does not go on by itself."""
    return Notice(
        kind="held",
        line=line,
        subject=f"version {version}",
        severity="warning",
        title=f"{line}: version {version} is held at {where}",
        body=f"It does not go on by itself. Why: {reason}",
        key=f"held:{line}:{version}:{where}",
    )


def approval_wanted(line: str, *, version: int, detail: str, key: str) -> Notice:
    """A version waits for people; ``key`` is the evidence it waits on."""
    return Notice(
        kind="approval_wanted",
        line=line,
        subject=f"version {version}",
        severity="info",
        title=f"{line}: version {version} wants an approval",
        body=f"{detail}\nml-release approve {line} {version} --by WHO --reason WHY",
        key=f"approval_wanted:{line}:{version}:{key}",
    )


def canary_advanced(line: str, *, version: int, percent: float, reason: str, key: str) -> Notice:
    """A version answers a larger share than before."""
    return Notice(
        kind="canary_advanced",
        line=line,
        subject=f"version {version}",
        severity="info",
        title=f"{line}: version {version} now answers {percent:g} %",
        body=f"Why: {reason}",
        key=f"canary_advanced:{line}:{version}:{percent:g}:{key}",
    )


def truth_violated(verdict: Verdict, *, environment: str) -> Notice | None:
    """Git, registry and log disagree; None where they do not, also where nobody can tell."""
    failed = [one for one in verdict.objections if one.outcome is Outcome.FAIL]
    if not failed:
        return None
    rules = sorted({one.rule for one in failed})
    rows = [f"- {one.sentence()}" for one in failed[:_SHOWN]]
    rows += [f"- and {len(failed) - _SHOWN} more"] if len(failed) > _SHOWN else []
    return Notice(
        kind="truth_violated",
        line=verdict.line,
        subject=environment,
        severity="failure",
        title=f"{verdict.line}: Git, registry and log disagree in {environment}",
        body="\n".join(rows),
        key=f"truth_violated:{verdict.line}:{environment}:{','.join(rules)}",
    )


def notifier_failed(line: str, failed: Sequence[Notice], *, problem: str, now: datetime) -> Notice:
    """Somebody was not told; sent as soon as anybody can be told again."""
    titles = "\n".join(f"- {one.title}" for one in failed[:_SHOWN])
    return Notice(
        kind="notifier_failed",
        line=line,
        subject="notifier",
        severity="warning",
        title=f"{line}: {len(failed)} notices could not be sent at {now:%Y-%m-%d %H:%M} UTC",
        body=f"{problem}\n{titles}",
        key=f"notifier_failed:{line}:{now:%Y-%m-%d}",
    )
