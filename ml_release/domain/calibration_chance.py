"""How large the expected calibration error is by chance, so that it can be judged at any n.

That of a perfectly calibrated model is not 0: with few rows the bins are off by chance. The error
itself is `scores.expected_calibration_error`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.intervals import require_confidence
from ml_release.domain.rows import require_same_rows
from ml_release.domain.scores import expected_calibration_error
from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.scores import Floats

BLOCK_CELLS = 2_000_000
"""Outcomes simulated at once, 16 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationExcess:
    """The expected calibration error beside what a calibrated model would show on as many rows.

    Attributes
    ----------
    error
        Expected calibration error, a probability.
    expected, upper
        Mean and upper quantile, at ``confidence``, of the error if every probability were true.
    p_value
        One-sided: how often a calibrated model is off by at least ``error``.
    confidence
        One-sided, of ``upper``.
    n
        Rows.
    """

    error: float
    expected: float
    upper: float
    p_value: float
    confidence: float
    n: int

    @property
    def excess(self) -> float:
        """Error beyond what chance gives, a probability; near 0 or below for a calibrated model."""
        return self.error - self.expected


def calibration_excess(
    target: Floats,
    probability: Floats,
    *,
    seed: int,
    simulations: int = 400,
    bins: int = 10,
    confidence: float = 0.95,
) -> CalibrationExcess:
    """Simulate outcomes from the probabilities themselves and compare the errors.

    Consistency resampling: Bröcker and Smith (2007), Weather and Forecasting 22(3); Vaicenavicius
    et al. (2019), AISTATS. Rows are taken as independent given their probabilities: days that move
    their rows together make ``expected`` and ``upper`` too small, and the judgement too strict.

    Parameters
    ----------
    target, probability
        Shape (n,) each; the target is 0 or 1, the probability from 0 to 1.
    seed
        Of numpy's PCG64; the same seed gives the same numbers.
    bins
        Of equal width, as in `scores.expected_calibration_error`.

    Returns
    -------
    CalibrationExcess
        NaN in all numbers without rows or with a value that is not known.

    Raises
    ------
    InputError
        If the columns have different lengths, a probability is outside 0 to 1, or there are fewer
        simulations than show ``upper``.
    """
    require_confidence(confidence)
    require_same_rows("calibration", target=target, probability=probability)
    n = len(target)
    if simulations * (1 - confidence) < 1 or ((probability < 0) | (probability > 1)).any():
        message = (
            "calibration: expected probabilities from 0 to 1 and at least "
            f"{1 / (1 - confidence):.0f} simulations, found {simulations} simulations or a number "
            "that is no probability"
        )
        raise InputError(message)
    error = expected_calibration_error(target, probability, bins=bins)
    if np.isnan(error):
        return CalibrationExcess(
            error=error, expected=error, upper=error, p_value=error, confidence=confidence, n=n
        )
    errors = _calibrated_errors(probability, bins, simulations, np.random.default_rng(seed))
    # A tie in exact arithmetic must not be lost to rounding.
    reached = int((errors >= error - 1e-12).sum())
    return CalibrationExcess(
        error=error,
        expected=float(errors.mean()),
        upper=float(np.quantile(errors, confidence)),
        p_value=(1 + reached) / (1 + simulations),
        confidence=confidence,
        n=n,
    )


def _calibrated_errors(
    probability: Floats, bins: int, simulations: int, rng: np.random.Generator
) -> Floats:
    ranked = np.sort(probability)
    position = np.clip((ranked * bins).astype(np.int64), 0, bins - 1)
    starts = np.flatnonzero(np.append(True, position[1:] != position[:-1]))
    promised = np.add.reduceat(ranked, starts)
    n = len(ranked)
    errors = np.empty(simulations)
    block = max(1, BLOCK_CELLS // n)
    for first in range(0, simulations, block):
        size = min(block, simulations - first)
        outcomes = (rng.random((size, n)) < ranked).astype(np.float64)
        seen = np.add.reduceat(outcomes, starts, axis=1)
        errors[first : first + size] = np.abs(seen - promised).sum(axis=1) / n
    return errors
