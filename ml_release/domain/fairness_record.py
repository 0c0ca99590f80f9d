"""What fairness over time saw, as it is kept: windows, their gaps and slices, and a short history.

What is not known is None, never a number.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Literal

from ml_release.domain.recorded import Recorded, read_recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

Standing = Literal["holds", "above the limit, not shown", "wider than approved", "unknown"]
"""In this order from best to worst but for ``unknown``, which is neither."""

HISTORY_WINDOWS = 400


class WatchedGap(Recorded):
    """One measure over the groups of one column in one window.

    Attributes
    ----------
    value, low, high
        The measure with its interval, as `fairness_intervals.fairness_interval` has it.
    baseline
        The measure in the evaluation that the served version was approved on.
    limit
        The most a difference, the least a ratio may be: the baseline with the declared margin.
    p_adjusted
        Of all pairs of groups being within the limit; by Holm over all pairs, rates, measures and
        columns of the window.
    least, greatest
        Groups of the smallest and the largest rate; None as a group: the value is missing.
    compared, left_out
        Groups with rows enough, and those without.
    approved_least, approved_greatest
        As ``least`` and ``greatest``, at approval. Only the size of a gap is held against its
        limit: who is at which end of it is for people to see.
    """

    column: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    baseline: float | None
    limit: float | None
    p_adjusted: float | None
    least: tuple[str | None, ...]
    greatest: tuple[str | None, ...]
    compared: tuple[str | None, ...]
    left_out: tuple[str | None, ...]
    n: int
    problem: str = ""
    approved_least: tuple[str | None, ...] = ()
    approved_greatest: tuple[str | None, ...] = ()

    @property
    def name(self) -> str:
        """As the findings name it."""
        return f"{self.column}: {self.measure.replace('_', ' ')}"


class WatchedSlice(Recorded):
    """The primary score of one slice in one window.

    Attributes
    ----------
    slice
        The value of the column; None for the rows in which it is missing.
    baseline, limit
        The score at release, and with the declared margin the worst that holds.
    p_adjusted
        Of the score being no worse than the limit, by Holm over the slices of the window.
    """

    column: str
    slice: str | None
    score: str
    value: float | None
    low: float | None
    high: float | None
    baseline: float | None
    limit: float | None
    p_adjusted: float | None
    n: int
    problem: str = ""

    @property
    def name(self) -> str:
        """As the findings name it."""
        return f"{self.column} {'missing' if self.slice is None else self.slice}"


class FairnessWindow(Recorded):
    """One window of matured answers.

    Attributes
    ----------
    first_day, last_day
        Both included, in the line's time zone.
    days
        Days that hold a labelled answer.
    matured
        Answers whose label is due.
    labelled
        Those of them whose label was gathered: what gaps and slices are counted on.
    """

    first_day: date
    last_day: date
    days: int
    matured: int
    labelled: int
    gaps: tuple[WatchedGap, ...]
    slices: tuple[WatchedSlice, ...]


class FairnessRecord(Recorded):
    """Disjoint windows of one version's answers, the newest first; none without matured answers."""

    line: str
    environment: str
    version: int
    model_digest: str
    baseline_digest: str | None
    baseline_problem: str
    windows: tuple[FairnessWindow, ...]


class HistoryRow(Recorded):
    """One subject at the end of one window, to be drawn over time.

    Attributes
    ----------
    rule
        `fairness_holds` with a ``measure``, or `slices_hold` with the score as ``measure``.
    subject
        As the findings name it.
    """

    last_day: date
    version: int
    rule: str
    subject: str
    column: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    baseline: float | None
    limit: float | None
    standing: Standing
    n: int


class FairnessHistory(Recorded):
    """Rows in the order of their windows; the newest `HISTORY_WINDOWS` windows stay."""

    rows: tuple[HistoryRow, ...] = ()

    def with_window(self, rows: Sequence[HistoryRow]) -> FairnessHistory:
        """The history with one more window; one of the same end and version is replaced.

        Raises
        ------
        ValueError
            If the rows are of several windows.
        """
        if not rows:
            return self
        ends = {(row.last_day, row.version) for row in rows}
        if len(ends) > 1:
            message = f"fairness history: expected the rows of one window, found those of {ends}"
            raise ValueError(message)
        kept = [row for row in self.rows if (row.last_day, row.version) not in ends]
        together = sorted([*kept, *rows], key=lambda row: (row.last_day, row.version))
        windows = sorted({(row.last_day, row.version) for row in together})[-HISTORY_WINDOWS:]
        oldest = windows[0]
        return FairnessHistory(
            rows=tuple(row for row in together if (row.last_day, row.version) >= oldest)
        )


def record_from_json(content: bytes) -> FairnessRecord:
    """Read a record back; `IntegrityError` if it is none."""
    return read_recorded(FairnessRecord, content, "fairness record")


def history_from_json(content: bytes | None) -> FairnessHistory:
    """Read a history back, an empty one for None; `IntegrityError` if it is none."""
    if content is None:
        return FairnessHistory()
    return read_recorded(FairnessHistory, content, "fairness history")
