"""What a search for parameters has tried, which trial is the best, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from ml_release.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Scalar = int | float | str | bool | None

DECLARED = 0
"""Number of the trial of the parameters as the line declares them: always the first."""

_SHOWN_FAILURES = 3


class TrialState(StrEnum):
    """How a trial ended. Only a complete one can be the best."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One set of parameters, tried on folds in the order of time.

    Attributes
    ----------
    number
        Counted from 0, which is the trial of the declared parameters.
    fold_values
        The objective on each fold that was tried, shape (folds,) for a complete trial; a trial that
        was pruned or that failed has those before.
    seconds
        Time the trial took.
    message
        What a failed trial raised, empty otherwise.
    """

    number: int
    parameters: Mapping[str, Scalar]
    fold_values: tuple[float, ...]
    state: TrialState
    seconds: float
    message: str = ""

    @property
    def value(self) -> float | None:
        """Mean of the objective over the folds; None unless the trial is complete."""
        if self.state is not TrialState.COMPLETE:
            return None
        return sum(self.fold_values) / len(self.fold_values)


class FoldRecord(BaseModel):
    """One fold as ISO days, both ends included: learned from the first day of the window on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train_to: str
    validation_from: str
    validation_to: str


class SearchRecord(BaseModel):
    """A search, as the record of its candidate keeps it.

    Attributes
    ----------
    objective
        What was compared: a ``_score`` grows with quality, a ``_loss`` or ``_error`` shrinks.
    trials_asked, seconds_asked
        The budget: it ended with whichever was reached first, which ``ended_by`` says.
    complete, pruned, failed
        Trials by state.
    best_trial, best_value
        Number of the trial whose parameters the candidate has, and its mean over the folds.
    declared_value
        The same of the declared parameters; None if their trial failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    objective: str
    seed: int
    trials_asked: int
    seconds_asked: float
    seconds_spent: float
    ended_by: Literal["trials", "time"]
    complete: int
    pruned: int
    failed: int
    best_trial: int
    best_value: float
    declared_value: float | None
    folds: tuple[FoldRecord, ...]


def best_trial(trials: Sequence[Trial], *, maximise: bool) -> Trial | None:
    """The complete trial with the best value, the earliest of equal ones; None without one.

    >>> found = [
    ...     Trial(number=i, parameters={}, fold_values=(v,), state=TrialState.COMPLETE, seconds=1.0)
    ...     for i, v in enumerate([0.5, 0.4, 0.4])
    ... ]
    >>> best_trial(found, maximise=False).number
    1
    """
    known = [(trial.value, trial) for trial in trials if trial.value is not None]
    if not known:
        return None
    sign = -1.0 if maximise else 1.0
    return min(known, key=lambda pair: (sign * pair[0], pair[1].number))[1]


def require_best(trials: Sequence[Trial], *, maximise: bool, subject: str) -> tuple[Trial, float]:
    """`best_trial`, of which there has to be one, with its value.

    Raises
    ------
    DeclarationError
        If no trial was completed, with what the first of them raised.
    """
    best = best_trial(trials, maximise=maximise)
    if best is None or best.value is None:
        raised = dict.fromkeys(trial.message for trial in trials if trial.message)
        rows = "\n".join(f"  - {message}" for message in list(raised)[:_SHOWN_FAILURES])
        message = (
            f"search of {subject}: expected a trial that ends with a value, found {len(trials)}"
            f" trials without one.\n{rows or '  - none was begun'}\n"
            "Mend the estimator, or its parameters and their search space."
        )
        raise DeclarationError(message)
    return best, best.value
