"""The search itself: its budget, its failures, and that it never chooses worse than declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.adapters.optuna_search import OptunaSearch
from ml_release.adapters.random_search import RandomSearch
from ml_release.domain.search import Scalar, Trial, TrialState
from ml_release.errors import DeclarationError
from ml_release.spec.search_space import FloatRange
from ml_release.workflows.parameter_search import Searched, search_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SPACE = {"x": FloatRange(low=0.0, high=1.0)}
DECLARED: Mapping[str, Scalar] = {"x": 0.5, "kept": "as it is"}


def values_of(parameters: Mapping[str, Scalar]) -> tuple[float, float]:
    """Two folds, the second of which is the harder one."""
    x = parameters["x"]
    assert isinstance(x, float)
    return x, x + 0.1


def folds_of(parameters: Mapping[str, Scalar]) -> Iterator[float]:
    yield from values_of(parameters)


def search(
    fold_values: Callable[[Mapping[str, Scalar]], Iterator[float]] = folds_of, **changed: Any
) -> Searched:
    options: dict[str, Any] = {
        "subject": "line",
        "space": SPACE,
        "declared": DECLARED,
        "fold_values": fold_values,
        "folds": 2,
        "maximise": False,
        "trials": 8,
        "seconds": 60.0,
        "seed": 1,
        "search": RandomSearch(),
        "timer": lambda: 0.0,
        **changed,
    }
    return search_parameters(**options)


def clock(step: float) -> Callable[[], float]:
    """Each look at it is ``step`` seconds later."""
    now = 0.0

    def look() -> float:
        nonlocal now
        now += step
        return now

    return look


@given(declared=st.floats(0, 1), seed=st.integers(0, 99), maximise=st.booleans())
def test_what_is_found_is_never_worse_than_what_was_declared(
    declared: float, seed: int, maximise: bool
) -> None:
    """On the folds: the declared parameters are the first trial."""
    found = search(declared={"x": declared}, seed=seed, maximise=maximise, trials=5)
    first = found.trials[0].value
    assert first is not None
    assert found.best_value >= first if maximise else found.best_value <= first
    assert found.trials[0].parameters == {"x": declared}


def test_parameters_outside_the_space_stay_as_they_are_declared() -> None:
    """And reach every trial."""
    found = search()
    assert all(trial.parameters["kept"] == "as it is" for trial in found.trials)
    assert found.parameters == found.best.parameters
    assert found.parameters["x"] != DECLARED["x"]


@pytest.mark.parametrize("adapter", [RandomSearch(), OptunaSearch()])
def test_the_same_seed_and_trials_find_the_same(adapter: RandomSearch | OptunaSearch) -> None:
    """Trial by trial; another seed another one."""
    one, again, other = (search(search=adapter, trials=15, seed=seed) for seed in (3, 3, 4))
    assert one == again
    assert one.parameters != other.parameters


def test_one_trial_is_the_declared_parameters() -> None:
    """A number for them, and no search."""
    found = search(trials=1)
    assert found.parameters == DECLARED
    assert [trial.value for trial in found.trials] == [pytest.approx(0.55)]


def test_a_search_ends_with_its_trials() -> None:
    """Told one by one, with the best so far."""
    told: list[tuple[int, int, float | None]] = []
    trials: list[Trial] = []
    found = search(
        on_trial=trials.append, progress=lambda done, total, best: told.append((done, total, best))
    )
    assert (found.ended_by, len(found.trials)) == ("trials", 8)
    assert tuple(trials) == found.trials
    assert [(done, total) for done, total, _ in told] == [(i, 8) for i in range(1, 9)]
    best = [value for *_, value in told if value is not None]
    assert best == sorted(best, reverse=True)
    assert told[-1][2] == found.best_value


@pytest.mark.parametrize(
    ("seconds", "trials"),
    [
        pytest.param(0.001, 1, id="the first is always carried out"),
        pytest.param(7.5, 3, id="the one under way is finished"),
    ],
)
def test_a_search_ends_with_its_time(seconds: float, trials: int) -> None:
    """Each trial takes three looks at a clock that goes on by a second."""
    found = search(seconds=seconds, timer=clock(1.0))
    assert (found.ended_by, len(found.trials)) == ("time", trials)
    assert found.seconds > seconds
    assert all(trial.seconds == 1.0 for trial in found.trials)


def test_a_trial_that_raises_is_recorded_and_the_search_goes_on() -> None:
    """With its message, and the folds before."""

    def sometimes(parameters: Mapping[str, Scalar]) -> Iterator[float]:
        first, second = values_of(parameters)
        yield first
        if first > 0.5:
            message = "no bins left"
            raise ValueError(message)
        yield second

    found = search(sometimes, trials=12)
    failed = [trial for trial in found.trials if trial.state is TrialState.FAILED]
    assert failed
    assert all(trial.message == "ValueError: no bins left" for trial in failed)
    assert all(len(trial.fold_values) == 1 and trial.value is None for trial in failed)
    assert found.best.state is TrialState.COMPLETE


def test_declared_parameters_that_fail_leave_the_others() -> None:
    """They are no best value to be beaten then."""

    def others_only(parameters: Mapping[str, Scalar]) -> Iterator[float]:
        assert parameters["x"] != 0.5, "declared"
        yield from values_of(parameters)

    found = search(others_only)
    assert found.trials[0].state is TrialState.FAILED
    assert found.best.number > 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_number_fails_its_trial(value: float) -> None:
    """It neither wins nor stays unseen."""

    def later(parameters: Mapping[str, Scalar]) -> Iterator[float]:
        yield 1.0
        yield value if parameters["x"] != 0.5 else 1.0

    found = search(later, trials=3, maximise=True)
    assert [trial.state for trial in found.trials[1:]] == [TrialState.FAILED] * 2
    assert found.trials[1].message == f"the objective of fold 2 is {value}"
    assert found.best.number == 0


def test_if_every_trial_fails_the_author_is_told() -> None:
    """What was raised is in the message."""

    def never(parameters: Mapping[str, Scalar]) -> Iterator[float]:
        message = "unknown parameter kept"
        raise TypeError(message)
        yield 0.0

    with pytest.raises(DeclarationError, match="TypeError: unknown parameter kept"):
        search(never, trials=4)


def test_a_hopeless_trial_is_pruned_before_its_last_fold() -> None:
    """No more of its folds are computed; a finished trial is not asked about."""
    computed: list[float] = []

    def counted(parameters: Mapping[str, Scalar]) -> Iterator[float]:
        for value in values_of(parameters):
            computed.append(value)
            yield value

    found = search(counted, trials=30, search=OptunaSearch())
    pruned = [trial for trial in found.trials if trial.state is TrialState.PRUNED]
    assert pruned
    assert all(len(trial.fold_values) == 1 and trial.message == "" for trial in pruned)
    assert len(computed) == 2 * 30 - len(pruned)
    assert found.trials[0].state is TrialState.COMPLETE


def test_an_interrupted_search_is_interrupted() -> None:
    """Ctrl-C is no trial that fails."""

    def interrupted(parameters: Mapping[str, Scalar]) -> Iterator[float]:
        raise KeyboardInterrupt
        yield 0.0

    with pytest.raises(KeyboardInterrupt):
        search(interrupted)
