"""Thompson sampling: exact probabilities, a floor, and learning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from ml_release.domain.bandit import ArmRewards, Earnings, arm_percent, probability_best
from ml_release.errors import InputError


def by_quadrature(arms: dict[int, ArmRewards], version: int) -> float:
    """The same integral by scipy's adaptive quadrature on its own Beta distributions."""
    beliefs = {v: stats.beta(1 + a.total, 1 + a.n - a.total) for v, a in arms.items()}

    def integrand(x: float) -> float:
        others = [b.cdf(x) for v, b in beliefs.items() if v != version]
        return float(beliefs[version].pdf(x) * np.prod(others))

    means = sorted(float(b.mean()) for b in beliefs.values())
    value, _ = integrate.quad(integrand, 0, 1, points=means, limit=500)
    return float(value)


@pytest.mark.parametrize(
    "arms",
    [
        pytest.param({1: ArmRewards(), 2: ArmRewards()}, id="nothing known"),
        pytest.param({1: ArmRewards(10, 3.0), 2: ArmRewards(10, 4.0)}, id="two arms"),
        pytest.param(
            {1: ArmRewards(50, 5.0), 2: ArmRewards(40, 6.5), 3: ArmRewards(3, 0.0)}, id="three arms"
        ),
        pytest.param({1: ArmRewards(5, 0.0), 2: ArmRewards(5, 5.0)}, id="all or nothing"),
        pytest.param({1: ArmRewards(20_000, 2000.0), 2: ArmRewards(30, 3.0)}, id="unequal n"),
    ],
)
def test_probability_best_equals_adaptive_quadrature(arms: dict[int, ArmRewards]) -> None:
    """The probabilities equal those of scipy to 1e-4."""
    found = probability_best(arms)
    for version in arms:
        assert found[version] == pytest.approx(by_quadrature(arms, version), abs=1e-4)


def test_arms_nothing_is_known_of_share_equally() -> None:
    """Without rewards every arm is the best one with the same probability."""
    found = probability_best({v: ArmRewards() for v in range(1, 5)})
    assert list(found.values()) == pytest.approx([0.25] * 4, abs=1e-6)


@given(
    counts=st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1)), min_size=2, max_size=6),
    floor_percent=st.floats(0, 16),
)
@settings(max_examples=50, deadline=None)
def test_shares_add_up_and_keep_the_floor(
    counts: list[tuple[int, float]], floor_percent: float
) -> None:
    """Whatever the rewards, shares add to 100 percent and none lies below the floor."""
    arms = {v: ArmRewards(n, n * rate) for v, (n, rate) in enumerate(counts, start=1)}
    shares = arm_percent(arms, floor_percent=floor_percent)
    assert sum(shares.values()) == pytest.approx(100)
    assert min(shares.values()) >= floor_percent - 1e-9


@pytest.mark.parametrize("reward", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_reward_outside_of_its_range_is_refused(reward: float) -> None:
    """A reward is a number from 0 to 1."""
    with pytest.raises(InputError, match="from 0 to 1"):
        Earnings().add(1, reward)


def test_the_better_arm_gets_most_units_in_the_end() -> None:
    """Of 3,000 units split over arms that pay 10 and 20 percent, the worse one gets a fifth."""
    draw = np.random.default_rng(11)
    pays = {1: 0.1, 2: 0.2}
    earned = Earnings({1: ArmRewards(), 2: ArmRewards()})
    met = {1: 0, 2: 0}
    for _ in range(60):
        shares = arm_percent(earned.arms, floor_percent=5)
        for _ in range(50):
            version = 1 if draw.random() * 100 < shares[1] else 2
            met[version] += 1
            earned = earned.add(version, float(draw.random() < pays[version]))
    assert met[1] < 0.2 * 3000
    assert met[1] > 0.04 * 3000
