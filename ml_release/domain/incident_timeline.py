"""When a release went bad and how long everything took: moments, each with where it is known from.

A moment that is not known yet stays in its place without a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that happened.

    Attributes
    ----------
    at
        ISO 8601 with zone; None while it is not known.
    source
        Where the time is from.
    """

    what: str
    at: str | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How long something took; ``seconds`` is None while an end of it is not known."""

    what: str
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """ISO times that a timeline is made of; None for what is not known.

    Attributes
    ----------
    declared, committed
        When the version was first declared, and when it was taken back.
    first_request, last_request
        Of the bad version; its shadow answers count only where it never answered otherwise.
    first_sign
        The first failed, missing or replaced answer of the bad version.
    decided
        When the judge that took it back gave its verdict; None if it was taken back by hand.
    first_restored
        The first request that was routed by the new declaration.
    verified
        When somebody or something has seen that it is over.
    """

    declared: str
    committed: str
    first_request: str | None = None
    last_request: str | None = None
    first_sign: str | None = None
    decided: str | None = None
    first_restored: str | None = None
    verified: str | None = None


_LOG, _GIT = "inference log", "Git"


def timeline(times: Times, *, judge: str) -> tuple[Moment, ...]:
    """All moments, those known in the order of time, the others behind them.

    Git keeps whole seconds: within a second the moments stand in the order in which they follow
    from one another.
    """
    found = [
        Moment(what="declared for the first time", at=times.declared, source=_GIT),
        Moment(what="first request of the bad version", at=times.first_request, source=_LOG),
        Moment(what="first failed, missing or replaced answer", at=times.first_sign, source=_LOG),
        Moment(what="decided to take it back", at=times.decided, source=judge or "no verdict"),
        Moment(what="taken back by commit", at=times.committed, source=_GIT),
        Moment(what="first request on the restored state", at=times.first_restored, source=_LOG),
        Moment(what="last request served by the bad version", at=times.last_request, source=_LOG),
        Moment(what="verified", at=times.verified, source="verification"),
    ]
    known = [one for one in found if one.at is not None]
    return (
        *sorted(known, key=lambda one: _moment(one.at or "").replace(microsecond=0)),
        *(one for one in found if one.at is None),
    )


def spans(times: Times) -> tuple[Span, ...]:
    """What is counted of an incident, in seconds; below 0 where clocks disagree.

    Less than a second below 0 is 0: Git keeps whole seconds.
    """
    sign, end = times.first_sign, times.last_request
    return (
        Span(what="exposure: first to last request", seconds=_gap(times.first_request, end)),
        Span(what="first sign to decision", seconds=_gap(sign, times.decided)),
        Span(what="decision to commit", seconds=_gap(times.decided, times.committed)),
        Span(
            what="commit to first request on the restored state",
            seconds=_gap(times.committed, times.first_restored),
        ),
        Span(
            what="first sign to first request on the restored state",
            seconds=_gap(sign, times.first_restored),
        ),
    )


def in_words(seconds: float) -> str:
    """A duration as people say it.

    >>> [in_words(seconds) for seconds in (0.25, 42, 3725, 90000)]
    ['0.25 s', '42 s', '1 h 2 min', '1 d 1 h']
    """
    if seconds < 60:  # noqa: PLR2004 (seconds of a minute)
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(place for place, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def _gap(first: str | None, second: str | None) -> float | None:
    if first is None or second is None:
        return None
    seconds = (_moment(second) - _moment(first)).total_seconds()
    return 0.0 if -1 < seconds < 0 else seconds


def _moment(iso: str) -> datetime:
    return datetime.fromisoformat(iso)
