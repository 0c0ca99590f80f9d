"""Data quality of a window: faults of what feeds the model, told apart from a world that moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.reference_profile import SCORE, NumberFacts
from ml_release.domain.verdict import Finding, Outcome, compare

if TYPE_CHECKING:
    import numpy.typing as npt

    from ml_release.domain.drift_departure import WindowCounts
    from ml_release.domain.drift_limits import Calibration
    from ml_release.domain.drift_policy import DriftPolicy

    Counts = npt.NDArray[np.int64]

DESCRIPTIONS = {
    "missing_rate_is_stable": "No feature misses more values than the reference shows of itself.",
    "categories_are_known": "No feature holds more unknown words than the reference shows.",
    "values_are_in_range": "No number lies beyond the reference's range as in another unit.",
    "features_are_fresh": "No feature is stuck at one value that the reference was not stuck at.",
}
RULES = tuple(DESCRIPTIONS)

FAR_RANGE = 0.5
"""A value is far beyond a range from half of its width on."""
MOST = 0.5
"""Values just beyond the range are a fault if more than so many are."""


def quality_findings(
    feature: str, *, calibration: Calibration, window: WindowCounts
) -> list[Finding]:
    """What the four rules say of one feature, or of the score."""
    profile = calibration.profile
    counts = window.counts.get(
        feature, np.zeros(calibration.tables[feature].shape[1], dtype=np.int64)
    )
    shares = _Shares(feature=feature, counts=counts, days=window.days, calibration=calibration)
    numbers = window.numbers.get(feature)
    missing, policy = len(counts) - 1, calibration.policy
    findings = [
        shares.rise(
            "missing_rate_is_stable",
            at=missing,
            least_limit=policy.missing_increase_limits.get(feature, policy.missing_increase_limit),
        ),
        shares.stuck(numbers),
    ]
    if feature == SCORE:
        return findings
    if profile.bins[feature].words is not None:
        findings.append(
            shares.rise("categories_are_known", at=missing - 1, least_limit=policy.unseen_limit)
        )
    else:
        known = profile.numbers.get(feature)
        present = int(counts[:-1].sum())
        findings.append(_range(feature, known, numbers, n=shares.n, present=present, policy=policy))
    return findings


@dataclass(frozen=True, kw_only=True)
class _Shares:
    """Shares of one feature's bins in a window, and in the reference by day."""

    feature: str
    counts: Counts
    days: int
    calibration: Calibration

    @cached_property
    def n(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def share(self) -> npt.NDArray[np.float64]:
        return self.counts / self.n if self.n else np.full(len(self.counts), np.nan)

    @cached_property
    def reference_share(self) -> npt.NDArray[np.float64]:
        reference = self.calibration.sums[self.feature]
        n = int(reference.sum())
        return reference / n if n else np.full(len(reference), np.nan)

    def rise(self, rule: str, *, at: int, least_limit: float) -> Finding:
        """How much larger the share of a bin is than in the reference."""
        return self._compare(
            rule,
            observed=float(self.share[at] - self.reference_share[at]),
            limit=max(least_limit, self._strays(at)),
        )

    def stuck(self, numbers: NumberFacts | None) -> Finding:
        """The largest share of one value; what is missing is told by another rule."""
        present = self.share[:-1]
        at = int(np.argmax(present)) if self.n else 0
        # Of a reference without rows nobody knows what it was stuck at.
        known = bool(self.n) and not np.isnan(self.reference_share[at])
        observed = float(present[at]) if known else float("nan")
        detail = ""
        if numbers is not None and numbers.n and numbers.minimum != numbers.maximum:
            # In one bin, but not one value: the range and the distribution say what that is.
            observed, detail = 0.0 if known else observed, "several values"
        limit = max(
            float(self.reference_share[at]) + self._strays(at),
            self.calibration.largest_share(self.feature, days=self.days),
        )
        return self._compare(
            "features_are_fresh",
            observed=observed,
            limit=min(1.0, max(self.calibration.policy.stuck_share_limit, limit))
            if known
            else self.calibration.policy.stuck_share_limit,
            detail=detail,
        )

    def _strays(self, at: int) -> float:
        """How far the share of a bin strays upwards by itself; 0 where nobody knows."""
        strays = self.calibration.mean_change_limit(
            self.feature, np.eye(len(self.counts))[at], days=self.days, n=self.n
        )
        return strays if np.isfinite(strays) else 0.0

    def _compare(self, rule: str, *, observed: float, limit: float, detail: str = "") -> Finding:
        return compare(
            rule=rule,
            subject=self.feature,
            observed=observed,
            limit=limit,
            bound="at most",
            n=self.n,
            minimum_n=self.calibration.policy.minimum_rows,
            votes=self.feature not in self.calibration.policy.muted,
            detail=detail,
        )


def _range(
    feature: str,
    reference: NumberFacts | None,
    window: NumberFacts | None,
    *,
    n: int,
    present: int,
    policy: DriftPolicy,
) -> Finding:
    """Share of numbers beyond the reference's range.

    Far beyond it a small share is a fault; just beyond only if most values are, and not where the
    season explains it. A season has its own extremes: of a seasonal feature the mean has to be far.
    """
    votes = feature not in policy.muted
    if reference is None or reference.minimum is None or reference.maximum is None:
        return Finding(
            rule="values_are_in_range",
            subject=feature,
            outcome=Outcome.INCONCLUSIVE,
            n=n,
            # Of a model that was made before ranges were kept, or of a feature always missing.
            votes=False,
            detail="the reference knows no range of it",
        )
    observed = None if window is None else window.outside / max(1, present)
    seasonal = feature in policy.seasonal
    far = window is not None and _is_far(
        reference.minimum, reference.maximum, window, most=seasonal
    )
    excused = seasonal and not far
    return compare(
        rule="values_are_in_range",
        subject=feature,
        # Without any present value nothing is out of range; how many are missing has its own rule.
        observed=0.0 if not present and n else observed,
        limit=policy.outside_limit if far else max(MOST, policy.outside_limit),
        bound="at most",
        n=n,
        minimum_n=policy.minimum_rows,
        votes=votes and not excused,
        detail=f"the reference has {reference.minimum:g} to {reference.maximum:g}"
        + ("; just beyond, as the season may have it" if excused and observed else "")
        if observed
        else "",
    )


def _is_far(minimum: float, maximum: float, window: NumberFacts, *, most: bool) -> bool:
    """Whether the outermost values are far beyond the range, or the mean of all if ``most``."""
    if window.minimum is None or window.maximum is None or window.mean is None:
        # Infinite or absent: beyond every range.
        return window.outside > 0
    room = FAR_RANGE * (maximum - minimum)
    low, high = (window.mean, window.mean) if most else (window.minimum, window.maximum)
    return low < minimum - room or high > maximum + room
