"""`InferenceLog` over segments and archives: only what is new since a cursor.

The cursor holds the bytes read per segment, so the work grows with the new records, not with the
log. It means the same after a segment was archived. A line that is still being written is left for
the next read; one that was torn, because its process was killed or its disk was full, is skipped
and counted in ``attrs["torn_lines"]``.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ml_release.adapters.inference_tables.frames import frame_of
from ml_release.adapters.inference_tables.listing import Part, parts_of
from ml_release.adapters.inference_tables.parquet_form import came_in, frame_of_table, read_table
from ml_release.adapters.inference_tables.segment_lines import read_lines
from ml_release.domain.identity import check_line_name
from ml_release.domain.inference import AskedFor, InferenceRecord, Label, Reward, is_segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    import pandas as pd

    from ml_release.domain.inference import SegmentKind


class InferenceTables:
    """`InferenceLog` over the segments of `InferenceLogFiles` and the archives made of them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def size(self, line: str) -> int:
        """Bytes of all records, labels and rewards as they came in, to see cheaply whether any did.

        Archiving a segment does not change it.
        """
        folder = self._root / check_line_name(line)
        total = 0
        kinds: tuple[SegmentKind, ...] = ("records", "labels", "rewards")
        for part in (part for kind in kinds for part in parts_of(folder, kind)):
            if part.archive is not None:
                total += part.size_bytes
                continue
            try:
                total += (folder / part.name).stat().st_size
            except FileNotFoundError:
                # It was archived, and the next look sees it so.
                total += self._archived(folder, part, _kind_of(part)).size_bytes
        return total

    def records(
        self,
        line: str,
        *,
        after: Mapping[str, int],
        enough_bytes: int | None = None,
        since: datetime | None = None,
    ) -> tuple[pd.DataFrame, dict[str, int]]:
        """Records after a cursor, and the cursor behind them; of so many bytes, or of all.

        Archives whose head says that all of their records came in before ``since`` are passed over.

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
            Segment name to bytes read, of the segments that still are there in either form and
            were read, now or before.
        """
        frame, cursor = self._read(
            line, "records", InferenceRecord, after, enough_bytes=enough_bytes, since=since
        )
        torn = frame.attrs["torn_lines"]
        frame = _first_of_each(frame)
        frame.attrs["torn_lines"] = torn
        return frame, cursor

    def asked(self, line: str) -> pd.DataFrame:
        """Requests with the time of their event, each once, whichever version answered."""
        frame, _ = self._read(line, "records", AskedFor, {})
        served = frame[(frame["row"] == 0) & ~frame["shadow"]]
        asked: pd.DataFrame = served[["request_id", "event_time"]]
        return asked.drop_duplicates("request_id", ignore_index=True)

    def between(
        self, line: str, since: datetime, until: datetime, *, rows_per_batch: int
    ) -> Iterator[pd.DataFrame]:
        """Records that came in from ``since`` on and before ``until``, as `records` has them.

        One segment is held at a time; an archive whose head says that it holds other times is not
        read. Of records that repeat one another the first stands within a batch.
        """
        folder = self._root / check_line_name(line)
        for part in parts_of(folder, "records"):
            # Gone means that it was older than the line keeps its records.
            with suppress(FileNotFoundError):
                if part.archive is not None:
                    times = came_in(part.archive)
                    if times is not None and (times[1] < since or times[0] >= until):
                        continue
                frame, _, _ = self._part(folder, part, "records", InferenceRecord, {})
                received = frame["received_time"]
                frame = _first_of_each(frame[(received >= since) & (received < until)])
                for start in range(0, len(frame), rows_per_batch):
                    yield frame[start : start + rows_per_batch].reset_index(drop=True)

    def labels(self, line: str) -> pd.DataFrame:
        """Every label as it was told, one column per field of `Label`, in the order of arrival."""
        return self._in_order(line, "labels", Label)

    def rewards(self, line: str) -> pd.DataFrame:
        """Every reward as it was posted, one column per field of `Reward`, in order of arrival.

        ``version`` is a nullable Int64, ``propensity`` float64 with NaN where it is not known.
        """
        return self._in_order(line, "rewards", Reward)

    def _in_order(self, line: str, kind: SegmentKind, type_: type[Any]) -> pd.DataFrame:
        frame, _ = self._read(line, kind, type_, {})
        torn = frame.attrs["torn_lines"]
        frame = frame.sort_values("received_time", kind="stable", ignore_index=True)
        frame.attrs["torn_lines"] = torn
        return frame

    def _read(
        self,
        line: str,
        kind: SegmentKind,
        type_: type[Any],
        after: Mapping[str, int],
        *,
        enough_bytes: int | None = None,
        since: datetime | None = None,
    ) -> tuple[pd.DataFrame, dict[str, int]]:
        import pandas as pd

        folder = self._root / check_line_name(line)
        frames = []
        cursor: dict[str, int] = {}
        torn = read_bytes = 0
        for part in parts_of(folder, kind):
            start = after.get(part.name, 0)
            is_enough = enough_bytes is not None and read_bytes >= enough_bytes
            # An archive does not grow: of one that was read, not even an empty frame is made.
            is_read = part.archive is not None and start >= part.size_bytes
            if is_read or (is_enough and part.name in after):
                cursor[part.name] = start
            if is_read or is_enough:
                continue
            # Gone means that it was older than the line keeps its records.
            with suppress(FileNotFoundError):
                if part.archive is not None and since is not None and _is_over(part.archive, since):
                    cursor[part.name] = part.size_bytes
                    continue
                frame, end, torn_here = self._part(folder, part, kind, type_, after)
                cursor[part.name] = end
                read_bytes += end - start
                torn += torn_here
                if len(frame):
                    frames.append(frame)
        whole = pd.concat(frames, ignore_index=True) if frames else frame_of([], type_)
        whole.attrs["torn_lines"] = torn
        return whole, cursor

    def _part(
        self,
        folder: Path,
        part: Part,
        kind: SegmentKind,
        type_: type[Any],
        after: Mapping[str, int],
    ) -> tuple[pd.DataFrame, int, int]:
        start = after.get(part.name, 0)
        if part.archive is None:
            try:
                lines = read_lines(folder / part.name, type_, start=start)
            except FileNotFoundError:
                part = self._archived(folder, part, kind)
            else:
                return frame_of(lines.found, type_), lines.end, len(lines.torn_ends)
        if part.archive is None:
            raise FileNotFoundError(part.name)
        if start >= part.size_bytes:
            return frame_of([], type_), start, 0
        frame, torn = frame_of_table(read_table(part.archive), type_, start=start)
        return frame, part.size_bytes, torn

    def _archived(self, folder: Path, part: Part, kind: SegmentKind) -> Part:
        """The part as it is now."""
        found = {one.name: one for one in parts_of(folder, kind)}
        return found.get(part.name, part)


def _is_over(archive: Path, since: datetime) -> bool:
    """Whether all of its records came in before a moment, as far as its head says."""
    times = came_in(archive)
    return times is not None and times[1] < since


def _first_of_each(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the records that repeat an earlier one."""
    # A shadow answers the same request again; it stands beside the answer, not in its place.
    asked = frame["version"].where(frame["shadow"], 0)
    again = frame.assign(asked=asked).duplicated(["request_id", "row", "asked"])
    return frame[~again].reset_index(drop=True)


def _kind_of(part: Part) -> SegmentKind:
    kinds: tuple[SegmentKind, ...] = ("records", "labels", "rewards")
    return next(kind for kind in kinds if is_segment(kind, part.name))
