"""A clock that a file moves, so that every process of an installation lives in the same other time.

The file says which moment it was when it was written, and how fast time goes on from there; it is
replaced in one step. While it is not there the machine's own time holds.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MOST_SECONDS_PER_SECOND = 1e7  # a year in three seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """It was ``moment`` when the machine's time was ``at``, and went on ``rate`` times as fast."""

    moment: datetime
    at: datetime
    rate: float

    def now(self, real: datetime) -> datetime:
        # A machine whose own clock was set back does not take this one back with it.
        passed = max(real - self.at, timedelta())
        return self.moment + passed * self.rate


class MovedClock:
    """`Clock` that a file moves; reads it again only when it is another one than before.

    Parameters
    ----------
    path
        JSON with ``moment`` and ``at`` (ISO 8601 with a zone: what time it was, and what the
        machine said then) and ``rate`` (seconds per second of the machine, from 0, which stands
        still, to ten million).
    real
        The machine's own time.
    """

    def __init__(self, path: Path, *, real: Callable[[], datetime]) -> None:
        self._path = path
        self._real = real
        self._seen: tuple[tuple[int, int, int], _Setting] | None = None

    def now(self) -> datetime:
        """The moment that the file gives, in UTC; the machine's own while there is no file.

        Raises
        ------
        InputError
            If the file is there and says no time: nobody may take another one for it.
        """
        setting = self._setting()
        return self._real().astimezone(UTC) if setting is None else setting.now(self._real())

    def move(self, moment: datetime, *, rate: float = 0.0) -> None:
        """Let it be ``moment`` now for every process that reads the file, and go on from there.

        Parameters
        ----------
        rate
            Seconds per second; 0 stands still until it is moved again.

        Raises
        ------
        InputError
            If it would go back from where it was moved to before: what was recorded since would
            lie in a future that has not come. Also for a moment without a zone, and a rate out of
            range.
        """
        if moment.utcoffset() is None or not 0 <= rate <= _MOST_SECONDS_PER_SECOND:
            message = (
                f"moved clock {self._path}: expected a moment with a time zone and a rate from 0 to"
                f" {_MOST_SECONDS_PER_SECOND:g}, found {moment.isoformat()} and {rate}"
            )
            raise InputError(message)
        real, setting = self._real(), self._setting()
        if setting is not None and moment < setting.now(real):
            message = (
                f"moved clock {self._path}: expected a moment from"
                f" {setting.now(real).isoformat()} on, found {moment.isoformat()}. Time does not go"
                " back; begin with a home folder and a clock file of its own."
            )
            raise InputError(message)
        document = {
            "moment": moment.astimezone(UTC).isoformat(),
            "at": real.astimezone(UTC).isoformat(),
            "rate": rate,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file)
        os.replace(draft, self._path)  # noqa: PTH105 (draft is a plain string)

    def _setting(self) -> _Setting | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        # Each move is a new file: two moves within one tick of the disk's clock differ in inode
        # or, where that is used again, in the time of change.
        mark = (found.st_mtime_ns, found.st_ino, found.st_size)
        if self._seen is None or self._seen[0] != mark:
            self._seen = (mark, _setting_of(self._path))
        return self._seen[1]


def _setting_of(path: Path) -> _Setting:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        setting = _Setting(
            moment=datetime.fromisoformat(document["moment"]),
            at=datetime.fromisoformat(document["at"]),
            rate=float(document["rate"]),
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _unusable(path, f"{type(error).__name__}: {error}") from error
    has_zones = None not in (setting.moment.utcoffset(), setting.at.utcoffset())
    if not has_zones or not 0 <= setting.rate <= _MOST_SECONDS_PER_SECOND:
        raise _unusable(path, str(document))
    return setting


def _unusable(path: Path, found: str) -> InputError:
    return InputError(
        f"moved clock {path}: expected moment and at as ISO 8601 with a time zone and a rate from 0"
        f" to {_MOST_SECONDS_PER_SECOND:g}, found {found}. Move it again, or take ML_RELEASE_CLOCK"
        " away."
    )
