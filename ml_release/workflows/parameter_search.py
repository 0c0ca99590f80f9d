"""Try parameters on folds, one trial after the other, within a budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from ml_release.domain.search import Trial, TrialState, best_trial, require_best

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ml_release.domain.search import Scalar
    from ml_release.ports import ParameterSearch, Proposals
    from ml_release.spec.search_space import SearchRange

    Progress = Callable[[int, int, float | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """A search that found something.

    Attributes
    ----------
    parameters
        The declared ones with those of the best trial in place.
    trials
        In the order in which they were tried.
    """

    parameters: Mapping[str, Scalar]
    best: Trial
    best_value: float
    trials: tuple[Trial, ...]
    seconds: float
    ended_by: Literal["trials", "time"]


def search_parameters(
    *,
    subject: str,
    space: Mapping[str, SearchRange],
    declared: Mapping[str, Scalar],
    fold_values: Callable[[Mapping[str, Scalar]], Iterator[float]],
    folds: int,
    maximise: bool,
    trials: int,
    seconds: float,
    seed: int,
    search: ParameterSearch,
    on_trial: Callable[[Trial], object] = lambda _: None,
    progress: Progress = lambda _done, _total, _best: None,
    timer: Callable[[], float] = perf_counter,
) -> Searched:
    """Try the declared parameters, then what the search proposes, until the budget is spent.

    The declared parameters are a trial like any other, so that what is found is never worse than
    them on the folds. A trial that raises, or whose value is not a number, is recorded as failed
    with its message.

    Parameters
    ----------
    fold_values
        Parameters to the objective on each of the ``folds`` folds, computed one by one: a trial
        that is pruned asks for no more of them.
    trials, seconds
        The budget. No trial but the first begins after ``seconds``; the one under way is finished.
    on_trial
        Told of every trial when it has ended.
    progress
        Told the same in numbers: trials done, trials asked for, the best value so far.

    Raises
    ------
    DeclarationError
        If no trial ends with a value.
    """
    begun = timer()
    proposals = search.begin(space, first=declared, maximise=maximise, seed=seed)
    tried: list[Trial] = []
    ended_by: Literal["trials", "time"] = "trials"
    while len(tried) < trials:
        if tried and timer() - begun >= seconds:
            ended_by = "time"
            break
        trial = _tried(
            {**declared, **proposals.propose()},
            number=len(tried),
            fold_values=fold_values,
            folds=folds,
            proposals=proposals,
            timer=timer,
        )
        proposals.conclude(trial)
        tried.append(trial)
        on_trial(trial)
        best = best_trial(tried, maximise=maximise)
        progress(len(tried), trials, best.value if best else None)
    found, value = require_best(tried, maximise=maximise, subject=subject)
    return Searched(
        parameters=found.parameters,
        best=found,
        best_value=value,
        trials=tuple(tried),
        seconds=timer() - begun,
        ended_by=ended_by,
    )


def _tried(
    parameters: Mapping[str, Scalar],
    *,
    number: int,
    fold_values: Callable[[Mapping[str, Scalar]], Iterator[float]],
    folds: int,
    proposals: Proposals,
    timer: Callable[[], float],
) -> Trial:
    begun = timer()
    values: list[float] = []
    state, message = TrialState.COMPLETE, ""
    try:
        for value in fold_values(parameters):
            if not math.isfinite(value):
                state = TrialState.FAILED
                message = f"the objective of fold {len(values) + 1} is {value}"
                break
            values.append(value)
            if len(values) < folds and proposals.is_hopeless(values):
                state = TrialState.PRUNED
                break
    except Exception as error:  # noqa: BLE001 (whatever an estimator raises fails its trial, not the search)
        state, message = TrialState.FAILED, f"{type(error).__name__}: {error}"
    return Trial(
        number=number,
        parameters=parameters,
        fold_values=tuple(values),
        state=state,
        seconds=timer() - begun,
        message=message,
    )
