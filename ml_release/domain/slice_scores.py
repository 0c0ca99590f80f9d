"""Scores on named subsets of the rows, with intervals that hold for all subsets together.

A table says what was seen on each slice. Which slice fails is decided by the policy that reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ml_release.domain.intervals import Interval, require_confidence
from ml_release.domain.multiple_tests import bonferroni_confidence
from ml_release.domain.rows import require_same_rows
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Rows = npt.NDArray[np.intp]
"""Positions of rows, rising."""

ScoreOnRows = Callable[[Rows, float], Interval]
"""A score on some rows at a two-sided confidence; `binary_scores` makes the usual ones."""

MISSING = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slicing:
    """A column by which rows are told apart.

    Attributes
    ----------
    column
        Its name.
    codes
        Shape (n,): position of each row's value in ``names``, or -1 where it is missing.
    names
        The values. One without a row is shown with n = 0: that it vanished is worth knowing.
    """

    column: str
    codes: Rows
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse codes that name nothing."""
        wrong = self.codes[(self.codes < MISSING) | (self.codes >= len(self.names))]
        if len(wrong):
            message = (
                f"slices by {self.column}: expected codes from -1 to {len(self.names) - 1}, found "
                f"{wrong[0]}; give every value a name, or -1 where it is missing"
            )
            raise InputError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    """One score on one slice.

    Attributes
    ----------
    column, value
        The slice; ``value`` is None for the rows in which it is missing, a slice of its own.
    score
        Name of the score.
    n, positives
        Rows, and positive rows; None where there is no target of two classes.
    judged
        Whether there are rows enough to judge it. Otherwise it is shown only.
    interval
        The score with its interval, at the table's ``confidence_each``.
    """

    column: str
    value: str | None
    score: str
    n: int
    positives: int | None
    judged: bool
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceTable:
    """Slices x scores.

    Attributes
    ----------
    rows
        By column, value and score, in the order given; missing values last.
    confidence
        That all intervals of one score on judged slices hold at once.
    confidence_each
        Of each interval, by Bonferroni over ``comparisons``.
    comparisons
        Judged slices, of all columns together.
    """

    rows: tuple[SliceScore, ...]
    confidence: float
    confidence_each: float
    comparisons: int


def slice_scores(
    slicings: Sequence[Slicing],
    scores: Mapping[str, ScoreOnRows],
    *,
    confidence: float,
    minimum_n: int,
    positive: npt.NDArray[np.bool_] | None = None,
    minimum_per_class: int = 0,
) -> SliceTable:
    """Score every slice.

    The intervals are widened by Bonferroni over the judged slices, so that for each score all of
    them hold together with ``confidence``; Dunn (1961), JASA 56(293). That keeps "some slice is
    below the limit" from being said by chance, and lets the worst slice be picked freely. For "no
    slice is below the limit", where every slice has to show it, no widening would be needed
    (Berger 1982, Technometrics 24(4)); there it errs on the safe side. Different scores are not
    corrected for one another.

    Parameters
    ----------
    confidence
        Two-sided, of the family of one score's slices.
    minimum_n
        Slices of fewer rows are not judged and not counted as comparisons.
    positive
        Shape (n,): the positive rows of a classifier.
    minimum_per_class
        Slices with fewer positive or fewer negative rows are not judged. Needs ``positive``.

    Raises
    ------
    InputError
        If a column has another number of rows than the others, or ``minimum_per_class`` stands
        without ``positive``.
    """
    require_confidence(confidence)
    _require_same_rows(slicings, positive, minimum_per_class)
    slices = [
        (slicing.column, value, rows, None if positive is None else int(positive[rows].sum()))
        for slicing in slicings
        for value, rows in _values(slicing)
    ]
    judged = [
        len(rows) >= max(minimum_n, 1)
        and (hits is None or min(hits, len(rows) - hits) >= minimum_per_class)
        for _, _, rows, hits in slices
    ]
    each = bonferroni_confidence(confidence, max(1, sum(judged)))
    return SliceTable(
        rows=tuple(
            SliceScore(
                column=column,
                value=value,
                score=name,
                n=len(rows),
                positives=hits,
                judged=enough,
                interval=score(rows, each),
            )
            for (column, value, rows, hits), enough in zip(slices, judged, strict=True)
            for name, score in scores.items()
        ),
        confidence=confidence,
        confidence_each=each,
        comparisons=sum(judged),
    )


def worst_slice(
    table: SliceTable,
    score: str,
    *,
    greater_is_better: bool,
    by: Literal["low", "estimate", "high"],
) -> SliceScore | None:
    """The judged slice with the worst ``score``; None if no slice could be judged.

    Parameters
    ----------
    by
        What is compared; take the number that the limit is held against, so that if this slice
        keeps the limit, every slice does. A slice whose number is not known is the worst of all:
        cannot tell must not hide behind one that can.
    """
    sign = 1 if greater_is_better else -1

    def rank(row: SliceScore) -> float:
        value = float(getattr(row.interval, by))
        return -np.inf if np.isnan(value) else sign * value

    rows = [row for row in table.rows if row.score == score and row.judged]
    return min(rows, key=rank, default=None)


def _values(slicing: Slicing) -> Iterator[tuple[str | None, Rows]]:
    order = np.argsort(slicing.codes, kind="stable")
    ends = np.cumsum(np.bincount(slicing.codes + 1, minlength=len(slicing.names) + 1))
    missing, *parts = np.split(order, ends[:-1])
    yield from zip(slicing.names, parts, strict=True)
    if len(missing):
        yield None, missing


def _require_same_rows(
    slicings: Sequence[Slicing], positive: npt.NDArray[np.bool_] | None, minimum_per_class: int
) -> None:
    columns: dict[str, npt.NDArray[Any]] = {slicing.column: slicing.codes for slicing in slicings}
    if positive is not None:
        columns["positive rows"] = positive
    require_same_rows("slices", **columns)
    if positive is None and minimum_per_class:
        message = "slices: expected positive rows with minimum_per_class, found none; pass them"
        raise InputError(message)
