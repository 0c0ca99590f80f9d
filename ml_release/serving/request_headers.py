"""What a client may say in headers: who asks, under which name, when it happened."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from ml_release.errors import InputError

MAX_ID_CHARACTERS = 128
_CLOCKS_DIFFER_BY = timedelta(minutes=5)

_DRAWN_AT_ONCE = 256
"""Each draw is a system call, during which other threads may take the interpreter's lock."""
_random: list[str] = []


class HeaderValues(Protocol):
    """Headers of a request by lower-case name."""

    def get(self, key: str, /) -> str | None:
        """The value, None if the header is absent."""


class RequestContext(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What headers say about a request.

    Attributes
    ----------
    request_id
        ``x-request-id``; None if absent or not usable, which is no reason to refuse a request.
    unit
        ``x-unit-id``: what is assigned to a variant; None without.
    event_time
        ``x-event-time``, or when the request came in; ISO 8601 in UTC.
    received_time
        When the request came in; ISO 8601 in UTC.
    """

    request_id: str | None
    unit: str | None
    event_time: str
    received_time: str


def read_context(headers: HeaderValues, *, now: datetime) -> RequestContext:
    """Read the headers.

    Raises
    ------
    InputError
        If ``x-unit-id`` or ``x-event-time`` is given and not usable: a unit that was ignored would
        meet another variant than it was promised, and an event that is still to come would move
        the windows of monitoring ahead of all others.
    """
    received_time = now.isoformat()
    unit = headers.get("x-unit-id") or None
    if unit is not None and not is_usable_id(unit):
        message = (
            f"header x-unit-id: expected 1 to {MAX_ID_CHARACTERS} printable ASCII characters,"
            f" found {unit[:MAX_ID_CHARACTERS]!a}"
        )
        raise InputError(message)
    stated = headers.get("x-event-time")
    if stated is not None and _is_in_the_future(stated, received_time):
        message = (
            f"header x-event-time: expected a time that has come, found {stated!a}; it is"
            f" {received_time} now"
        )
        raise InputError(message)
    return RequestContext(
        request_id=usable_id(headers.get("x-request-id")),
        unit=unit,
        event_time=received_time if stated is None else utc_time("header x-event-time", stated),
        received_time=received_time,
    )


def _is_in_the_future(stated: str, received_time: str) -> bool:
    event = datetime.fromisoformat(utc_time("header x-event-time", stated))
    return event > datetime.fromisoformat(received_time) + _CLOCKS_DIFFER_BY


def is_usable_id(text: str) -> bool:
    """Whether a text can stand in a header and in a log: printable ASCII, not too long."""
    return (
        0 < len(text) <= MAX_ID_CHARACTERS
        and text.isascii()
        and text.isprintable()
        and text == text.strip()
    )


def usable_id(text: str | None) -> str | None:
    """The text if it `is_usable_id`, otherwise None."""
    return text if text is not None and is_usable_id(text) else None


def new_request_id() -> str:
    """A random name for a request whose client gave none: a UUID of version 4, as RFC 9562 has it.

    >>> len(new_request_id()), new_request_id()[14]
    (36, '4')
    """
    try:
        digits = _random.pop()
    except IndexError:
        drawn = os.urandom(16 * _DRAWN_AT_ONCE).hex()
        _random.extend(drawn[start : start + 32] for start in range(0, len(drawn), 32))
        digits = _random.pop()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def utc_time(subject: str, text: str) -> str:
    """A stated moment in UTC.

    Raises
    ------
    InputError
        If it is not ISO 8601 with a zone.

    Examples
    --------
    >>> utc_time("header x-event-time", "2013-10-01T06:30:00-04:00")
    '2013-10-01T10:30:00+00:00'
    """
    message = (
        f"{subject}: expected ISO 8601 with a zone like 2013-10-01T06:30:00-04:00, found"
        f" {text[:MAX_ID_CHARACTERS]!a}"
    )
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise InputError(message)
        return moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as error:
        raise InputError(message) from error
