"""Anytime-valid bounds of means: how much an average differs, however often one looks.

Asymptotic confidence sequences of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021, arXiv
2103.06476; 2024, Annals of Statistics 52(6)) with a normal mixture (Robbins 1970). They hold for an
estimate that becomes normal, such as a mean of many independent values: from some dozens of rows
on, not from the first. The width of the mixture, ``tau``, has the unit of the estimate: take the
smallest difference that matters, and bounds are tight about when the rows suffice to see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.sequential_tests import require_alpha
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_release.domain.sequential_tests import Floats, Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What is kept of some values: enough for their mean and variance, and it adds up.

    Attributes
    ----------
    n
        How many finite values.
    total, total_squares
        Sums of them and of their squares.
    """

    n: int = 0
    total: float = 0.0
    total_squares: float = 0.0

    @classmethod
    def of(cls, values: Floats) -> Moments:
        """Of the finite ones of some values, shape (n,)."""
        known = values[np.isfinite(values)]
        return cls(
            n=len(known),
            total=float(np.sum(known)),
            total_squares=float(np.sum(known * known)),
        )

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            n=self.n + other.n,
            total=self.total + other.total,
            total_squares=self.total_squares + other.total_squares,
        )

    @property
    def mean(self) -> float:
        """NaN without values."""
        return self.total / self.n if self.n else float("nan")

    @property
    def variance(self) -> float:
        """Unbiased, not negative; NaN with fewer than two values."""
        if self.n < 2:  # noqa: PLR2004 (one value has no spread)
            return float("nan")
        squares = self.total_squares - self.n * self.mean**2
        return max(0.0, squares / (self.n - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimated difference with the variance of the estimate; NaN twice if it is not known."""

    value: float
    variance: float

    @property
    def is_known(self) -> bool:
        """Whether there is a number with a spread: values that are all equal show none."""
        return bool(np.isfinite(self.value)) and self.variance > 0


UNKNOWN = Estimate(value=float("nan"), variance=float("nan"))


def mean_difference(canary: Moments, control: Moments) -> Estimate:
    """Mean of the canary minus mean of the control.

    >>> mean_difference(Moments.of(np.array([1.0, 2.0])), Moments.of(np.array([0.0, 1.0])))
    Estimate(value=1.0, variance=0.5)
    """
    if min(canary.n, control.n) < 2:  # noqa: PLR2004 (one value has no spread)
        return UNKNOWN
    return Estimate(
        value=canary.mean - control.mean,
        variance=canary.variance / canary.n + control.variance / control.n,
    )


def pooled_difference(stretches: Iterable[tuple[Moments, Moments]]) -> Estimate:
    """The difference over stretches of different split, each compared within itself.

    Weighted by n w (1 - w), with n values in a stretch and w the canary's share of them: what the
    split alone says of the precision, as in a stratified comparison of equal variances. Stretches
    that say nothing are left out. A mean over all of them at once would take a change of traffic
    for a difference of the arms.
    """
    parts = []
    for canary, control in stretches:
        found = mean_difference(canary, control)
        if found.is_known:
            parts.append((canary.n * control.n / (canary.n + control.n), found))
    total = sum(weight for weight, _ in parts)
    if not parts:
        return UNKNOWN
    return Estimate(
        value=sum(weight * found.value for weight, found in parts) / total,
        variance=sum(weight**2 * found.variance for weight, found in parts) / total**2,
    )


def mean_radius(variance: Numbers, *, tau: float, alpha: float) -> Floats:
    """How far a one-sided anytime-valid bound lies from the estimate, in its unit.

    ``sqrt(2 V (V + tau^2) / tau^2 * ln(1 + sqrt((V + tau^2) / V) / (2 alpha)))`` with V the
    variance of the estimate, from the same paper with rho = tau / sigma. The
    estimate minus it is a lower bound, plus it an upper bound, each wrong at any look with a
    probability of at most alpha; both together with 2 alpha.

    Returns
    -------
    numpy.ndarray
        Above 0; infinite where the variance is 0 or NaN, since no spread is no proof.

    Raises
    ------
    InputError
        If tau is not above 0, or alpha not between 0 and 1.

    Examples
    --------
    >>> round(float(mean_radius(0.005**2, tau=0.02, alpha=0.05)), 4)
    0.0141
    """
    require_alpha(alpha)
    _require_tau(tau)
    v = np.asarray(variance, dtype=np.float64)
    known = v > 0
    v = np.where(known, v, 1.0)
    reach = np.log1p(np.sqrt((v + tau**2) / v) / (2 * alpha))
    radius = np.sqrt(2 * v * (v + tau**2) / tau**2 * reach)
    result: Floats = np.where(known, radius, np.inf)
    return result


def log_e_mean_above(value: Numbers, variance: Numbers, *, tau: float) -> Floats:
    """Log e-value (asymptotically) against "the true value is 0 or less".

    The likelihood ratio of a normal estimate averaged over a half-normal of width tau:
    ``ln 2 + ln(V / (V + tau^2)) / 2 + x^2 tau^2 / (2 V (V + tau^2)) + ln Phi(x tau / sqrt(V (V +
    tau^2)))``, x the estimate, V its variance, Phi the normal distribution function.

    Returns
    -------
    numpy.ndarray
        Nats; 0 where estimate or variance is not known.

    Raises
    ------
    InputError
        If tau is not above 0.

    Examples
    --------
    >>> round(float(log_e_mean_above(0.02, 0.005**2, tau=0.02)), 3)
    6.806
    """
    from scipy.special import log_ndtr

    _require_tau(tau)
    x, v = np.broadcast_arrays(
        np.asarray(value, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    )
    known = np.isfinite(x) & (v > 0)
    x, v = np.where(known, x, 0.0), np.where(known, v, 1.0)
    z = x * tau / np.sqrt(v * (v + tau**2))
    log_e = np.log(2) + np.log(v / (v + tau**2)) / 2 + z * z / 2 + log_ndtr(z)
    result: Floats = np.where(known, log_e, 0.0)
    return result


def _require_tau(tau: float) -> None:
    if not 0 < tau < float("inf"):
        message = f"confidence sequence: expected a tau above 0, found {tau}"
        raise InputError(message)
