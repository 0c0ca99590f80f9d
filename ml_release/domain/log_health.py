"""How the inference log of one server stands: its room, its unfinished work, its last error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Durability = Literal["process", "power"]
WhenFull = Literal["refuse", "answer_unlogged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBounds:
    """How much room the log may take.

    Attributes
    ----------
    max_bytes
        Of all its files together, whichever process wrote them; None without a limit.
    min_free_bytes
        That have to be left on the disk.
    when_full
        What becomes of a request that cannot be logged: it is refused, or answered and not logged.
    """

    max_bytes: int | None = None
    min_free_bytes: int = 0
    when_full: WhenFull = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHealth:
    """The log as ``GET /status`` tells it.

    Attributes
    ----------
    durability
        What an answer promises of its record: it survives the end of the ``process``, or a cut of
        the ``power`` too.
    size_bytes
        Of all segments and archives.
    free_bytes
        Left on the disk; None if the disk does not say.
    segments, archives
        Files of JSON lines, open ones included, and of Parquet.
    unsynced
        Writes that are not on the disk yet; None where nothing is forced to the disk.
    oldest_unsynced_s
        Age of the oldest of them in seconds; None without any.
    waiting
        Requests that wait for the disk now.
    last_error
        What went wrong last, with its time; None if nothing ever did.
    """

    durability: Durability
    when_full: WhenFull
    is_full: bool
    size_bytes: int
    max_bytes: int | None
    free_bytes: int | None
    min_free_bytes: int
    segments: int
    archives: int
    unsynced: int | None
    oldest_unsynced_s: float | None
    waiting: int
    last_error: str | None
