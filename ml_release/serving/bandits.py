"""The shares of experiments under Thompson sampling: learned from rewards, kept across restarts.

Rewards are segments of the inference log. What the arms of an experiment have earned is read from
them once, when the experiment is first met; from then on every reward that comes in is added.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_release.domain.bandit import ArmRewards, Earnings, arm_percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ml_release.domain.experiment import Experiment
    from ml_release.domain.inference import Reward

REMEMBERED_ANSWERS = 200_000


@dataclass(frozen=True, slots=True)
class Met:
    """Which arm of which experiment a request met."""

    experiment: str
    version: int
    propensity: float


@dataclass(slots=True)
class _Learned:
    earned: Earnings
    rewarded: set[str]
    percent: Mapping[int, float] | None = None
    is_dirty: bool = True


@dataclass(slots=True, kw_only=True)
class Bandits:
    """Experiments by line.

    Attributes
    ----------
    rewards
        Reads every reward of a line that was logged before.
    """

    rewards: Callable[[str], Iterable[Reward]]
    _learned: dict[tuple[str, str], _Learned] = field(default_factory=dict)
    _met: OrderedDict[tuple[str, str], Met] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def percent(self, line: str, experiment: Experiment | None) -> Mapping[int, float] | None:
        """The weights of the arms now; None for the declared ones."""
        if experiment is None or experiment.allocation == "fixed":
            return None
        learned = self._learned.get((line, experiment.name))
        return None if learned is None else learned.percent

    def refresh(self, line: str, experiment: Experiment | None) -> None:
        """Compute the weights anew if rewards came in; called off the request path."""
        if experiment is None or experiment.allocation == "fixed":
            return
        learned = self._of(line, experiment.name)
        if not learned.is_dirty:
            return
        with self._lock:
            learned.is_dirty = False
            arms = {
                arm.version: learned.earned.arms.get(arm.version, ArmRewards())
                for arm in experiment.arms
            }
        if any(arm.n for arm in arms.values()):
            learned.percent = arm_percent(arms, floor_percent=experiment.floor_percent)

    def remember(self, line: str, request_id: str, met: Met) -> None:
        """Keep which arm a request met, so that its reward finds it."""
        with self._lock:
            self._met[line, request_id] = met
            if len(self._met) > REMEMBERED_ANSWERS:
                self._met.popitem(last=False)

    def met(self, line: str, request_id: str) -> Met | None:
        """Which arm a request met; None for one that took no part or is too long ago."""
        return self._met.get((line, request_id))

    def is_rewarded(self, line: str, experiment: str, request_id: str) -> bool:
        """Whether this request has its reward already: the first one stands."""
        return request_id in self._of(line, experiment).rewarded

    def add(self, line: str, reward: Reward) -> None:
        """Learn from a reward that was logged."""
        if reward.experiment is not None:
            learned = self._of(line, reward.experiment)
            with self._lock:
                _learn(learned, reward)

    def earned(self, line: str, experiment: str) -> Mapping[int, ArmRewards]:
        """What the arms have earned so far."""
        return self._of(line, experiment).earned.arms

    def _of(self, line: str, experiment: str) -> _Learned:
        key = (line, experiment)
        with self._lock:
            if key not in self._learned:
                learned = _Learned(earned=Earnings(), rewarded=set())
                for reward in self.rewards(line):
                    if reward.experiment == experiment:
                        _learn(learned, reward)
                self._learned[key] = learned
            return self._learned[key]


def _learn(learned: _Learned, reward: Reward) -> None:
    if reward.version is not None and reward.request_id not in learned.rewarded:
        learned.earned = learned.earned.add(reward.version, reward.reward)
        learned.rewarded.add(reward.request_id)
        learned.is_dirty = True
