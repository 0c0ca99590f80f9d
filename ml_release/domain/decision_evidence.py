"""What the rollback-or-retrain decision looks at: facts that were recorded, each of which may lack.

None is a fact that does not exist for this line, as fairness without sensitive columns. What should
be known and is not says so: an outcome that is inconclusive, or an entry of ``unknown``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ml_release.domain.drift_standing import DriftStanding
    from ml_release.domain.verdict import Outcome

BurnLevel = Literal["none", "ticket", "page"]
"""How fast an error budget is spent, from not worth a word to waking somebody up."""

BURN_LEVELS: tuple[BurnLevel, ...] = ("none", "ticket", "page")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureShift:
    """One feature, or ``(score)``, of the newest window.

    Attributes
    ----------
    psi_nats, limit_nats
        How far it moved, and what is called a shift; None if not known.
    loss_change
        Log loss, in nats a row, that is expected if only this feature's values moved; None if not
        known.
    windows_in_a_row
        Disjoint windows that show it, this one included; None if not known.
    """

    feature: str
    standing: DriftStanding
    psi_nats: float | None = None
    limit_nats: float | None = None
    loss_change: float | None = None
    windows_in_a_row: int | None = None

    def __str__(self) -> str:
        """In words, with the numbers that are known."""
        parts = [f"{self.feature} {self.standing.value}"]
        if self.psi_nats is not None:
            limit = "" if self.limit_nats is None else f", limit {self.limit_nats:.3g}"
            parts.append(f"PSI {self.psi_nats:.3g} nats{limit}")
        if self.loss_change is not None:
            parts.append(f"expected loss {self.loss_change:+.4f} nats")
        return " (".join((parts[0], ", ".join(parts[1:]))) + ")" if parts[1:] else parts[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worsening:
    """How much worse a number is than at the release: above 0 is worse, in the unit of the number.

    Attributes
    ----------
    low, high
        Ends of its interval; None where the rows cannot tell.
    """

    estimate: float
    low: float | None
    high: float | None
    n: int

    def is_shown_above(self, limit: float | None) -> bool:
        """Whether even the kind end of the interval lies above; never without an interval."""
        return limit is not None and self.low is not None and self.low > limit

    def is_shown_below(self, limit: float) -> bool:
        """Whether even the unkind end lies at or below; never without an interval."""
        return self.high is not None and self.high <= limit

    def __str__(self) -> str:
        """With its interval."""
        ends = (
            "without an interval"
            if self.low is None or self.high is None
            else f"{self.low:+.4f} to {self.high:+.4f}"
        )
        return f"{self.estimate:+.4f} ({ends}, n = {self.n})"


def worsening(
    estimate: float | None, low: float | None, high: float | None, *, n: int
) -> Worsening | None:
    """A `Worsening`, None without a finite estimate; ends that are no numbers are not known."""
    if estimate is None or not math.isfinite(estimate):
        return None
    ends = [None if end is None or not math.isfinite(end) else end for end in (low, high)]
    if None in ends:
        ends = [None, None]
    return Worsening(estimate=estimate, low=ends[0], high=ends[1], n=n)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEvidence:
    """Everything a decision looks at, about the version that answers now.

    Attributes
    ----------
    is_serving
        Whether a model answers at all; None if that is not known.
    data_problems
        What is wrong with the data itself, in words: a schema broken, values missing, units
        changed, features served otherwise than trained.
    label_problems
        What is wrong with the labels, in words: they contradict each other, files cannot be read.
    shifts
        Per feature; None if the newest window was not judged.
    performance
        What the judge of matured labels says; None if it has said nothing of this version.
    auc_drop, loss_rise, cost_rise
        Against the version's own evaluation; of the cost per 1000 answers as the line declares it.
    estimated_drop
        AUC that is expected to be lost without labels.
    errors_change
        Whether the change detectors have fired: fail if they have.
    calibration, fairness
        Outcomes of their rules; None where they do not apply.
    error_rate
        Share of failed answers above what is allowed, with its interval.
    burn
        The worst level of the error budgets; None if there are none.
    canary
        What the verdict on the canary beside it says; None if there is none.
    canary_version
        Number of that version.
    leg
        Where the release under way stands; None without one.
    age_days
        Days since the version answers everybody; None if not known.
    target
        The version to roll back to: it came through its watch and was not withdrawn. None without.
    unknown
        What should have been recorded and was not, or cannot be read, in words.
    """

    is_serving: bool | None = None
    data_problems: tuple[str, ...] | None = None
    label_problems: tuple[str, ...] = ()
    shifts: tuple[FeatureShift, ...] | None = None
    performance: Outcome | None = None
    auc_drop: Worsening | None = None
    loss_rise: Worsening | None = None
    cost_rise: Worsening | None = None
    estimated_drop: float | None = None
    errors_change: Outcome | None = None
    calibration: Outcome | None = None
    fairness: Outcome | None = None
    error_rate: Worsening | None = None
    burn: BurnLevel | None = None
    canary: Outcome | None = None
    canary_version: int | None = None
    leg: Literal["shadow", "canary", "watch"] | None = None
    age_days: float | None = None
    target: int | None = None
    unknown: tuple[str, ...] = ()
