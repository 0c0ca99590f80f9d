"""How differently a classifier treats groups of people: gaps and ratios of their rates.

The counts, seen from the favourable outcome, are made in `group_counts`; intervals are in
`fairness_intervals`, limits in the policy that reads both. What is not done here: whether the
groups should be treated alike, and whether the outcomes were themselves fair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from ml_release.domain.group_counts import GroupCounts
    from ml_release.domain.scores import Floats

Rate = Literal["selection_rate", "true_positive_rate", "false_positive_rate"]
Form = Literal["difference", "ratio"]

MEASURES: dict[str, tuple[Form, tuple[Rate, ...]]] = {
    "demographic_parity_difference": ("difference", ("selection_rate",)),
    "demographic_parity_ratio": ("ratio", ("selection_rate",)),
    "equal_opportunity_difference": ("difference", ("true_positive_rate",)),
    "equalized_odds_difference": ("difference", ("true_positive_rate", "false_positive_rate")),
    "false_positive_rate_difference": ("difference", ("false_positive_rate",)),
    "false_positive_rate_ratio": ("ratio", ("false_positive_rate",)),
}
"""Name to form and rates, as fairlearn defines them: the largest rate less the smallest, or the
smallest by the largest; of two rates the larger gap. Dwork et al. (2012), ITCS; Hardt, Price and
Srebro (2016), NeurIPS 29."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessMeasure:
    """One measure over all groups that have rows enough.

    Attributes
    ----------
    name
        One of `MEASURES`.
    value
        A difference is 0 and a ratio is 1 where all groups are treated alike. NaN with fewer than
        two groups, and for a ratio where all rates are 0.
    least, greatest
        Groups of the smallest and the largest rate, of the larger gap where there are two; empty
        if ``value`` is NaN.
    compared, left_out
        Groups that were compared, and those with too few rows for one of the rates. A group left
        out was not found to be treated alike: it has to be named wherever the value is shown.
    n
        Rows of the groups compared.
    """

    name: str
    value: float
    least: tuple[str | None, ...]
    greatest: tuple[str | None, ...]
    compared: tuple[str | None, ...]
    left_out: tuple[str | None, ...]
    n: int


def parts_of_rate(rate: Rate, cells: Floats) -> tuple[Floats, Floats]:
    """What stands above and below the fraction line of a rate; ``cells`` of shape (..., 4)."""
    tp, fp, fn, tn = np.moveaxis(cells, -1, 0)
    parts: dict[Rate, Callable[[], tuple[Floats, Floats]]] = {
        "selection_rate": lambda: (tp + fp, tp + fp + fn + tn),
        "true_positive_rate": lambda: (tp, tp + fn),
        "false_positive_rate": lambda: (fp, fp + tn),
    }
    return parts[rate]()


def enough_for(
    groups: Sequence[GroupCounts], rates: Sequence[Rate], minimum_n: int
) -> npt.NDArray[np.bool_]:
    """Which groups have ``minimum_n`` rows, and at least one, below each rate's fraction line."""
    cells = np.array([group.cells for group in groups], dtype=np.float64).reshape(-1, 4)
    below = [parts_of_rate(rate, cells)[1] for rate in rates]
    enough: npt.NDArray[np.bool_] = np.min(below, axis=0) >= max(1, minimum_n)
    return enough


def fairness_measure(
    name: str, groups: Sequence[GroupCounts], *, minimum_n: int
) -> FairnessMeasure:
    """One measure of `MEASURES` over the groups that have rows enough.

    Parameters
    ----------
    minimum_n
        Rows that have to stand below the fraction line of each rate: all rows for the selection
        rate, positive rows for the true positive rate, negative ones for the false positive rate.

    Raises
    ------
    InputError
        If the measure is not known.
    """
    form, rates = measure_parts(name)
    enough = enough_for(groups, rates, minimum_n)
    chosen = [group for group, kept in zip(groups, enough, strict=True) if kept]
    value = float("nan")
    least: tuple[str | None, ...] = ()
    greatest: tuple[str | None, ...] = ()
    if len(chosen) > 1:
        cells = np.array([group.cells for group in chosen], dtype=np.float64)
        above, below = zip(*(parts_of_rate(rate, cells) for rate in rates), strict=True)
        values = np.array(above) / np.array(below)
        widest = values[int(np.argmax(np.ptp(values, axis=1)))]
        low, high = float(widest.min()), float(widest.max())
        if form == "difference":
            value = high - low
        elif high > 0:
            value = low / high
        if not np.isnan(value):
            least = tuple(g.name for g, v in zip(chosen, widest, strict=True) if v == low)
            greatest = tuple(g.name for g, v in zip(chosen, widest, strict=True) if v == high)
    return FairnessMeasure(
        name=name,
        value=value,
        least=least,
        greatest=greatest,
        compared=tuple(group.name for group in chosen),
        left_out=tuple(g.name for g, kept in zip(groups, enough, strict=True) if not kept),
        n=sum(group.n for group in chosen),
    )


def measure_parts(name: str) -> tuple[Form, tuple[Rate, ...]]:
    """Form and rates of a measure.

    Raises
    ------
    InputError
        If it is not one of `MEASURES`, with the list of them.
    """
    if name not in MEASURES:
        message = f"fairness measure: expected one of {', '.join(MEASURES)}, found {name}"
        raise InputError(message)
    return MEASURES[name]
