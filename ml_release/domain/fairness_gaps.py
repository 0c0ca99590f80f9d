"""The gaps between groups in one window, held against a baseline.

What is compared is what the evaluation of the served version measured: the same measures and
columns, counted in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml_release.domain.fairness import MEASURES, fairness_measure
from ml_release.domain.fairness_excess import FEWEST_UNITS, pair_excesses
from ml_release.domain.fairness_intervals import (
    drawn_counts,
    drawn_counts_by_unit,
    fairness_interval,
)
from ml_release.domain.fairness_record import WatchedGap
from ml_release.domain.group_counts import GroupCounts, cells_of, group_counts
from ml_release.domain.multiple_tests import holm_adjusted
from ml_release.domain.recorded import known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ml_release.domain.evaluation_measures import FairnessOfColumn
    from ml_release.domain.fairness_excess import PairExcess
    from ml_release.domain.fairness_watch_policy import FairnessWatchPolicy
    from ml_release.domain.scores import Floats
    from ml_release.domain.slice_scores import Slicing

Unit = Literal["row", "day"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WatchedRows:
    """Labelled answers of one window.

    Attributes
    ----------
    days
        Shape (n,): the day of each row, as any integer.
    target, decision, answers
        Shape (n,): label and decision, 0 or 1 each, and the prediction.
    groups, slices
        Sensitive and slice column to its values, coded; without a column that was not logged.
    """

    days: npt.NDArray[np.int64]
    target: Floats
    decision: Floats
    answers: Floats
    groups: Mapping[str, Slicing]
    slices: Mapping[str, Slicing]

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.target)


def watched_gaps(
    rows: WatchedRows,
    baseline: Sequence[FairnessOfColumn],
    policy: FairnessWatchPolicy,
    *,
    unit: Unit,
    favourable: Literal[0, 1],
) -> tuple[WatchedGap, ...]:
    """Every measure of the baseline, on the rows of a window.

    Parameters
    ----------
    unit
        What is taken as independent: whole days, or rows. Days need two of them.
    favourable
        The class that people hope for.
    """
    counted: dict[str, _Counted] = {}
    gaps: list[WatchedGap] = []
    pairs: list[tuple[PairExcess, ...]] = []
    for approved in baseline:
        slicing = rows.groups.get(approved.column)
        if slicing is None or not rows.n:
            problem = "no row" if slicing is not None else "the column is not in the log"
            gaps.append(_unknown(approved, problem))
            pairs.append(())
            continue
        if approved.column not in counted:
            counted[approved.column] = _count(
                rows, slicing, unit=unit, favourable=favourable, seed=policy.seed
            )
        gap, found = _gap(approved, counted[approved.column], policy)
        gaps.append(gap)
        pairs.append(found)
    adjusted = holm_adjusted(
        np.array([one.p_value for found in pairs for one in found], dtype=np.float64)
    )
    ends = np.cumsum([len(found) for found in pairs], dtype=np.int64)
    parts = np.split(adjusted, ends[:-1]) if pairs else []
    return tuple(
        gap.model_copy(update={"p_adjusted": _least(part)})
        for gap, part in zip(gaps, parts, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Counted:
    """The groups of one column with draws of their counts; ``units`` is None for rows."""

    groups: tuple[GroupCounts, ...]
    draws: Floats
    units: int | None


def _count(
    rows: WatchedRows, slicing: Slicing, *, unit: Unit, favourable: Literal[0, 1], seed: int
) -> _Counted:
    groups = group_counts(
        slicing.codes, slicing.names, rows.target, rows.decision, favourable=favourable
    )
    days, codes = np.unique(rows.days, return_inverse=True)
    if unit == "row" or len(days) < FEWEST_UNITS:
        units = None if unit == "row" else len(days)
        return _Counted(groups=groups, draws=drawn_counts(groups, seed=seed), units=units)
    cells = np.stack(
        [
            cells_of(
                slicing.codes[codes == day],
                len(slicing.names),
                rows.target[codes == day],
                rows.decision[codes == day],
                favourable=favourable,
            )[: len(groups)]
            for day in range(len(days))
        ]
    )
    return _Counted(groups=groups, draws=drawn_counts_by_unit(cells, seed=seed), units=len(days))


def _gap(
    approved: FairnessOfColumn, counted: _Counted, policy: FairnessWatchPolicy
) -> tuple[WatchedGap, tuple[PairExcess, ...]]:
    name = approved.measure
    measure = fairness_measure(name, counted.groups, minimum_n=policy.minimum_rows)
    interval = fairness_interval(
        name,
        counted.groups,
        counted.draws,
        confidence=policy.confidence,
        minimum_n=policy.minimum_rows,
        units=counted.units,
    )
    baseline = approved.interval.estimate
    limit = None if baseline is None else policy.limit_of(name, baseline)
    problem = "" if baseline is not None else "the evaluation could not measure it"
    if limit is not None and limit <= 0 and MEASURES[name][0] == "ratio":
        problem, limit = "the margin leaves nothing of the ratio to hold it against", None
    if not isfinite(measure.value):
        problem = problem or "fewer than two groups have rows enough"
    one_day = counted.units is not None and counted.units < FEWEST_UNITS
    if one_day:
        problem = problem or "one day cannot say how days differ"
    pairs: tuple[PairExcess, ...] = ()
    if limit is not None and isfinite(measure.value):
        pairs = pair_excesses(
            name,
            counted.groups,
            counted.draws,
            limit=limit,
            minimum_n=policy.minimum_rows,
            units=counted.units,
        )
    watched = WatchedGap(
        column=approved.column,
        measure=name,
        value=known(measure.value),
        low=None if one_day else known(interval.low),
        high=None if one_day else known(interval.high),
        baseline=baseline,
        limit=limit,
        p_adjusted=None,
        least=measure.least,
        greatest=measure.greatest,
        compared=measure.compared,
        left_out=measure.left_out,
        n=measure.n,
        problem=problem,
        approved_least=approved.least,
        approved_greatest=approved.greatest,
    )
    return watched, pairs


def _unknown(approved: FairnessOfColumn, problem: str) -> WatchedGap:
    return WatchedGap(
        column=approved.column,
        measure=approved.measure,
        value=None,
        low=None,
        high=None,
        baseline=approved.interval.estimate,
        limit=None,
        p_adjusted=None,
        least=(),
        greatest=(),
        compared=(),
        left_out=(),
        n=0,
        problem=problem,
    )


def _least(p_values: npt.NDArray[np.float64]) -> float | None:
    known = p_values[~np.isnan(p_values)]
    return float(known.min()) if len(known) else None
