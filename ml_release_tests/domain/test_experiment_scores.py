"""Scores by inverse propensity, and their spread between groups."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ml_release.domain.experiment_scores import (
    Observed,
    arm_difference,
    arm_mean,
    effective_answers,
    groups_met,
)
from ml_release.errors import InputError
from ml_release_tests.simulated_experiments import bandit_split, fixed_split, observed


def seen(
    versions: list[int], rewards: list[float], *, buckets: list[int] | None = None, p: float = 0.5
) -> Observed:
    n = len(versions)
    return observed(
        np.array(versions, dtype=np.int64),
        np.array(range(n) if buckets is None else buckets, dtype=np.int64),
        np.full(n, p),
        np.array(rewards, dtype=np.float64),
    )


def test_a_score_is_weighted_around_the_mean_of_the_arms_earlier_answers() -> None:
    """By hand: 1/2 before anything is known, then shrunk towards it by one answer."""
    some = seen([1, 1, 2], [1.0, 0.0, 1.0])
    # Arm 1: 0.5 + 0.5/0.5, then 0.75 - 0.75/0.5, then its mean of 1.5/3 for the other's answer.
    assert arm_mean(some, some.reward, 1).value == pytest.approx((1.5 - 0.75 + 0.5) / 3)


def test_means_of_learned_parts_are_biased_and_weighted_ones_are_not() -> None:
    """Over 200 bandits with equal arms the plain means fall short, the weighted ones don't."""
    plain, weighted = [], []
    for seed in range(200):
        some = bandit_split((0.5, 0.5), 200, np.random.default_rng(seed), batch=20)
        plain += [float(some.reward[some.version == version].mean()) for version in (1, 2)]
        weighted.append(arm_mean(some, some.reward, 2).value)
    error = float(np.std(weighted)) / math.sqrt(len(weighted))
    assert np.mean(plain) < 0.485
    assert abs(float(np.mean(weighted)) - 0.5) < 3 * error


def test_the_variance_is_that_of_the_estimate() -> None:
    """Over 200 repetitions, of independent units and of units that ask again and again."""
    for units, spread_of_units in ((None, 0.0), (300, 0.1)):
        found = [
            arm_difference(some, some.reward, 2, 1)
            for seed in range(200)
            for some in [
                fixed_split(
                    (0.2, 0.2),
                    3000,
                    np.random.default_rng(seed),
                    units=units,
                    spread=spread_of_units,
                )
            ]
        ]
        spread = float(np.std([one.value for one in found]))
        claimed = math.sqrt(float(np.mean([one.variance for one in found])))
        # Never less than the truth; a few groups that were never met are allowed for on top.
        assert 0.9 * spread < claimed < 1.25 * spread


def test_answers_alike_within_a_group_widen_the_spread() -> None:
    """Ten times the same answer of a unit says no more than one."""
    versions, rewards = [1, 2] * 20, [1.0, 0.0, 0.0, 1.0] * 10
    once = seen(versions, rewards)
    again = seen(versions * 10, rewards * 10, buckets=list(range(40)) * 10)
    alone, many = (arm_difference(one, one.reward, 2, 1) for one in (once, again))
    assert many.groups == alone.groups == 20
    assert many.answers == 10 * alone.answers
    assert many.variance == pytest.approx(alone.variance, rel=0.25)


@pytest.mark.parametrize(
    ("versions", "value", "groups"),
    [
        pytest.param([], math.nan, 0, id="nothing"),
        pytest.param([1, 1], math.nan, 0, id="one arm only"),
        pytest.param([3, 3], math.nan, 0, id="a third arm only"),
    ],
)
def test_an_arm_nobody_met_is_not_known(versions: list[int], value: float, groups: int) -> None:
    """Its variance is infinite, not 0."""
    some = seen(versions, [1.0] * len(versions))
    found = arm_difference(some, some.reward, 2, 1)
    assert (found.groups, found.variance) == (groups, math.inf)
    assert math.isnan(found.value) is math.isnan(value)


def test_a_single_group_shows_no_spread() -> None:
    """Two arms in one bucket cannot be told from one unit."""
    some = seen([1, 2], [1.0, 0.0], buckets=[7, 7])
    assert arm_difference(some, some.reward, 2, 1).variance == math.inf


def test_an_arm_that_never_failed_is_not_known_to_never_fail() -> None:
    """One failure in a group that was not met is allowed for."""
    some = seen([1, 2] * 100, [0.0] * 200)
    assert arm_difference(some, some.reward, 2, 1).variance >= 2 / 100**2


def test_effective_answers_are_those_of_equal_weights() -> None:
    """As many as there are for equal propensities, fewer for unequal ones, none without any."""
    some = seen([1, 1, 1, 2], [0.0] * 4)
    assert effective_answers(some, 1) == pytest.approx(3)
    unequal = observed(
        np.array([1, 1]), np.array([0, 1]), np.array([0.05, 0.95]), np.array([0.0, 0.0])
    )
    assert 1 < effective_answers(unequal, 1) < 1.2
    assert effective_answers(some, 5) == 0
    assert groups_met(some, 1) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"p": 0.0}, "above 0 and at most 1, found 0", id="no chance"),
        pytest.param({"p": math.nan}, "found nan", id="not known"),
        pytest.param({"p": 1.5}, "found 1.5", id="more than certain"),
        pytest.param({"rewards": [1.5]}, "rewards from 0 to 1, found 1.5", id="reward"),
    ],
)
def test_what_no_split_has_logged_is_refused(change: dict[str, Any], message: str) -> None:
    """With what was found."""
    with pytest.raises(InputError, match=message):
        seen(**{"versions": [1], "rewards": [1.0], **change})


def test_arrays_of_different_lengths_are_refused() -> None:
    """One value of each per answer."""
    with pytest.raises(InputError, match="one length"):
        observed(np.array([1, 2]), np.array([1]), np.array([0.5]), np.array([1.0]))
