"""What is said of arms and experiments: tables of cases, and simulated peeking."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.domain.experiment_analysis import (
    Analysis,
    Answer,
    ArmOutcome,
    _answer,
    _outcome,
    analyse,
)
from ml_release.domain.experiment_policy import Guardrail
from ml_release_tests.simulated_experiments import (
    a_plan,
    an_experiment,
    bandit_split,
    first_finding,
    fixed_split,
    looks,
    observed,
)

if TYPE_CHECKING:
    from ml_release.domain.experiment_scores import Observed

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATE = NOW + timedelta(days=60)


def judged(seen: Observed, *, now: datetime = NOW, void: str = "", **limits: Any) -> Analysis:
    experiment = an_experiment(max(2, int(seen.version.max(initial=2))))
    plan, _ = a_plan(experiment, **limits)
    return analyse(experiment, seen, plan, now=now, void_because=void)


def drawn(*means: float, n: int = 8000, seed: int = 1) -> Observed:
    return fixed_split(means, n, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("low", "high", "direction", "outcome"),
    [
        pytest.param(0.001, 0.03, "higher", ArmOutcome.BETTER, id="above 0"),
        pytest.param(0.001, 0.03, "lower", ArmOutcome.WORSE, id="above 0, lower is better"),
        pytest.param(-0.03, -0.001, "higher", ArmOutcome.WORSE, id="below 0"),
        pytest.param(-0.03, -0.001, "lower", ArmOutcome.BETTER, id="below 0, lower is better"),
        pytest.param(-0.019, 0.019, "higher", ArmOutcome.NO_DIFFERENCE, id="within the effect"),
        pytest.param(-0.019, 0.021, "higher", ArmOutcome.UNDECIDED, id="too wide above"),
        pytest.param(-0.021, 0.019, "higher", ArmOutcome.UNDECIDED, id="too wide below"),
        pytest.param(0.0, 0.03, "higher", ArmOutcome.UNDECIDED, id="0 is not excluded"),
        pytest.param(-math.inf, math.inf, "higher", ArmOutcome.UNDECIDED, id="nothing known"),
        pytest.param(math.nan, math.nan, "higher", ArmOutcome.UNDECIDED, id="NaN"),
    ],
)
def test_what_an_interval_says(
    low: float, high: float, direction: str, outcome: ArmOutcome
) -> None:
    """The smallest effect is 0.02."""
    plan, _ = a_plan(an_experiment(), direction=direction)
    assert _outcome(low, high, plan) is outcome


def guardrail(share: float) -> dict[str, Any]:
    return {"guardrails": (Guardrail(metric="error_rate", tolerance=share),)}


def failing(seen: Observed, *shares: float) -> Observed:
    chance = np.random.default_rng(4).random(len(seen)) < np.array(shares)[seen.version - 1]
    return replace(seen, is_error=chance)


CASES = [
    pytest.param(drawn(0.1, 0.2), {}, Answer.NAME_WINNER, id="a better arm"),
    pytest.param(drawn(0.2, 0.1), {}, Answer.HARM, id="a worse arm"),
    pytest.param(drawn(0.2, 0.1), {"direction": "lower"}, Answer.NAME_WINNER, id="lower is better"),
    pytest.param(drawn(0.1, 0.11, n=1000), {}, Answer.CONTINUE, id="too early"),
    pytest.param(
        drawn(0.1, 0.11, n=1000), {"now": LATE}, Answer.PLANNED_END, id="the last day has come"
    ),
    pytest.param(drawn(0.1, 0.1, n=60_000), {}, Answer.PLANNED_END, id="no difference is shown"),
    pytest.param(drawn(0.1, 0.2), {"void": "the split"}, Answer.VOID, id="void, whatever is seen"),
    pytest.param(drawn(0.2, 0.1), {"void": "the split"}, Answer.HARM, id="harm comes before void"),
    pytest.param(drawn(0.1, 0.2, n=200), {}, Answer.CONTINUE, id="fewer groups than the least"),
    pytest.param(drawn(0.1, 0.1, n=0), {}, Answer.CONTINUE, id="no answer"),
    pytest.param(drawn(0.1, 0.1, n=0), {"now": LATE}, Answer.PLANNED_END, id="no answer at all"),
    pytest.param(
        failing(drawn(0.1, 0.2), 0.0, 0.2), guardrail(0.01), Answer.HARM, id="better, but it fails"
    ),
    pytest.param(
        failing(drawn(0.1, 0.2), 0.0, 0.02),
        guardrail(0.02),
        Answer.CONTINUE,
        id="better, but the guardrail is in doubt",
    ),
    pytest.param(
        failing(drawn(0.1, 0.2), 0.3, 0.3), guardrail(0.1), Answer.NAME_WINNER, id="both fail alike"
    ),
    pytest.param(drawn(0.1, 0.2, 0.1, n=9000), {}, Answer.NAME_WINNER, id="one of three is better"),
    pytest.param(drawn(0.2, 0.2, 0.1, n=9000), {}, Answer.HARM, id="one of three is worse"),
]


@pytest.mark.parametrize(("seen", "options", "answer"), CASES)
def test_what_is_to_be_done(seen: Observed, options: dict[str, Any], answer: Answer) -> None:
    """The answer follows from what was seen, the limits and the day."""
    found = judged(seen, **options)
    assert found.answer is answer
    assert (found.winner is not None) is (answer is Answer.NAME_WINNER)


def test_a_winner_is_the_best_of_the_better_ones() -> None:
    """Not the first."""
    assert judged(drawn(0.1, 0.2, 0.3, n=9000)).winner == 3


def test_rewards_all_alike_show_no_difference_only_after_enough_units() -> None:
    """No spread is no proof."""
    few, many = (
        judged(
            observed(
                np.tile([1, 2], n).astype(np.int64),
                np.arange(2 * n),
                np.full(2 * n, 0.5),
                np.zeros(2 * n),
            )
        )
        for n in (50, 4000)
    )
    assert few.arms[0].outcome is ArmOutcome.UNDECIDED
    assert many.arms[0].outcome is ArmOutcome.NO_DIFFERENCE


def test_an_undecided_arm_says_about_how_many_more() -> None:
    """With so many more of the same it is decided, if the difference stays; a decided one not."""
    small = judged(drawn(0.1, 0.112, n=4000, seed=1))
    (arm,) = small.arms
    assert arm.outcome is ArmOutcome.UNDECIDED
    assert arm.more_answers is not None
    assert 1000 < arm.more_answers < 40_000
    assert f"about {arm.more_answers} more rewarded answers" in small.reason
    assert judged(drawn(0.1, 0.2)).arms[0].more_answers is None


def test_a_better_arm_in_doubt_does_not_end_for_information() -> None:
    """It goes on until the guardrail is known, or the last day has come."""
    experiment = an_experiment()
    plan, _ = a_plan(experiment, **guardrail(0.02))
    found = analyse(experiment, failing(drawn(0.1, 0.2), 0.0, 0.02), plan, now=NOW)
    for now, answer in ((NOW, Answer.CONTINUE), (LATE, Answer.PLANNED_END)):
        said, _, reason = _answer(found.arms, plan, 2.0, now=now, void_because="")
        assert said is answer
        assert "not every guardrail is shown" in reason


def test_an_unknown_latency_counts_as_slow() -> None:
    """An arm whose latencies are missing is not fast."""
    seen = drawn(0.1, 0.1)
    latency = np.where(seen.version == 2, np.nan, 5.0)
    slow = Guardrail(metric="latency_exceedance", tolerance=0.1, latency_limit_ms=10.0)
    found = judged(replace(seen, latency_ms=latency), guardrails=(slow,))
    assert found.answer is Answer.HARM
    assert "latency_exceedance" in found.reason


@pytest.mark.parametrize("allocation", ["fixed", "thompson"])
def test_looking_all_the_time_finds_nothing_in_equal_arms(allocation: str) -> None:
    """At most alpha of 40 A/A tests with 8 looks each, within what chance allows."""
    experiment = an_experiment(allocation=allocation)
    plan, _ = a_plan(experiment, minimum_detectable_effect=0.04)
    draw = fixed_split if allocation == "fixed" else bandit_split
    found = [
        first_finding(
            looks(
                experiment,
                draw((0.1, 0.1), plan.total_units, np.random.default_rng([8, seed])),
                plan,
                count=8,
                now=NOW,
            )
        )
        for seed in range(40)
    ]
    # More than 6 of 40 at a chance of 5 % happen once in three hundred times.
    assert sum(one is not None for one in found) <= 6


def test_the_planned_units_find_the_smallest_effect() -> None:
    """At least the power asked for, in 40 tests with 5 looks each, within what chance allows."""
    experiment = an_experiment()
    plan, policy = a_plan(experiment, minimum_detectable_effect=0.04)
    found = [
        first_finding(
            looks(
                experiment,
                fixed_split((0.1, 0.14), plan.total_units, np.random.default_rng([9, seed])),
                plan,
                count=5,
                now=NOW,
            )
        )
        for seed in range(40)
    ]
    assert sum(one is ArmOutcome.BETTER for one in found) >= (policy.power - 0.15) * 40
