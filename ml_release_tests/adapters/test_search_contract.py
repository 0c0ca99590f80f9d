"""What every adapter of `ParameterSearch` has to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.optuna_search import OptunaSearch
from ml_release.adapters.random_search import RandomSearch
from ml_release.domain.search import Scalar, Trial, TrialState
from ml_release.spec.search_space import Choice, FloatRange, IntRange, SearchRange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.ports import ParameterSearch, Proposals

SPACE: Mapping[str, SearchRange] = {
    "x": FloatRange(low=-4.0, high=4.0),
    "rate": FloatRange(low=0.001, high=1.0, log=True),
    "leaves": IntRange(low=2, high=64, log=True),
    "rounds": IntRange(low=10, high=50, step=20),
    "mode": Choice(options=("a", None, 3, True)),
}
FIRST: dict[str, Scalar] = {"x": 3.5, "rate": 0.1, "leaves": 31, "rounds": 30, "mode": None}


@pytest.fixture(params=[RandomSearch, OptunaSearch])
def search(request: pytest.FixtureRequest) -> ParameterSearch:
    found: ParameterSearch = request.param()
    return found


def begin(search: ParameterSearch, *, seed: int = 5, maximise: bool = False) -> Proposals:
    return search.begin(SPACE, first={**FIRST, "other": 1}, maximise=maximise, seed=seed)


def ended(
    number: int, parameters: Mapping[str, Scalar], *values: float, state: str = "complete"
) -> Trial:
    return Trial(
        number=number,
        parameters=parameters,
        fold_values=values,
        state=TrialState(state),
        seconds=0.0,
    )


def loss(parameters: Mapping[str, Scalar]) -> float:
    x, rate = parameters["x"], parameters["rate"]
    assert isinstance(x, float)
    assert isinstance(rate, float)
    return (x - 1) ** 2 + abs(math.log10(rate) + 2)


def carried_on(proposals: Proposals, trials: int, *, sign: float = 1.0) -> list[dict[str, Scalar]]:
    """What is proposed when every trial is carried to its end."""
    found = []
    for number in range(trials):
        parameters = proposals.propose()
        found.append(parameters)
        proposals.conclude(ended(number, parameters, sign * loss(parameters)))
    return found


def test_the_first_proposal_is_what_the_search_began_with(search: ParameterSearch) -> None:
    """The parameters of the space only, as they were; never again by itself."""
    found = carried_on(begin(search), 4)
    assert found[0] == FIRST
    assert all(other != FIRST for other in found[1:])


def test_every_proposal_lies_in_the_space(search: ParameterSearch) -> None:
    """Of the kind that was declared: a whole number is one."""
    for parameters in carried_on(begin(search), 60):
        assert set(parameters) == set(SPACE)
        for name, range_ in SPACE.items():
            assert range_.holds(parameters[name]), (name, parameters[name])


def test_every_step_and_option_is_proposed_at_some_time(search: ParameterSearch) -> None:
    """Both ends included."""
    found = carried_on(begin(search), 80)
    assert {one["rounds"] for one in found} == {10, 30, 50}
    assert {str(one["mode"]) for one in found} == {"a", "None", "3", "True"}


@pytest.mark.parametrize("trials", [25])
def test_the_same_seed_and_results_lead_to_the_same_proposals(
    search: ParameterSearch, trials: int
) -> None:
    """Beyond the trials that are drawn before anything is learned."""
    assert carried_on(begin(search), trials) == carried_on(begin(search), trials)


def test_another_seed_leads_elsewhere(search: ParameterSearch) -> None:
    """From the second trial on."""
    one, other = carried_on(begin(search), 3), carried_on(begin(search, seed=6), 3)
    assert one[0] == other[0]
    assert one[1:] != other[1:]


def test_the_first_trial_is_never_hopeless(search: ParameterSearch) -> None:
    """There is nothing to be worse than."""
    proposals = begin(search)
    proposals.propose()
    assert not proposals.is_hopeless([1e9])
    assert not proposals.is_hopeless([1e9, 1e9])


@pytest.mark.parametrize("state", ["failed", "pruned"])
def test_a_search_goes_on_after_a_trial_without_a_value(
    search: ParameterSearch, state: str
) -> None:
    """As many of them as come, also after folds it was asked about."""
    proposals = begin(search)
    for number in range(15):
        parameters = proposals.propose()
        proposals.is_hopeless([0.5])
        proposals.conclude(ended(number, parameters, 0.5, state=state))
    assert set(proposals.propose()) == set(SPACE)


@pytest.mark.parametrize("maximise", [False, True])
def test_a_search_finds_better_parameters_than_those_declared(
    search: ParameterSearch, maximise: bool
) -> None:
    """Whichever way is better."""
    sign = -1.0 if maximise else 1.0
    found = carried_on(begin(search, maximise=maximise), 40, sign=sign)
    assert min(loss(one) for one in found) < loss(FIRST) / 4


@pytest.mark.parametrize("maximise", [False, True])
def test_optuna_gives_up_a_trial_that_is_worse_than_the_median(maximise: bool) -> None:
    """Judged by its mean so far, once five trials were carried to their end."""
    proposals = begin(OptunaSearch(), maximise=maximise)
    sign = -1.0 if maximise else 1.0
    for number in range(5):
        parameters = proposals.propose()
        assert not proposals.is_hopeless([sign * number])
        proposals.conclude(ended(number, parameters, sign * number))
    proposals.propose()
    assert proposals.is_hopeless([sign * 2.5])
    proposals.conclude(ended(5, parameters, sign * 2.5, state="pruned"))
    proposals.propose()
    assert not proposals.is_hopeless([sign * 1.5])


def test_optuna_learns_from_what_it_was_told() -> None:
    """Its second half comes nearer to the best than its first, which draws at random."""
    found = [loss(one) for one in carried_on(begin(OptunaSearch()), 40)]
    assert sorted(found[20:])[10] < sorted(found[:20])[10] / 2


def test_optuna_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever asked for the search reports it."""
    carried_on(begin(OptunaSearch()), 3)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
