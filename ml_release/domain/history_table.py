"""What serving looks up: history values by key, as of one day, and how old that day is."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotation)
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from ml_release.domain.identity import canonical_json, digest_of_bytes
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from ml_release.domain.features import Columns, History

KEY_SEPARATOR = "|"


@dataclass(frozen=True, kw_only=True)
class HistoryTable:
    """What serving looks up: per history feature and key the value as of the start of ``as_of``.

    Attributes
    ----------
    as_of
        ISO 8601 day; the values hold what happened before it.
    values
        Per history feature and joined key.
    defaults
        Answers keys that were not seen in the window (the prior mean alone).
    time_zone
        IANA name of the zone that ``as_of`` is a day of; None in a table of before this was kept,
        whose age is not known.
    """

    as_of: str
    values: Mapping[str, Mapping[str, float]]
    defaults: Mapping[str, float | None]
    time_zone: str | None = None

    def to_json(self) -> bytes:
        """The canonical byte form."""
        document = _TABLE.dump_python(self, mode="json")
        if self.time_zone is None:
            # As it was written then: records name a table by the digest of these bytes.
            del document["time_zone"]
        return canonical_json(document)

    @cached_property
    def digest(self) -> str:
        """Digest of the canonical byte form: every inference record says which table it met."""
        return digest_of_bytes(self.to_json())

    def age_days(self, moment: datetime) -> int | None:
        """Whole days from ``as_of`` to the day of a moment, in the table's time zone.

        0 on the day the table is for. Negative for an event before it: the table then holds what
        was not known yet. None if the table does not say its zone, or the moment, which has to
        have one too, is no day of the calendar there.

        >>> table = HistoryTable(
        ...     as_of="2013-04-01", values={}, defaults={}, time_zone="America/New_York"
        ... )
        >>> table.age_days(datetime.fromisoformat("2013-04-03T03:59:00+00:00"))
        1
        """
        if self.zone is None:
            return None
        try:
            return (moment.astimezone(self.zone).date() - self.day).days
        except OverflowError:
            return None

    @cached_property
    def zone(self) -> ZoneInfo | None:
        """`time_zone` as the calendar of it."""
        return None if self.time_zone is None else ZoneInfo(self.time_zone)

    @cached_property
    def day(self) -> date:
        """`as_of` as a day."""
        return date.fromisoformat(self.as_of)


_TABLE = TypeAdapter(HistoryTable)


def history_table_from_json(content: bytes) -> HistoryTable:
    """Read a table back.

    Raises
    ------
    IntegrityError
        If it is not a history table, or one whose day or time zone is not known here.
    """
    try:
        table = _TABLE.validate_json(content)
        _ = table.day, table.zone
    except (ValidationError, ValueError, ZoneInfoNotFoundError) as error:
        message = f"history table: expected a recorded table, found something else ({error})"
        raise IntegrityError(message) from error
    return table


def joined_keys(columns: Columns, keys: tuple[str, ...]) -> npt.NDArray[np.str_]:
    """One string per row from its key columns; missing parts are empty.

    A separator inside a part is escaped, so that different keys stay different.
    """
    parts = [
        np.array(
            [escaped_part(word) if isinstance(word, str) else "" for word in columns[key]], str
        )
        for key in keys
    ]
    joined = parts[0]
    for part in parts[1:]:
        joined = np.char.add(np.char.add(joined, KEY_SEPARATOR), part)
    return joined


def escaped_part(word: str) -> str:
    """A part of a key, so that the separator stands between parts only."""
    if "\\" not in word and KEY_SEPARATOR not in word and not word.endswith("\0"):
        return word
    # numpy drops NUL at the end of a string, which would make two words one.
    return (
        word.replace("\\", "\\\\").replace(KEY_SEPARATOR, "\\" + KEY_SEPARATOR).replace("\0", "\\0")
    )


def look_up(
    features: tuple[History, ...], table: HistoryTable | None, columns: Columns
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.int64]]:
    """History columns for serving, with how many look-ups of each row met no key.

    Without a table every value is NaN and every look-up a miss.

    Parameters
    ----------
    columns
        Key columns of shape (n,).

    Returns
    -------
    dict
        Per history feature its values, each of shape (n,).
    numpy.ndarray
        Per row 0 to the number of history features, shape (n,).
    """
    found: dict[str, npt.NDArray[np.float64]] = {}
    misses = np.zeros(len(next(iter(columns.values()), ())), dtype=np.int64)
    for feature in features:
        keys = joined_keys(columns, feature.keys).tolist()
        known = {} if table is None else table.values.get(feature.name, {})
        default = None if table is None else table.defaults.get(feature.name)
        fallback = np.nan if default is None else default
        misses += np.array([key not in known for key in keys], dtype=np.bool_)
        found[feature.name] = np.array([known.get(key, fallback) for key in keys], dtype=np.float64)
    return found, misses
