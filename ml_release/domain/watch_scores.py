"""How well a watched release answered by its labels, held against its own evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from ml_release.domain.mean_sequences import mean_radius
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from ml_release.domain.intervals import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchScore:
    """One score of served answers, and what it is held against.

    Attributes
    ----------
    name
        ``auc_score`` or ``log_loss``.
    served
        On the labelled answers, with a two-sided interval.
    evaluated_low, evaluated_high
        Ends of the interval of the release's own evaluation; None where they are not known.
    declared
        The floor of a score or the ceiling of a loss in the line's policy; None without one.
    """

    name: str
    served: Interval
    evaluated_low: float | None
    evaluated_high: float | None
    declared: float | None

    @property
    def grows(self) -> bool:
        """Whether it grows with quality."""
        return self.name.endswith("_score")

    def limit(self, margin: float) -> float | None:
        """The tighter one of the declared limit and the evaluated end less a margin.

        None if neither is known.
        """
        end = self.evaluated_low if self.grows else self.evaluated_high
        moved = None if end is None else end - margin if self.grows else end + margin
        known = [value for value in (self.declared, moved) if value is not None and isfinite(value)]
        if not known:
            return None
        return max(known) if self.grows else min(known)


def judge_score(
    found: WatchScore, *, rule: str, margin: float, minimum_labelled: int, confidence: float
) -> Finding:
    """Hold a served score against its limit.

    It fails if it is shown to be beyond the limit, by a one-sided bound that holds however often
    one looks (`mean_radius`), and passes if the score itself keeps the limit and its interval is
    known. In between it is inconclusive, and so it is with few labels or where the evaluation's
    own interval is not known.

    Parameters
    ----------
    margin
        How much worse than evaluated is acceptable, in the unit of the score; above 0. The bound
        is tight about when the labels suffice to see so much.
    """
    score, limit = found.served, found.limit(margin)
    bound, doubt = None, ""
    if score.n < minimum_labelled:
        doubt = f"waits for {minimum_labelled - score.n} more labelled answers"
    elif not (isfinite(score.estimate) and isfinite(score.low) and isfinite(score.high)):
        doubt = (
            f"the score or its interval is not defined on {score.units} independent units; it takes"
            " labels of both classes, of several days where days count"
        )
    elif limit is None:
        doubt = "neither the line's policy nor the evaluation of this release gives a limit"
    else:
        reach = _reach(score, margin=margin, confidence=confidence)
        bound = score.estimate + reach if found.grows else score.estimate - reach
    outcome = Outcome.INCONCLUSIVE
    if bound is not None and limit is not None and isfinite(bound):
        is_harm = bound < limit if found.grows else bound > limit
        keeps = score.estimate >= limit if found.grows else score.estimate <= limit
        evaluated = found.evaluated_low if found.grows else found.evaluated_high
        if is_harm:
            outcome = Outcome.FAIL
        elif evaluated is None or not isfinite(evaluated):
            doubt = "waits for the recorded evaluation of this release, which was not found"
        elif keeps:
            outcome = Outcome.PASS
        else:
            doubt = "waits for more labels: worse than the limit, but not shown to be"
        side = "at best" if found.grows else "at least"
        doubt = "; ".join(word for word in (f"{side} {bound:.4f} at any look", doubt) if word)
    return Finding(
        rule=rule,
        subject=found.name,
        outcome=outcome,
        observed=score.estimate if isfinite(score.estimate) else None,
        limit=limit,
        bound="at least" if found.grows else "at most",
        unit=found.name,
        n=score.n,
        detail=doubt,
    )


def _reach(score: Interval, *, margin: float, confidence: float) -> float:
    """How far the bound lies from the score; the wider end of an interval that is lopsided."""
    from scipy.special import ndtri

    # A quantile of Student's, which is greater, makes the variance too great, never too small.
    wider = max(score.high - score.estimate, score.estimate - score.low)
    variance = (wider / float(ndtri(0.5 + score.confidence / 2))) ** 2
    return float(mean_radius(variance, tau=margin, alpha=1 - confidence))
