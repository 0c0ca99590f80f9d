"""Thompson sampling over the arms of an experiment, as the shares that the arms are given.

With a Beta(1, 1) prior and rewards from 0 to 1, the belief about an arm's mean reward is a Beta
distribution. Thompson (1933, Biometrika 25) gives an arm the next unit with the probability that
it is the best one; Scott (2010, Applied Stochastic Models in Business and Industry 26) computes
those probabilities and splits by them, instead of drawing once per request. So the propensity of
every answer is known exactly, can be logged, and the split can be recomputed. Rewards between 0
and 1 count as that part of a success (Agrawal and Goyal 2012, COLT, draw it instead).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

_PRIOR = 1.0
_GRID_PER_ARM = 801
_REACH_SD = 9.0


@dataclass(frozen=True, slots=True)
class ArmRewards:
    """What one arm has earned.

    Attributes
    ----------
    n
        Rewarded requests.
    total
        Sum of their rewards, 0 to ``n``.
    """

    n: int = 0
    total: float = 0.0

    def add(self, reward: float) -> ArmRewards:
        """With one more reward.

        Raises
        ------
        InputError
            If the reward is not from 0 to 1.
        """
        if not 0 <= reward <= 1:
            message = f"reward: expected a number from 0 to 1, found {reward}"
            raise InputError(message)
        return replace(self, n=self.n + 1, total=self.total + reward)


@dataclass(frozen=True, slots=True)
class Earnings:
    """What the arms of one experiment have earned, by version."""

    arms: Mapping[int, ArmRewards] = field(default_factory=dict)

    def add(self, version: int, reward: float) -> Earnings:
        """With one more reward of one arm; `InputError` as `ArmRewards.add`."""
        return Earnings({**self.arms, version: self.arms.get(version, ArmRewards()).add(reward)})


def probability_best(arms: Mapping[int, ArmRewards]) -> dict[int, float]:
    """Per arm the probability that its mean reward is the largest; they add to 1.

    The integral of each arm's density times the others' distribution functions, by the trapezoidal
    rule on points that lie close where any of the densities does (to about 1e-4).

    Examples
    --------
    >>> found = probability_best({1: ArmRewards(100, 40.0), 2: ArmRewards(100, 60.0)})
    >>> {version: round(p, 3) for version, p in found.items()}
    {1: 0.002, 2: 0.998}
    """
    shapes = {v: (_PRIOR + a.total, _PRIOR + a.n - a.total) for v, a in arms.items()}
    points = _points(shapes)
    density = {v: _density(a, b, points) for v, (a, b) in shapes.items()}
    steps = np.diff(points)
    reached = {
        v: np.concatenate([[0.0], np.cumsum((d[1:] + d[:-1]) / 2 * steps)])
        for v, d in density.items()
    }
    best = {}
    for version, own in density.items():
        others = [reached[v] for v in arms if v != version]
        best[version] = float(np.trapezoid(own * np.prod(others, axis=0), points))
    total = sum(best.values())
    return {version: p / total for version, p in best.items()}


def arm_percent(arms: Mapping[int, ArmRewards], *, floor_percent: float) -> dict[int, float]:
    """Per arm its share of the experiment's units in percent; they add to 100.

    Every arm gets the floor; what is left is split by `probability_best`.

    Parameters
    ----------
    floor_percent
        At most 100 divided by the number of arms, as `Experiment` guarantees.
    """
    left = 100.0 - floor_percent * len(arms)
    return {v: floor_percent + left * p for v, p in probability_best(arms).items()}


def _points(shapes: Mapping[int, tuple[float, float]]) -> npt.NDArray[np.float64]:
    parts = []
    for a, b in shapes.values():
        mean = a / (a + b)
        sd = (mean * (1 - mean) / (a + b + 1)) ** 0.5
        low, high = max(0.0, mean - _REACH_SD * sd), min(1.0, mean + _REACH_SD * sd)
        parts.append(np.linspace(low, high, _GRID_PER_ARM))
    inside = np.concatenate([[0.0, 1.0], *parts])
    return np.unique(inside)


def _density(a: float, b: float, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        # a, b >= 1: the density is finite everywhere; 0 * log 0 stands for 0 at the ends.
        log = _times(a - 1, np.log(points)) + _times(b - 1, np.log1p(-points))
    density = np.exp(log - log.max())
    result: npt.NDArray[np.float64] = density / np.trapezoid(density, points)
    return result


def _times(factor: float, log: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return factor * log if factor > 0 else np.zeros_like(log)
