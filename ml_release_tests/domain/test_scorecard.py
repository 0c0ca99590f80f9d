"""Rates of what the gates stop, and the policy they are held against."""

from __future__ import annotations

import math

import pytest

from ml_release.domain.scorecard import Scorecard, ScorecardPolicy, Trial, judge_scorecard
from ml_release.domain.verdict import Outcome

PASS, FAIL, UNSURE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def card(killed: int, survived: int, blocked: int = 0, passed: int = 0) -> Scorecard:
    groups = ((killed, True, ("a", "b")), (survived, True, ()), (blocked, False, ("a",)))
    trials = [
        Trial(name=f"{by}-{mutant}-{i}", is_mutant=mutant, stopped_by=by)
        for n, mutant, by in (*groups, (passed, False, ()))
        for i in range(n)
    ]
    return Scorecard(line="line", trials=tuple(trials))


@pytest.mark.parametrize(
    ("found", "outcomes"),
    [
        pytest.param(card(19, 1, 1, 49), (PASS, PASS), id="both at the limit"),
        pytest.param(card(18, 2, 0, 50), (FAIL, PASS), id="a mutant too many lives"),
        pytest.param(card(20, 0, 2, 48), (PASS, FAIL), id="an honest one too many is stopped"),
        pytest.param(card(20, 0), (PASS, UNSURE), id="no honest one was tried"),
        pytest.param(card(0, 0), (UNSURE, UNSURE), id="nothing was tried"),
    ],
)
def test_rates_are_held_against_the_policy(
    found: Scorecard, outcomes: tuple[Outcome, Outcome]
) -> None:
    """A rate of nothing passes nothing."""
    policy = ScorecardPolicy(kill_rate_floor=0.95, false_block_limit=0.02)
    assert tuple(f.outcome for f in judge_scorecard(found, policy)) == outcomes


def test_survivors_and_wrongly_stopped_are_named() -> None:
    """Whoever mends the gates needs to know which."""
    kills, blocks = judge_scorecard(card(1, 1, 1, 1), ScorecardPolicy())
    assert kills.detail == "survived: ()-True-0"
    assert blocks.detail == "('a',)-False-0 by a"


def test_a_gate_is_credited_with_what_it_stops_and_with_what_only_it_stops() -> None:
    """The gate that nothing else replaces shows."""
    alone = Trial(name="x", is_mutant=True, stopped_by=("c",))
    found = Scorecard(line="line", trials=(*card(2, 1, 1, 1).trials, alone))
    assert found.by_rule() == {"a": (2, 0, 1), "b": (2, 0, 0), "c": (1, 1, 0)}
    assert list(found.by_rule()) == ["a", "b", "c"]
    assert found.rate(mutants=True).estimate == pytest.approx(3 / 4)
    assert math.isnan(card(1, 0).rate(mutants=False).estimate)
