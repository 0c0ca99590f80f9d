"""Reads the inference log into pandas, only what is new since a cursor.

The cursor holds the bytes read per segment, so the work grows with the new records, not with the
log. A line that is still being written is left for the next read; one that was torn, because its
process was killed or its disk was full, is skipped and counted in ``attrs["torn_lines"]``.
"""

from __future__ import annotations

import fcntl
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ml_release.domain.identity import check_line_name
from ml_release.domain.inference import InferenceRecord, Label, is_segment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from ml_release.domain.inference import SegmentKind

_T = TypeVar("_T", InferenceRecord, Label)
_TIMES = ("event_time", "received_time")
_DTYPES = {
    "row": "int64",
    "version": "int64",
    "bucket": "Int64",
    "history_age_days": "Int64",
    "history_misses": "Int64",
    "prediction": "float64",
    "latency_ms": "float64",
    "shadow": "bool",
    "label": "int64",
    "assigned_version": "Int64",
    "propensity": "float64",
    "decision": "Int64",
}


class InferenceTables:
    """`InferenceLog` over the segments of `InferenceLogFiles`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def size(self, line: str) -> int:
        """Bytes of all records and labels, to see cheaply whether anything came in."""
        folder = self._root / check_line_name(line)
        return sum(path.stat().st_size for path in folder.glob("*.jsonl"))

    def records(
        self, line: str, *, after: Mapping[str, int]
    ) -> tuple[pd.DataFrame, dict[str, int]]:
        """Records after a cursor, and the cursor behind them.

        Returns
        -------
        pandas.DataFrame
            One column per field of `InferenceRecord`: times as datetime64 in UTC, ``bucket``
            and other whole numbers that may be missing as nullable Int64, ``prediction`` as float64
            with NaN for failed requests, ``features`` as one mapping per record (see
            `ml_release.domain.inference.feature_columns`). Of records with the same request id and
            row (and version, for shadows) the first one stands, within one read: a client that
            repeats a request id much later appears again in a later read.
        dict
            Segment name to bytes read.
        """
        found, cursor, torn = self._read(line, "records", InferenceRecord, after)
        frame = _frame(found, InferenceRecord)
        # A shadow answers the same request again; it stands beside the answer, not in its place.
        asked = frame["version"].where(frame["shadow"], 0)
        again = frame.assign(asked=asked).duplicated(["request_id", "row", "asked"])
        frame = frame[~again].reset_index(drop=True)
        frame.attrs["torn_lines"] = torn
        return frame, cursor

    def labels(self, line: str) -> pd.DataFrame:
        """Every label as it was told, one column per field of `Label`, in the order of arrival."""
        found, _, torn = self._read(line, "labels", Label, {})
        frame = _frame(found, Label)
        frame = frame.sort_values("received_time", kind="stable", ignore_index=True)
        frame.attrs["torn_lines"] = torn
        return frame

    def _read(
        self, line: str, kind: SegmentKind, type_: type[_T], after: Mapping[str, int]
    ) -> tuple[list[_T], dict[str, int], int]:
        folder = self._root / check_line_name(line)
        decoder = msgspec.json.Decoder(type_)
        found: list[_T] = []
        cursor = dict(after)
        torn = 0
        names = sorted(path.name for path in folder.glob("*.jsonl") if is_segment(kind, path.name))
        for name in names:
            start = after.get(name, 0)
            lines, end = _new_lines(folder / name, start)
            for content in lines:
                try:
                    found.append(decoder.decode(content))
                except msgspec.DecodeError:
                    torn += 1
            cursor[name] = end
        return found, cursor, torn


def _new_lines(segment: Path, start: int) -> tuple[list[bytes], int]:
    """The lines after ``start`` that nobody writes to any more, and where they end."""
    with segment.open("rb") as file:
        # Held until the file is closed, so that no writer can begin in between. A writer waits for
        # it only on the segment it has just made, which is empty and read in no time.
        is_finished = _locks_out_writers(file.fileno())
        file.seek(start)
        content = file.read()
    end = content.rfind(b"\n") + 1
    lines = content[:end].split(b"\n")[:-1]
    if is_finished and end < len(content):
        lines.append(content[end:])
        end = len(content)
    return lines, start + end


def _locks_out_writers(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _frame(found: list[_T], type_: type[_T]) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {}
    for field in fields(type_):
        values = [getattr(item, field.name) for item in found]
        if field.name in _TIMES:
            times = pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601")
            columns[field.name] = times.astype("datetime64[us, UTC]")
        else:
            columns[field.name] = pd.Series(values, dtype=_DTYPES.get(field.name, "object"))
    return pd.DataFrame(columns)
