"""Decisions and outcomes of groups of people, counted from the favourable outcome.

A line declares as 0 or 1 which outcome is favourable: a row is selected where it is predicted, and
positive where it came true. For a model of late flights or of bad debt it is 0, and rates taken of
1 would say the opposite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml_release.domain.rows import require_same_rows
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ml_release.domain.scores import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCounts:
    """Decisions and outcomes of one group, seen from the favourable outcome.

    Attributes
    ----------
    name
        None for the rows whose group is missing.
    n
        Rows.
    positives
        Rows whose outcome was favourable.
    selected
        Rows whose prediction was favourable.
    true_positives, false_positives
        Selected rows whose outcome was favourable, and was not.
    """

    name: str | None
    n: int
    positives: int
    selected: int
    true_positives: int
    false_positives: int

    def __post_init__(self) -> None:
        """Refuse counts that no rows could have."""
        if min(self.cells) < 0 or self.selected != self.true_positives + self.false_positives:
            message = (
                f"group {self.name}: expected selected = true + false positives and counts within "
                f"one another, found {self}; count all of them on the same rows"
            )
            raise InputError(message)

    @property
    def cells(self) -> tuple[int, int, int, int]:
        """True positives, false positives, false negatives, true negatives; they add up to n."""
        return (
            self.true_positives,
            self.false_positives,
            self.positives - self.true_positives,
            self.n - self.positives - self.false_positives,
        )


def group_counts(
    codes: npt.NDArray[np.intp],
    names: Sequence[str],
    target: Floats,
    decision: Floats,
    *,
    favourable: Literal[0, 1],
) -> tuple[GroupCounts, ...]:
    """Count each group's decisions and outcomes.

    Parameters
    ----------
    codes
        Shape (n,): position of each row's group in ``names``, or -1 where it is missing.
    target, decision
        Shape (n,) each, 0 or 1, as the model's classes.
    favourable
        The class that people hope for.

    Returns
    -------
    tuple of GroupCounts
        One per name, in that order, then the missing if there are any.

    Raises
    ------
    InputError
        If the columns have different lengths, or hold anything but 0 and 1 (or a code unnamed).
    """
    counts = cells_of(codes, len(names), target, decision, favourable=favourable)
    return tuple(
        GroupCounts(
            name=name,
            n=tp + fp + fn + tn,
            positives=tp + fn,
            selected=tp + fp,
            true_positives=tp,
            false_positives=fp,
        )
        for name, (tp, fp, fn, tn) in zip((*names, None), counts.tolist(), strict=True)
        if name is not None or tp + fp + fn + tn
    )


def cells_of(
    codes: npt.NDArray[np.intp],
    groups: int,
    target: Floats,
    decision: Floats,
    *,
    favourable: Literal[0, 1],
) -> npt.NDArray[np.intp]:
    """Counts of shape (groups + 1, 4) in the order of `GroupCounts.cells`, the missing last.

    Raises
    ------
    InputError
        As `group_counts`.
    """
    require_same_rows("group counts", codes=codes, target=target, decision=decision)
    coded = not len(codes) or (codes.min() >= -1 and codes.max() < groups)
    binary = np.isin(target, (0, 1)).all() and np.isin(decision, (0, 1)).all()
    if not (coded and binary and favourable in {0, 1}):
        message = (
            f"group counts: expected codes from -1 to {groups - 1}, targets and decisions of 0 or "
            f"1 and a favourable class of 0 or 1, found another value (favourable {favourable}); "
            "leave rows without a label out, and count them"
        )
        raise InputError(message)
    positive, selected = target == favourable, decision == favourable
    cell = np.where(selected, np.where(positive, 0, 1), np.where(positive, 2, 3))
    group = np.where(codes < 0, groups, codes)
    return np.bincount(4 * group + cell, minlength=4 * (groups + 1)).reshape(groups + 1, 4)
