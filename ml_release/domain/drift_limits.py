"""What the reference shows of itself: limits from its own contiguous windows.

Neighbouring days are no random sample: a week of real weather differs from its quarter by far more
than chance among rows allows. So every limit of a window of some days is taken from windows of as
many days inside the reference, each against the rest of it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.drift_impact import expected_loss_change, loss_of_bins
from ml_release.domain.psi import adjusted_psi_nats
from ml_release.domain.reference_profile import SCORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ml_release.domain.drift_policy import DriftPolicy
    from ml_release.domain.reference_profile import ReferenceProfile

    Counts = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

FEWEST_WINDOWS = 2


def window_days(reference_days: int, *, days: int, windows: int) -> int:
    """How many days the windows of the reference have that stand for one of ``days`` days.

    As many, if the reference then holds at least ``windows`` of them that do not overlap. Otherwise
    the longest that leave so many: a shorter window strays further from the whole, so its limit is
    too large for a longer one rather than too small. 0 if not even single days give two windows.

    >>> window_days(90, days=7, windows=8), window_days(90, days=30, windows=8)
    (7, 11)
    >>> window_days(5, days=7, windows=8), window_days(1, days=7, windows=8)
    (1, 0)
    """
    if days < 1 or reference_days < FEWEST_WINDOWS:
        return 0
    return max(1, min(days, reference_days // windows))


def windows_and_rest(table: Counts, *, days: int) -> Iterator[tuple[Counts, Counts]]:
    """Counts of every window that overlaps no other, each with those of all other days.

    Windows or rests that hold no rows are left out: they show nothing.

    Parameters
    ----------
    table
        Rows of the reference per day and bin, shape (reference days, bins).
    days
        Days of a window; 0 gives none.
    """
    whole = table.sum(axis=0)
    for start in range(0, len(table) - days + 1, days) if days else ():
        window = table[start : start + days].sum(axis=0)
        rest = whole - window
        if window.sum() and rest.sum():
            yield window, rest


class Calibration:
    """The limits of one reference under one policy, each worked out once."""

    def __init__(
        self,
        profile: ReferenceProfile,
        policy: DriftPolicy,
        *,
        masked: frozenset[str] = frozenset(),
    ) -> None:
        self.profile, self.policy = profile, policy
        self.tables = {name: profile.table(name) for name in profile.bins if name not in masked}
        if profile.score is not None:
            self.tables[SCORE] = profile.score.table()
        self.sums = {name: table.sum(axis=0) for name, table in self.tables.items()}
        self.losses = {
            name: loss_of_bins(np.array(own.rows), np.array(own.loss))
            for name, own in profile.holdout.items()
            if name in self.tables
        }
        self._parts: dict[tuple[str, int], list[tuple[Counts, Counts]]] = {}
        self._changes: dict[tuple[str, int], tuple[Floats, float]] = {}
        self._psi_limits: dict[tuple[str, int], float] = {}

    def psi_limit_nats(self, feature: str, *, days: int) -> float:
        """The PSI up to which windows of ``days`` days are like the reference, in nats.

        The largest adjusted PSI of the reference's own windows against the rest of it, times the
        policy's factor, and at least the policy's limit. If the reference is too short to show its
        own variation, or the window has no days, the policy's limit stands alone.

        A largest value of k windows is exceeded by the next one with a chance of 1 in k + 1. It is
        persistence and impact that make a rare alarm of it, not this limit.
        """
        key = feature, days
        if key not in self._psi_limits:
            found = [adjusted_psi_nats(rest, one) for one, rest in self._windows(feature, days)]
            self._psi_limits[key] = max(
                self.policy.psi_limit_nats,
                self.policy.contiguous_factor * max(found) if len(found) >= FEWEST_WINDOWS else 0.0,
            )
        return self._psi_limits[key]

    def mean_change_limit(self, feature: str, values: Floats, *, days: int, n: int) -> float:
        """How far a mean over rows strays upwards by itself in a window.

        The mean is ``sum(share of rows in bin * value of bin)``, such as a share of missing values
        or an expected loss. Means of windows are close to normal, so the limit is that of a
        prediction interval: Student's quantile times the root mean square of the change of the
        reference's own windows against the rest of it (k windows, k - 1 degrees of freedom). A
        window of fewer rows than those adds ``variance / n`` less theirs. The chance of one stable
        window to lie above, of any feature, is the policy's alpha (Bonferroni).

        Parameters
        ----------
        values
            Value of a row in each bin, shape (bins,), in the unit of the result.
        n
            Rows of the window that is to be judged.

        Returns
        -------
        float
            Infinity if the reference is too short to show its own variation, or ``n`` is 0; NaN if
            ``values`` are not known.
        """
        from scipy.special import stdtrit

        if np.isnan(values).any():
            return float("nan")
        changes, rows = self._share_changes(feature, days)
        if len(changes) < FEWEST_WINDOWS or n < 1:
            return float("inf")
        whole = self.sums[feature]
        share = whole / whole.sum()
        variance = float(share @ values**2 - (share @ values) ** 2)
        # A difference of squares may come out below 0 by rounding.
        of_rows = max(0.0, variance) * max(0.0, 1 / n - 1 / rows)
        spread = np.sqrt(float(np.mean((changes @ values) ** 2)) + of_rows)
        return float(-stdtrit(len(changes) - 1, self.policy.alpha / len(self.tables)) * spread)

    def loss_limit(self, feature: str, *, days: int, n: int) -> float:
        """The rise of the expected loss that is harm, in nats per row; at least the policy's.

        The score is known on the holdout only, whose few newest days show less of their own
        variation than the whole reference. By how much the two differ in the expected loss, by the
        feature that tells most of it, is added for the score.
        """
        if feature not in self.losses:
            return float("nan")
        limit = self.mean_change_limit(feature, self.losses[feature], days=days, n=n)
        if feature == SCORE:
            limit += self._holdout_stray
        return limit if np.isnan(limit) else max(self.policy.hurting_loss_change, limit)

    def largest_share(self, feature: str, *, days: int) -> float:
        """The largest share of one bin, *missing* left out, in any of the reference's windows."""
        shares = (float((one[:-1] / one.sum()).max()) for one, _ in self._windows(feature, days))
        return max(shares, default=0.0)

    @cached_property
    def reference_digest(self) -> str:
        """Digest of the whole profile."""
        return self.profile.digest

    @cached_property
    def _holdout_stray(self) -> float:
        changes = (
            expected_loss_change(
                np.array(self.profile.holdout[name].rows), whole, self.losses[name]
            )
            for name, whole in self.sums.items()
            if name != SCORE and name in self.losses
        )
        return max((abs(change) for change in changes if np.isfinite(change)), default=0.0)

    def _share_changes(self, feature: str, days: int) -> tuple[Floats, float]:
        """Shares of every window less those of the rest, shape (windows, bins), and mean rows."""
        key = feature, days
        if key not in self._changes:
            parts = self._windows(feature, days)
            changes = [one / one.sum() - rest / rest.sum() for one, rest in parts]
            rows = float(np.mean([one.sum() for one, _ in parts])) if parts else float("nan")
            self._changes[key] = np.array(changes), rows
        return self._changes[key]

    def _windows(self, feature: str, days: int) -> list[tuple[Counts, Counts]]:
        key = feature, days
        if key not in self._parts:
            table = self.tables[feature]
            length = window_days(len(table), days=days, windows=self.policy.calibration_windows)
            self._parts[key] = list(windows_and_rest(table, days=length))
        return self._parts[key]
