"""What an experiment has seen, and unbiased estimates of it, whoever decided who met which arm.

Each answer is scored by ``m + 1{met arm} (x - m) / p``: p is the logged propensity, m the mean of
the arm's earlier answers. The mean of the scores estimates the arm's mean without bias also where
the parts were learned from the rewards, as plain means do not (Nie, Tian, Taylor and Zou 2018,
AISTATS), and the weighting costs little where m is close (Robins, Rotnitzky and Zhao 1994, JASA 89;
its use at every look: Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro 2024, Journal of Machine
Learning Research 25, "Anytime-valid off-policy inference for contextual bandits").

Who was split are units, and the log does not say which unit has asked, only its bucket: one of
10,000 values of the salted hash that decides the arm. All answers of a unit lie in one bucket, so
the bucket is taken as the group that answers for itself. A bucket may hold several units, which
makes groups larger than they had to be and no interval too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.scores import Floats

_PRIOR_MEAN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """Answers that took part in one experiment, in the order in which the requests came in.

    Attributes
    ----------
    version
        Of the arm that was assigned, whoever answered in its place. All arrays have the shape (n,).
    bucket
        0 to 9999.
    propensity
        Above 0 and at most 1.
    reward
        0 to 1, NaN where there is none.
    is_error
        Whether the assigned version failed to answer.
    latency_ms
        Until the answer was ready.
    received
        When, in UTC.
    """

    version: npt.NDArray[np.int64]
    bucket: npt.NDArray[np.int64]
    propensity: Floats
    reward: Floats
    is_error: npt.NDArray[np.bool_]
    latency_ms: Floats
    received: npt.NDArray[np.datetime64]

    def __post_init__(self) -> None:
        """Refuse what was not logged by a split."""
        sizes = {len(getattr(self, name)) for name in self.__slots__}
        if len(sizes) != 1:
            message = f"observed answers: expected arrays of one length, found {sorted(sizes)}"
            raise InputError(message)
        bad = ~((self.propensity > 0) & (self.propensity <= 1))
        if bad.any():
            message = (
                "observed answers: expected propensities above 0 and at most 1, found"
                f" {self.propensity[bad][0]:g}; leave out answers that no split has assigned"
            )
            raise InputError(message)
        wrong = ~np.isnan(self.reward) & ~((self.reward >= 0) & (self.reward <= 1))
        if wrong.any():
            message = (
                f"observed answers: expected rewards from 0 to 1, found {self.reward[wrong][0]:g}"
            )
            raise InputError(message)

    def __len__(self) -> int:
        return len(self.version)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Observed:
        """Some of them."""
        return Observed(**{name: getattr(self, name)[chosen] for name in self.__slots__})

    @property
    def rewarded(self) -> Observed:
        """Those with a reward."""
        return self.where(~np.isnan(self.reward))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean or a difference of two.

    Attributes
    ----------
    value
        NaN where nothing was seen of an arm.
    variance
        Of ``value``, between groups; infinite with fewer than two of them.
    answers, groups
        That were scored, of the arms concerned; buckets of the smallest of them.
    """

    value: float
    variance: float
    answers: int
    groups: int


def arm_mean(observed: Observed, values: Floats, version: int) -> Estimate:
    """The mean of ``values`` if everybody met this arm.

    Parameters
    ----------
    values
        Shape (n,), from 0 to 1, none NaN.
    """
    return _estimate(observed, _scores(observed, values, version), (version,))


def arm_difference(observed: Observed, values: Floats, version: int, control: int) -> Estimate:
    """The mean of ``values`` if everybody met ``version``, less that under ``control``."""
    scores = _scores(observed, values, version) - _scores(observed, values, control)
    return _estimate(observed, scores, (version, control))


def effective_answers(observed: Observed, version: int) -> float:
    """As many unweighted answers as an arm's weighted ones are worth; Kish (1965).

    ``(sum w)^2 / sum w^2`` with ``w = 1 / p``; 0 without any.
    """
    weights = 1 / observed.propensity[observed.version == version]
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def groups_met(observed: Observed, version: int) -> int:
    """Buckets of which some answer was this arm's."""
    return len(np.unique(observed.bucket[observed.version == version]))


def _scores(observed: Observed, values: Floats, version: int) -> Floats:
    met = observed.version == version
    known = np.where(met, values, 0.0)
    # Of the answers before this one, so that no answer weighs on its own yardstick.
    earned = np.concatenate([[0.0], np.cumsum(known)[:-1]]) if len(known) else known
    times = np.concatenate([[0], np.cumsum(met)[:-1]]) if len(known) else known
    mean = (earned + _PRIOR_MEAN) / (times + 1)
    scores: Floats = mean + np.where(met, (values - mean) / observed.propensity, 0.0)
    return scores


def _estimate(observed: Observed, scores: Floats, versions: tuple[int, ...]) -> Estimate:
    groups = {version: groups_met(observed, version) for version in versions}
    answers = int(np.isin(observed.version, versions).sum())
    fewest = min(groups.values())
    if not fewest:
        return Estimate(value=np.nan, variance=np.inf, answers=answers, groups=0)
    value = float(scores.mean())
    _, group = np.unique(observed.bucket, return_inverse=True)
    sums, sizes = np.bincount(group, weights=scores), np.bincount(group)
    count = len(sums)
    if count < 2:  # noqa: PLR2004 (of one group nothing is known of the spread)
        return Estimate(value=value, variance=np.inf, answers=answers, groups=fewest)
    between = float(((sums - value * sizes) ** 2).sum()) * count / (count - 1)
    # One more group could differ by the whole range: without it, an arm that has not failed yet
    # would be known to never fail.
    unseen = sum(1 / n**2 for n in groups.values())
    return Estimate(
        value=value,
        variance=between / len(scores) ** 2 + unseen,
        answers=answers,
        groups=fewest,
    )
