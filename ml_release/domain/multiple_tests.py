"""P-values adjusted for being many: over slices, scores, features or groups.

A p-value that is NaN stands for a test that could not be made. It stays NaN and is not counted
among the tests: it is neither significant nor not, and whoever reads it must take it as
inconclusive. Counting it would only hide harm that the other tests show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.scores import Floats


def holm_adjusted(p_values: Floats) -> Floats:
    """Adjusted p-values that keep the chance of any false finding; Holm (1979), Scand. J. Stat. 6.

    Valid whatever the dependence of the tests. The k-th smallest of m is multiplied by m - k + 1,
    kept at most 1 and not below its predecessor. Reject where the adjusted value is at most alpha.

    Parameters
    ----------
    p_values
        Shape (m,), each from 0 to 1 or NaN.

    Returns
    -------
    Floats
        Shape (m,), in the order given; NaN where ``p_values`` is NaN.

    Raises
    ------
    InputError
        If a value is below 0 or above 1.

    >>> holm_adjusted(np.array([0.01, 0.04, np.nan, 0.03]))
    array([0.03, 0.06,  nan, 0.06])
    """
    made = _made(p_values)
    tested = p_values[made]
    order = np.argsort(tested, kind="stable")
    stepped = np.maximum.accumulate(tested[order] * np.arange(len(tested), 0, -1))
    adjusted = np.full(len(p_values), np.nan)
    adjusted[np.flatnonzero(made)[order]] = np.minimum(stepped, 1.0)
    return adjusted


def benjamini_hochberg_adjusted(p_values: Floats) -> Floats:
    """Adjusted p-values that keep the share of false findings; Benjamini and Hochberg (1995).

    Journal of the Royal Statistical Society B 57(1). The share (false discovery rate) is kept for
    tests that are independent or positively dependent. Use it to decide what to look at; use
    `holm_adjusted` where one false finding stops a release.

    Parameters
    ----------
    p_values
        Shape (m,), each from 0 to 1 or NaN.

    Returns
    -------
    Floats
        Shape (m,), in the order given; NaN where ``p_values`` is NaN.

    Raises
    ------
    InputError
        If a value is below 0 or above 1.

    >>> benjamini_hochberg_adjusted(np.array([0.01, 0.04, np.nan, 0.03]))
    array([0.03, 0.04,  nan, 0.04])
    """
    from scipy.stats import false_discovery_control

    made = _made(p_values)
    adjusted = np.full(len(p_values), np.nan)
    if made.any():
        adjusted[made] = false_discovery_control(p_values[made], method="bh")
    return adjusted


def bonferroni_confidence(confidence: float, comparisons: int) -> float:
    """The confidence of each of ``comparisons`` intervals so that all hold together.

    1 - (1 - confidence) / comparisons, by Bonferroni's inequality, whatever their dependence.
    Intervals of this confidence may be looked at, sorted and picked from freely: the worst of them
    holds too.

    Raises
    ------
    InputError
        If ``confidence`` is not between 0 and 1, or ``comparisons`` below 1.

    >>> bonferroni_confidence(0.95, 20)
    0.9975
    """
    if not 0 < confidence < 1 or comparisons < 1:
        message = (
            "family of intervals: expected a confidence between 0 and 1 and at least one "
            f"comparison, found {confidence} and {comparisons}"
        )
        raise InputError(message)
    return 1 - (1 - confidence) / comparisons


def _made(p_values: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    made: np.ndarray[tuple[int], np.dtype[np.bool_]] = ~np.isnan(p_values)
    wrong = p_values[made & ~((p_values >= 0) & (p_values <= 1))]
    if len(wrong):
        message = (
            f"p-values: expected numbers from 0 to 1 or NaN, found {wrong[0]:g}; pass p-values, "
            "not test statistics"
        )
        raise InputError(message)
    return made
