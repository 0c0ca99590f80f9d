"""How well the gates tell bad models from good ones: what they kill, what they block wrongly.

A gate that nothing is tried on is a belief. Mutants are models made bad on purpose, as in mutation
testing of programs (DeMillo, Lipton and Sayward 1978, IEEE Computer 11(4)); honest retrainings are
the same recipe with other seeds and windows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.intervals import rate_interval
from ml_release.domain.verdict import Finding, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.intervals import Interval

KILLS = "mutants_are_killed"
BLOCKS = "honest_retrainings_pass"
DESCRIPTIONS = {
    KILLS: "Models made bad on purpose are stopped by a gate.",
    BLOCKS: "Retrainings with other seeds and months are hardly ever stopped.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""


class ScorecardPolicy(BaseModel):
    """What the gates have to reach.

    Attributes
    ----------
    kill_rate_floor
        Share of the mutants.
    false_block_limit
        Share of the honest retrainings.
    seeds
        Seeds per window of honest retrainings.
    window_partitions
        Partitions of a window.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kill_rate_floor: Annotated[float, Field(gt=0, le=1)] = 0.95
    false_block_limit: Annotated[float, Field(ge=0, lt=1)] = 0.02
    seeds: Annotated[int, Field(ge=1)] = 5
    window_partitions: Annotated[int, Field(ge=1)] = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One model before the gates.

    Attributes
    ----------
    name
        What was done to it; of an honest retraining window and seed.
    is_mutant
        Whether it should be stopped.
    stopped_by
        Rules of the findings that kept it from passing, each once; empty if it passed.
    """

    name: str
    is_mutant: bool
    stopped_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """All trials of one line."""

    line: str
    trials: tuple[Trial, ...]

    @property
    def survivors(self) -> tuple[Trial, ...]:
        """Mutants that passed."""
        return tuple(t for t in self.trials if t.is_mutant and not t.stopped_by)

    @property
    def blocked(self) -> tuple[Trial, ...]:
        """Honest retrainings that were stopped."""
        return tuple(t for t in self.trials if not t.is_mutant and t.stopped_by)

    def rate(self, *, mutants: bool, confidence: float = 0.95) -> Interval:
        """Share of mutants, or of honest retrainings, that were stopped."""
        chosen = [t for t in self.trials if t.is_mutant is mutants]
        stopped = sum(bool(t.stopped_by) for t in chosen)
        return rate_interval(stopped, len(chosen), confidence=confidence)

    def by_rule(self) -> Mapping[str, tuple[int, int, int]]:
        """Rule to mutants it stopped, mutants only it stopped, honest retrainings it stopped."""
        killed = Counter(r for t in self.trials if t.is_mutant for r in t.stopped_by)
        alone = Counter(
            t.stopped_by[0] for t in self.trials if t.is_mutant and len(t.stopped_by) == 1
        )
        blocked = Counter(r for t in self.trials if not t.is_mutant for r in t.stopped_by)
        return {
            rule: (killed[rule], alone[rule], blocked[rule])
            for rule in sorted({*killed, *blocked}, key=lambda r: (-killed[r], r))
        }


def judge_scorecard(card: Scorecard, policy: ScorecardPolicy) -> tuple[Finding, ...]:
    """Hold the rates against the policy; without trials nothing is known."""
    killed, blocked = card.rate(mutants=True), card.rate(mutants=False)
    return (
        compare(
            rule=KILLS,
            subject="mutants",
            observed=killed.estimate,
            limit=policy.kill_rate_floor,
            bound="at least",
            unit="share stopped",
            n=killed.n,
            detail="survived: " + ", ".join(t.name for t in card.survivors)
            if card.survivors
            else "",
        ),
        compare(
            rule=BLOCKS,
            subject="honest retrainings",
            observed=blocked.estimate,
            limit=policy.false_block_limit,
            bound="at most",
            unit="share stopped",
            n=blocked.n,
            detail="; ".join(f"{t.name} by {', '.join(t.stopped_by)}" for t in card.blocked),
        ),
    )
