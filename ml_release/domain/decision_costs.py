"""What decisions cost: prices of wrong ones, and what decided rows cost by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.intervals import mean_interval
from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.intervals import Interval
    from ml_release.domain.rows import Codes
    from ml_release.domain.scores import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionCosts:
    """What a wrong decision costs; right ones cost nothing. Any one unit, finite, not negative.

    Attributes
    ----------
    false_positive
        Cost of selecting a negative row.
    false_negative
        Cost of not selecting a positive row.
    """

    false_positive: float
    false_negative: float

    def __post_init__(self) -> None:
        """Refuse costs under which no threshold is better than another."""
        costs = (self.false_positive, self.false_negative)
        if not all(np.isfinite(cost) and cost >= 0 for cost in costs) or sum(costs) == 0:
            message = (
                "decision costs: expected finite costs of at least 0, one of them above 0, found "
                f"false_positive={self.false_positive}, false_negative={self.false_negative}; "
                "declare what each kind of wrong decision costs"
            )
            raise InputError(message)

    @property
    def calibrated_threshold(self) -> float:
        """The cheapest threshold of a perfectly calibrated probability; Elkan (2001), IJCAI 17.

        Select where p x false_negative >= (1 - p) x false_positive. Range 0 to 1. It needs no
        data, so it is not fitted to noise; it is right only as far as the model is calibrated.
        """
        return self.false_positive / (self.false_positive + self.false_negative)

    def of_rows(self, decided: Floats, chance: Floats) -> Floats:
        """The cost of each row, shape (n,): expected where its label is not known.

        Parameters
        ----------
        decided
            1 or 0, shape (n,).
        chance
            The label, 1 or 0, or the probability that it is 1; shape (n,).
        """
        wrong_yes = decided * (1 - chance) * self.false_positive
        wrong_no = (1 - decided) * chance * self.false_negative
        cost: Floats = wrong_yes + wrong_no
        return cost

    def per_1000(
        self, decided: Floats, target: Floats, *, confidence: float, groups: Codes | None = None
    ) -> Interval:
        """The cost of 1000 decided rows, with the interval of a mean over rows or groups of them.

        >>> costs = DecisionCosts(false_positive=1.0, false_negative=3.0)
        >>> target = np.array([0.0, 1.0, 1.0, 0.0])
        >>> costs.per_1000(np.array([1.0, 0.0, 1.0, 0.0]), target, confidence=0.95).estimate
        1000.0
        """
        return mean_interval(
            1000 * self.of_rows(decided, target), confidence=confidence, groups=groups
        )
