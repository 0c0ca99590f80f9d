"""Which trial is the best, and what is said if there is none."""

from __future__ import annotations

import pytest

from ml_release.domain.search import Trial, TrialState, best_trial, require_best
from ml_release.errors import DeclarationError


def trial(number: int, *values: float, state: str = "complete", message: str = "") -> Trial:
    return Trial(
        number=number,
        parameters={"depth": number},
        fold_values=values,
        state=TrialState(state),
        seconds=0.5,
        message=message,
    )


def test_the_value_of_a_trial_is_the_mean_over_its_folds() -> None:
    """One that was not carried to its end has none, however good it began."""
    assert trial(0, 0.2, 0.4).value == pytest.approx(0.3)
    assert trial(0, 0.2, state="pruned").value is None
    assert trial(0, 0.2, state="failed").value is None


@pytest.mark.parametrize(
    ("trials", "maximise", "best"),
    [
        pytest.param([trial(0, 0.6), trial(1, 0.5), trial(2, 0.7)], False, 1, id="less is better"),
        pytest.param([trial(0, 0.6), trial(1, 0.5), trial(2, 0.7)], True, 2, id="more is better"),
        pytest.param([trial(0, 0.6), trial(1, 0.6)], True, 0, id="the declared one of equal ones"),
        pytest.param([trial(0, 0.6), trial(1, 0.1, state="pruned")], False, 0, id="not a pruned"),
        pytest.param([trial(0, state="failed"), trial(1, 0.9)], False, 1, id="not a failed one"),
    ],
)
def test_the_best_is_the_first_complete_one_with_the_best_value(
    trials: list[Trial], maximise: bool, best: int
) -> None:
    """A tie is nothing that a change of parameters could rest on."""
    found = best_trial(trials, maximise=maximise)
    assert found is not None
    assert found.number == best
    assert require_best(trials, maximise=maximise, subject="line") == (found, found.value)


@pytest.mark.parametrize(
    ("trials", "found"),
    [
        pytest.param([], "found 0 trials without one.\n  - none was begun", id="none"),
        pytest.param(
            [trial(0, state="failed", message="ValueError: depth"), trial(1, 0.1, state="pruned")],
            "found 2 trials without one.\n  - ValueError: depth\n",
            id="failed and pruned",
        ),
    ],
)
def test_without_a_complete_trial_the_author_is_told_why(trials: list[Trial], found: str) -> None:
    """With what was raised, each message once."""
    assert best_trial(trials, maximise=True) is None
    with pytest.raises(DeclarationError) as refused:
        require_best(trials, maximise=True, subject="line")
    assert found in str(refused.value)


def test_of_many_failures_the_first_three_kinds_are_shown() -> None:
    """A hundred trials that fail alike fail for one reason."""
    messages = ["a", "a", "b", "c", "d"]
    failed = [trial(i, state="failed", message=text) for i, text in enumerate(messages)]
    with pytest.raises(DeclarationError) as refused:
        require_best(failed, maximise=True, subject="line")
    assert "  - a\n  - b\n  - c\nMend" in str(refused.value)
