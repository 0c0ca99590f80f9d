"""Where late labels come from besides the labels route of the endpoint, which every line has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    from collections.abc import Sequence

_KINDS = (".csv", ".parquet")


class LabelSource(BaseModel):
    """Label files in the landing zone, and outcomes in the line's own snapshots.

    A label belongs to the request with its request id. Where a row has no request id but the line's
    keys, the id is made of them: their values in the declared order with ``/`` between, times in
    ISO 8601 as ``2013-04-03T21:40:00+00:00/AA/1141/JFK``. So a client whose labels come by keys
    names its requests by their keys, as a replay does.

    Attributes
    ----------
    files
        Path of one partition's labels in the landing zone with ``{partition}`` in it once, as
        ``labels/{partition}.csv`` (UTF-8, with a header) or ``.parquet``; None for no files. A
        file may hold labels of any event: its partition is the month it arrived for.
    label_column
        Holds the label in the files: 0 or 1.
    known_at_column
        Holds the moment the outcome was known in the files: ISO 8601, UTC unless it says otherwise.
    request_id_column
        Holds the request id in the files; None if they hold the line's keys instead, the event
        time among them as ``known_at_column``, the others spelled as in the request id.
    from_snapshots
        Whether the line's snapshots tell labels too: a month that landed and passed its gate holds
        the outcomes of the requests of that month, known one label delay after their event.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: str | None = None
    label_column: str = "label"
    known_at_column: str = "known_at"
    request_id_column: str | None = None
    from_snapshots: bool = False

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        problems = []
        if self.files is None and not self.from_snapshots:
            problems.append("expected files or from_snapshots, found neither: leave labels out")
        if self.files is not None and self.files.count("{partition}") != 1:
            problems.append(f"files: expected {{partition}} once in the path, found {self.files!r}")
        if self.files is not None and not self.files.endswith(_KINDS):
            problems.append(f"files: expected a path ending with .csv or .parquet, {self.files!r}")
        named = self.model_fields_set & {"label_column", "known_at_column", "request_id_column"}
        if self.files is None and named:
            problems.append(f"{sorted(named)} name columns of files, and no files are declared")
        columns = [self.label_column, self.known_at_column, self.request_id_column]
        found = [column for column in columns if column is not None]
        if len(set(found)) < len(found) or "" in found:
            problems.append(f"expected columns with a name of their own each, found {found}")
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    def columns(self, keys: Sequence[str]) -> tuple[str, ...]:
        """The columns every file has to have; ``keys`` are those of the line.

        >>> LabelSource(files="{partition}.csv").columns(("at", "trip"))
        ('at', 'trip', 'label', 'known_at')
        """
        named = tuple(keys) if self.request_id_column is None else (self.request_id_column,)
        return (*named, self.label_column, self.known_at_column)
