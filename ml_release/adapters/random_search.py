"""Proposes parameters at random, one independently of the other, from one seed.

It learns nothing and stops nothing: what a search with a model of the results has to beat, and
what the tests search with (Bergstra and Bengio 2012, JMLR 13).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ml_release.spec.search_space import FloatRange, IntRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.search import Scalar, Trial
    from ml_release.spec.search_space import SearchRange


class RandomSearch:
    """`ParameterSearch` by independent draws."""

    def begin(
        self,
        space: Mapping[str, SearchRange],
        *,
        first: Mapping[str, Scalar],
        maximise: bool,  # noqa: ARG002 (it learns nothing)
        seed: int,
    ) -> RandomProposals:
        """A new search."""
        return RandomProposals(space, first={name: first[name] for name in space}, seed=seed)


class RandomProposals:
    """`Proposals` of one generator."""

    def __init__(
        self, space: Mapping[str, SearchRange], *, first: Mapping[str, Scalar], seed: int
    ) -> None:
        self._space = dict(space)
        self._first: dict[str, Scalar] | None = dict(first)
        self._generator = np.random.default_rng(seed)

    def propose(self) -> dict[str, Scalar]:
        """The next parameters; the very first are those the search began with."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return {name: self._draw(kind) for name, kind in self._space.items()}

    def is_hopeless(self, fold_values: Sequence[float]) -> bool:  # noqa: ARG002 (as it says)
        """Never: every trial is carried to its end."""
        return False

    def conclude(self, trial: Trial) -> None:
        """Learn nothing."""

    def _draw(self, kind: SearchRange) -> Scalar:
        if isinstance(kind, IntRange):
            if kind.log:
                # Half a number on each side, so that the ends are drawn as often as the others.
                drawn = self._between(math.log(kind.low - 0.5), math.log(kind.high + 0.5))
                return min(kind.high, max(kind.low, round(math.exp(drawn))))
            count = (kind.high - kind.low) // kind.step + 1
            return kind.low + kind.step * int(self._generator.integers(count))
        if isinstance(kind, FloatRange):
            if kind.log:
                drawn = math.exp(self._between(math.log(kind.low), math.log(kind.high)))
            else:
                drawn = self._between(kind.low, kind.high)
            # The logarithm and back may end beside the range.
            return min(kind.high, max(kind.low, drawn))
        return kind.options[int(self._generator.integers(len(kind.options)))]

    def _between(self, low: float, high: float) -> float:
        return float(self._generator.uniform(low, high))
