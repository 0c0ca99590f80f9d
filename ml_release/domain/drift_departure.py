"""How far every feature of one window is from the reference, and what that is expected to cost."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (kept as evidence of a public type)
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.drift_distances import chi_squared_p
from ml_release.domain.drift_impact import expected_loss_change, unknown_share
from ml_release.domain.multiple_tests import benjamini_hochberg_adjusted
from ml_release.domain.psi import adjusted_psi_nats
from ml_release.domain.reference_profile import SCORE, NumberFacts

if TYPE_CHECKING:
    import numpy.typing as npt

    from ml_release.domain.drift_limits import Calibration
    from ml_release.domain.drift_policy import DriftPolicy

    Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCounts:
    """What a window held.

    Attributes
    ----------
    days
        Calendar days it holds.
    counts
        Per feature, and under ``(score)``, rows over the bins of the reference, shape (bins,).
    numbers
        Facts of its numeric features, where they are known.
    """

    days: int
    counts: Mapping[str, npt.NDArray[np.int64]]
    numbers: Mapping[str, NumberFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """One feature in one window, against the reference.

    Attributes
    ----------
    n
        Rows.
    psi_nats, limit_nats
        Adjusted PSI, of the nearer reference if there are two, and the calibrated limit.
    p_adjusted
        Of the chi-squared test, over the features of the window.
    loss_change, loss_limit
        Expected change of the log loss in nats per row, and the one above which it is harm; NaN
        where the holdout has no losses.
    unknown_share
        Share of rows where the reference has no evidence.
    importance
        Share of all importance; None if it is not known, and of the score.
    """

    n: int
    psi_nats: float
    limit_nats: float
    p_adjusted: float
    loss_change: float
    loss_limit: float
    unknown_share: float
    importance: float | None

    def moved(self, policy: DriftPolicy) -> bool | None:
        """Significant and big enough; None if it cannot be told."""
        if self.n < policy.minimum_rows or not np.isfinite([self.psi_nats, self.p_adjusted]).all():
            return None
        return self.p_adjusted <= policy.alpha and self.psi_nats > self.limit_nats

    def harm(self, policy: DriftPolicy) -> str | None:
        """Why a move of this kind is expected to hurt, empty if it is not; None: not known."""
        importance = self.importance
        if importance is not None:
            if importance >= policy.important_share and (
                self.unknown_share > policy.unknown_share_limit
            ):
                return (
                    f"{self.unknown_share:.1%} of its rows are where the reference has no evidence,"
                    f" and it has {importance:.0%} of the importance"
                )
            beyond = importance * (self.psi_nats - self.limit_nats)
            if beyond > policy.weighted_psi_limit_nats:
                return (
                    f"importance times PSI beyond its limit is {beyond:.3g} nats, limit"
                    f" {policy.weighted_psi_limit_nats:g}"
                )
        if not np.isfinite([self.loss_change, self.loss_limit]).all():
            # Of a feature that matters little, little can be lost.
            small = importance is not None and importance < policy.important_share
            return "" if small else None
        if self.loss_change > self.loss_limit:
            return (
                f"the log loss is expected to rise by {self.loss_change:.3g} nats, limit"
                f" {self.loss_limit:.3g}"
            )
        return ""


def departures(
    calibration: Calibration,
    window: WindowCounts,
    *,
    seasonal: Mapping[str, Counts] | None = None,
) -> dict[str, Departure]:
    """Every feature that is known, and the score where it was counted, in one window.

    Parameters
    ----------
    seasonal
        Per feature the counts of the same season; a feature is as far as it is from the nearer.
    """
    policy, profile = calibration.policy, calibration.profile
    found: dict[str, Departure] = {}
    for name, reference in calibration.sums.items():
        if name == SCORE and SCORE not in window.counts:
            continue
        counts = window.counts.get(name, np.zeros(len(reference), dtype=np.int64))
        n = int(counts.sum())
        psi, p_value = adjusted_psi_nats(reference, counts), chi_squared_p(reference, counts)
        other = None if seasonal is None else seasonal.get(name)
        if other is not None and other.sum() >= policy.minimum_rows:
            psi = min(psi, adjusted_psi_nats(other, counts))
            p_value = max(p_value, chi_squared_p(other, counts))
        numbers = window.numbers.get(name)
        losses = calibration.losses.get(name)
        found[name] = Departure(
            n=n,
            psi_nats=psi,
            limit_nats=calibration.psi_limit_nats(name, days=window.days),
            p_adjusted=p_value,
            loss_change=float("nan")
            if losses is None
            else expected_loss_change(reference, counts, losses),
            loss_limit=calibration.loss_limit(name, days=window.days, n=n),
            unknown_share=unknown_share(
                reference,
                counts,
                outside=0 if numbers is None or name == SCORE else numbers.outside,
            ),
            importance=profile.importance.get(name),
        )
    adjusted = benjamini_hochberg_adjusted(np.array([one.p_adjusted for one in found.values()]))
    return {
        name: replace(one, p_adjusted=float(p))
        for (name, one), p in zip(found.items(), adjusted, strict=True)
    }
