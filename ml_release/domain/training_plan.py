"""How a candidate is trained: its search, its folds in the order of time, its calibration.

Folds are nested before the holdout. What is decided on them, decided without a row of the days the
candidate is judged on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.search_objectives import Objective
from ml_release.errors import InputError, RefusedError

Days = npt.NDArray[np.datetime64]
_DAY = np.timedelta64(1, "D")


class TrainingPolicy(BaseModel):
    """How much is tried before a candidate is fitted, and how it is compared.

    Attributes
    ----------
    search_trials
        Sets of parameters to try, the declared ones first; 0 fits the declared ones as they are.
    search_seconds
        No trial but the first begins after this time. One that has begun is finished, and a search
        that ends by time depends on the machine: another one may find other parameters.
    search_objective
        Mean over the folds; its name says which way is better.
    pinball_quantile
        The quantile of ``pinball_loss``, unused otherwise.
    validation_folds, validation_days
        How many folds, and how many days each of them is judged on. Training rows are all the days
        before (an expanding window).
    embargo_days
        Days between the training and the validation rows of a fold, so that no label is learned
        from before it could be known; None for the label delay of the line, in whole days.
    calibration
        ``sigmoid`` maps the margin to a probability by Platt's curve, fitted on the answers to the
        validation rows of the folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    search_trials: Annotated[int, Field(ge=0, le=10_000)] = 0
    search_seconds: Annotated[float, Field(gt=0)] = 600.0
    search_objective: Objective = "log_loss"
    pinball_quantile: Annotated[float, Field(gt=0, lt=1)] = 0.5
    validation_folds: Annotated[int, Field(ge=1, le=50)] = 3
    validation_days: Annotated[int, Field(ge=1, le=366)] = 7
    embargo_days: Annotated[int, Field(ge=0, le=366)] | None = None
    calibration: Literal["none", "sigmoid"] = "none"

    @property
    def needs_folds(self) -> bool:
        """Whether anything is decided on folds."""
        return self.search_trials > 0 or self.calibration != "none"

    def with_budget(self, *, trials: int | None, seconds: float | None) -> TrainingPolicy:
        """The same with another budget of the search; None leaves it.

        Raises
        ------
        InputError
            If it is out of range: it comes from a command or a run's configuration.
        """
        asked = {"search_trials": trials, "search_seconds": seconds}
        changes = {name: value for name, value in asked.items() if value is not None}
        try:
            return TrainingPolicy.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            rows = "; ".join(
                f"{problem['loc'][0]}: {problem['msg']}, found {problem['input']!r}"
                for problem in error.errors()
            )
            message = f"budget of the search: {rows}"
            raise InputError(message) from error


def whole_days(delay: timedelta) -> int:
    """Days until a label is known, rounded up.

    >>> whole_days(timedelta(hours=30))
    2
    """
    return -(-delay // timedelta(days=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Which days are learned from, and which are judged; every end is included.

    Attributes
    ----------
    train_to
        Last day to learn from; the first is that of the window.
    validation_from, validation_to
        Days to judge on.
    """

    train_to: np.datetime64
    validation_from: np.datetime64
    validation_to: np.datetime64

    def trains_on(self, days: Days) -> npt.NDArray[np.bool_]:
        """Of each day, shape (n,), whether it is learned from."""
        return days <= self.train_to

    def validates_on(self, days: Days) -> npt.NDArray[np.bool_]:
        """Of each day, shape (n,), whether it is judged on."""
        return (days >= self.validation_from) & (days <= self.validation_to)


def time_ordered_folds(
    days: Days,
    *,
    holdout_from: np.datetime64,
    folds: int,
    validation_days: int,
    embargo_days: int,
) -> tuple[Fold, ...]:
    """Folds with an expanding window, the last of which ends the day before the holdout.

    Parameters
    ----------
    days
        Day of each row, shape (n,), in any order; those of the holdout are not looked at.
    holdout_from
        First day of the holdout.
    folds, validation_days, embargo_days
        As `TrainingPolicy` says.

    Returns
    -------
    tuple of Fold
        Oldest first. Their validation days follow each other without a gap.

    Raises
    ------
    RefusedError
        If the first fold would have fewer days to learn from than to be judged on.

    Examples
    --------
    >>> days = np.arange("2013-01-01", "2013-02-15", dtype="datetime64[D]")
    >>> holdout_from = np.datetime64("2013-02-01")
    >>> for fold in time_ordered_folds(
    ...     days, holdout_from=holdout_from, folds=2, validation_days=7, embargo_days=1
    ... ):
    ...     print(fold.train_to, fold.validation_from, fold.validation_to)
    2013-01-16 2013-01-18 2013-01-24
    2013-01-23 2013-01-25 2013-01-31
    """
    before = days[days < holdout_from]
    found = int((holdout_from - before.min()) / _DAY) if len(before) else 0
    needed = (folds + 1) * validation_days + embargo_days
    if found < needed:
        message = (
            f"folds before the holdout from {holdout_from}: expected at least {needed} days"
            f" ({folds} folds of {validation_days} days, an embargo of {embargo_days} days, and as"
            f" many days to learn from as a fold is judged on), found {found}. Choose a longer"
            " window, or declare fewer or shorter folds in training of policy.yaml."
        )
        raise RefusedError(message)
    starts = [holdout_from - (folds - number) * validation_days * _DAY for number in range(folds)]
    return tuple(
        Fold(
            train_to=start - (1 + embargo_days) * _DAY,
            validation_from=start,
            validation_to=start + (validation_days - 1) * _DAY,
        )
        for start in starts
    )
