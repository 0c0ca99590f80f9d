"""What pairs of answers add up to: decisions, failures and score differences of two versions.

Counts of different records add up to the counts of all of them, in any order, so that a tick
counts what is new and adds it. Only the moments are sums of floats: they agree to rounding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.intervals import NO_SPREAD, NOTHING

if TYPE_CHECKING:
    import numpy.typing as npt

    from ml_release.domain.scores import Floats


class Moments(BaseModel):
    """Means and central sums of both scores and of their difference, shadow minus champion.

    Attributes
    ----------
    n
        Pairs with two finite scores.
    square_champion, square_shadow, square_difference, product
        Sums of squared deviations from the mean, and of the products of both deviations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n: int = Field(default=0, ge=0)
    champion: float = 0.0
    shadow: float = 0.0
    difference: float = 0.0
    square_champion: float = 0.0
    square_shadow: float = 0.0
    square_difference: float = 0.0
    product: float = 0.0

    @property
    def variance(self) -> float:
        """Of the difference of one pair; NaN below two pairs."""
        return self.square_difference / (self.n - 1) if self.n > 1 else NOTHING

    @property
    def champion_deviation(self) -> float:
        """Standard deviation of the champion's scores; NaN below two pairs."""
        return math.sqrt(self.square_champion / (self.n - 1)) if self.n > 1 else NOTHING

    @property
    def correlation(self) -> float:
        """Pearson's, -1 to 1; NaN where either score does not vary."""
        spread = math.sqrt(self.square_champion * self.square_shadow)
        # A sum of equal floats leaves dust: relative to the means it is no spread.
        dust = self.n * (NO_SPREAD * (1 + abs(self.champion) + abs(self.shadow))) ** 2
        if self.n < 2 or min(self.square_champion, self.square_shadow) <= dust:  # noqa: PLR2004
            return NOTHING
        return max(-1.0, min(1.0, self.product / spread))

    def plus(self, other: Moments) -> Moments:
        """Of both sets of pairs; Chan, Golub and LeVeque (1983), American Statistician 37(3)."""
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        weight = self.n * other.n / n
        champion, shadow = other.champion - self.champion, other.shadow - self.shadow
        difference = other.difference - self.difference
        return Moments(
            n=n,
            champion=self.champion + champion * other.n / n,
            shadow=self.shadow + shadow * other.n / n,
            difference=self.difference + difference * other.n / n,
            square_champion=self.square_champion + other.square_champion + weight * champion**2,
            square_shadow=self.square_shadow + other.square_shadow + weight * shadow**2,
            square_difference=self.square_difference
            + other.square_difference
            + weight * difference**2,
            product=self.product + other.product + weight * champion * shadow,
        )


class PairCounts(BaseModel):
    """Pairs of answers to the same rows.

    Attributes
    ----------
    answered, champion_failed, shadow_failed, both_failed
        Both answered; only this one failed; both did. They add up to all pairs.
    both_yes, both_no, champion_only, shadow_only
        Decisions of answered pairs: ``shadow_only`` is a yes of the shadow alone. Pairs without two
        decisions are in none of them.
    unscored
        Answered pairs without two finite scores, such as probabilities of several classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    answered: int = Field(default=0, ge=0)
    champion_failed: int = Field(default=0, ge=0)
    shadow_failed: int = Field(default=0, ge=0)
    both_failed: int = Field(default=0, ge=0)
    both_yes: int = Field(default=0, ge=0)
    both_no: int = Field(default=0, ge=0)
    champion_only: int = Field(default=0, ge=0)
    shadow_only: int = Field(default=0, ge=0)
    unscored: int = Field(default=0, ge=0)
    scores: Moments = Field(default_factory=Moments)

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.answered + self.champion_failed + self.shadow_failed + self.both_failed

    @property
    def decided(self) -> int:
        """Pairs of two decisions."""
        return self.both_yes + self.both_no + self.champion_only + self.shadow_only

    @property
    def disagreeing(self) -> int:
        """Pairs of two different decisions."""
        return self.champion_only + self.shadow_only

    def plus(self, other: PairCounts) -> PairCounts:
        """Of both sets of pairs."""
        names = set(PairCounts.model_fields) - {"scores"}
        return PairCounts(
            **{name: getattr(self, name) + getattr(other, name) for name in names},
            scores=self.scores.plus(other.scores),
        )


def count_pairs(
    champion: Floats,
    shadow: Floats,
    *,
    champion_failed: npt.NDArray[np.bool_],
    shadow_failed: npt.NDArray[np.bool_],
    champion_decision: Floats,
    shadow_decision: Floats,
) -> PairCounts:
    """Count pairs, each array of shape (n,).

    Parameters
    ----------
    champion, shadow
        Scores, NaN where there is none.
    champion_decision, shadow_decision
        0 or 1, NaN where there is none.
    """
    answered = ~champion_failed & ~shadow_failed
    scored = answered & np.isfinite(champion) & np.isfinite(shadow)
    decided = scored & np.isfinite(champion_decision) & np.isfinite(shadow_decision)
    first, second = champion_decision[decided] > 0, shadow_decision[decided] > 0
    return PairCounts(
        answered=int(answered.sum()),
        champion_failed=int((champion_failed & ~shadow_failed).sum()),
        shadow_failed=int((shadow_failed & ~champion_failed).sum()),
        both_failed=int((champion_failed & shadow_failed).sum()),
        both_yes=int((first & second).sum()),
        both_no=int((~first & ~second).sum()),
        champion_only=int((first & ~second).sum()),
        shadow_only=int((~first & second).sum()),
        unscored=int((answered & ~scored).sum()),
        scores=_moments(champion[scored], shadow[scored]),
    )


def _moments(champion: Floats, shadow: Floats) -> Moments:
    if not len(champion):
        return Moments()
    difference = shadow - champion
    means = [float(column.mean()) for column in (champion, shadow, difference)]
    first, second, third = (
        column - mean for column, mean in zip((champion, shadow, difference), means, strict=True)
    )
    return Moments(
        n=len(champion),
        champion=means[0],
        shadow=means[1],
        difference=means[2],
        square_champion=float(first @ first),
        square_shadow=float(second @ second),
        square_difference=float(third @ third),
        product=float(first @ second),
    )
