"""Errors, slow answers and missing answers of a watched release, held against limits.

One bad window is an accident, several in a row or spread over the watch are harm. Both ways of
seeing it are here: a streak of windows, each looked at once when it has closed, and the rate of the
whole watch without its worst windows, under a bound that holds however often it is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING

from ml_release.domain.intervals import rate_interval
from ml_release.domain.latency_sketch import LatencySketch
from ml_release.domain.rate_sequences import RateBounds, rate_bounds
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchWindow:
    """What came in during one window.

    Attributes
    ----------
    start
        Its first moment, with a time zone.
    requests, errors
        Requests that the version was to answer; those it failed, or another one answered in its
        place.
    rows, missing
        Rows of the requests it answered; those of them whose answer is no number.
    latency
        Of the requests it answered.
    """

    start: datetime
    requests: int
    errors: int
    rows: int
    missing: int
    latency: LatencySketch = field(default_factory=LatencySketch)

    @property
    def p99_ms(self) -> float | None:
        """99th percentile of the latency, at most five percent too great; None without answers."""
        return self.latency.quantile(0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRule:
    """How a rate is judged.

    Attributes
    ----------
    harmful_above, harmless_to
        A rate shown to be above the first is harm, one shown to be at most the second is none; the
        same number unless the limit itself is estimated.
    confidence
        One-sided of every window, and of the bounds of the whole.
    violations_needed
        Windows in a row above the limit that are harm; with one fewer left out, the worst ones, the
        rest of the watch is harm if its rate is above the limit.
    window_minimum
        Windows with fewer are joined with the next ones until there are so many, so that little
        traffic is judged too, only later.
    """

    harmful_above: float
    harmless_to: float
    confidence: float
    violations_needed: int
    window_minimum: int


def judge_rate(
    name: str,
    subject: str,
    closed: Sequence[tuple[int, int]],
    still_open: Sequence[tuple[int, int]],
    rule: RateRule,
) -> Finding:
    """Hold a rate against its limit; few requests or few bad windows are inconclusive.

    Parameters
    ----------
    name, subject
        Of the finding.
    closed, still_open
        Bad ones and all of each window: those that have closed, in order, and the others.
    """
    bad = sum(count for count, _ in (*closed, *still_open))
    n = sum(of for _, of in (*closed, *still_open))
    judged = tuple(_joined(closed, rule.window_minimum))
    above = [_is_above(count, of, rule) for count, of in judged]
    streak = _longest_streak(above)
    bounds = rate_bounds(bad, n, confidence=rule.confidence)
    # Comparisons with NaN are false: without requests neither holds.
    is_streak = streak >= rule.violations_needed
    is_spread = _without_worst(judged, rule).low > rule.harmful_above
    if is_streak or is_spread:
        outcome = Outcome.FAIL
    elif bounds.high <= rule.harmless_to:
        outcome = Outcome.PASS
    else:
        outcome = Outcome.INCONCLUSIVE
    words = [f"{bad} of {n}"]
    if n:
        words.append(f"between {bounds.low:.4g} and {bounds.high:.4g} however often one looks")
    words.append(
        f"{sum(above)} of {len(judged)} windows show more than it, at most {streak} in a row,"
        f" {rule.violations_needed} needed"
    )
    if outcome is Outcome.INCONCLUSIVE:
        words.append(_waited_for(n, bounds.low > rule.harmful_above))
    return Finding(
        rule=name,
        subject=subject,
        outcome=outcome,
        observed=None if isnan(bounds.rate) else bounds.rate,
        limit=rule.harmful_above,
        unit="share",
        n=n,
        detail="; ".join(words),
    )


def _waited_for(n: int, is_above: bool) -> str:  # noqa: FBT001 (one of two reasons)
    if not n:
        return "waits for traffic"
    if is_above:
        return "waits until more windows are as bad, or good ones outweigh those that were"
    return "waits for more requests, which would tell on which side of the limit it is"


def _is_above(count: int, n: int, rule: RateRule) -> bool:
    """Whether one window, looked at once, shows a rate above the limit."""
    # The lower end of a two-sided interval is the one-sided bound of half its doubt.
    found = rate_interval(count, n, confidence=2 * rule.confidence - 1)
    return found.low > rule.harmful_above


def _without_worst(windows: Sequence[tuple[int, int]], rule: RateRule) -> RateBounds:
    """The rate without the worst windows, one fewer than are needed: what accidents don't explain.

    Leaving them out only lowers the rate, so that the lower bound holds as it did.
    """
    by_excess = sorted(windows, key=lambda one: one[0] - rule.harmful_above * one[1])
    rest = by_excess[: len(by_excess) - (rule.violations_needed - 1)]
    return rate_bounds(
        sum(count for count, _ in rest), sum(of for _, of in rest), confidence=rule.confidence
    )


def _joined(windows: Iterable[tuple[int, int]], minimum: int) -> Iterator[tuple[int, int]]:
    """Windows of at least ``minimum``; the rest at the end is not long enough yet."""
    bad = n = 0
    for count, of in windows:
        bad, n = bad + count, n + of
        if n >= minimum:
            yield bad, n
            bad = n = 0


def _longest_streak(judged: Sequence[bool]) -> int:
    longest = run = 0
    for is_above in judged:
        run = run + 1 if is_above else 0
        longest = max(longest, run)
    return longest
