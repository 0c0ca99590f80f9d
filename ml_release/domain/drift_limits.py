"""What the reference shows of itself: limits from its own contiguous windows.

Neighbouring days are no random sample: a week of real weather differs from its quarter by far more
than chance among rows allows. So every limit of a window of some days is taken from windows of as
many days inside the reference, each against the rest of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.psi import adjusted_psi_nats

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ml_release.domain.drift_policy import DriftPolicy

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


def calibrated_psi_limit_nats(table: Counts, *, days: int, policy: DriftPolicy) -> float:
    """The PSI up to which windows of ``days`` days are like the reference, in nats.

    The largest adjusted PSI of the reference's own windows against the rest of it, times the
    policy's factor, and at least the policy's limit. If the reference is too short to show its own
    variation, or the window has no days, the policy's limit stands alone.

    A largest value of k windows is exceeded by the next one with a chance of 1 in k + 1. It is
    persistence and impact that make a rare alarm of it, not this limit.
    """
    length = window_days(len(table), days=days, windows=policy.calibration_windows)
    found = [adjusted_psi_nats(rest, one) for one, rest in windows_and_rest(table, days=length)]
    if len(found) < FEWEST_WINDOWS:
        return policy.psi_limit_nats
    return max(policy.psi_limit_nats, policy.contiguous_factor * max(found))


def mean_change_limit(
    table: Counts, values: Floats, *, days: int, n: int, alpha: float, windows: int
) -> float:
    """How far a mean over rows strays by itself in a window, with a chance of ``alpha`` upwards.

    The mean is ``sum(share of rows in bin * value of bin)``, such as a share of missing values or
    an expected loss. Means of windows are close to normal, so the limit is that of a prediction
    interval: Student's quantile times the root mean square of the change of the reference's own
    windows against the rest of it (k windows, k - 1 degrees of freedom). Rows the window has fewer
    than those windows add ``variance / n`` less theirs.

    Parameters
    ----------
    table
        Rows of the reference per day and bin, shape (reference days, bins).
    values
        Value of a row in each bin, shape (bins,), in the unit of the result.
    n
        Rows of the window that is to be judged.
    alpha
        Chance of one window of a stable world to lie above; share it among the tests made.
    windows
        As `window_days` has it.

    Returns
    -------
    float
        Infinity if the reference is too short to show its own variation, or ``n`` is 0.
    """
    from scipy.stats import t as student

    length = window_days(len(table), days=days, windows=windows)
    parts = list(windows_and_rest(table, days=length))
    if len(parts) < FEWEST_WINDOWS or n < 1:
        return float("inf")
    changes = np.array(
        [one @ values / one.sum() - rest @ values / rest.sum() for one, rest in parts]
    )
    share = table.sum(axis=0) / table.sum()
    variance = float(share @ values**2 - (share @ values) ** 2)
    of_rows = variance * max(0.0, 1 / n - 1 / float(np.mean([one.sum() for one, _ in parts])))
    # A sum of squares of shares may come out below 0 by rounding.
    spread = np.sqrt(float(np.mean(changes**2)) + max(0.0, of_rows))
    return float(student.isf(alpha, len(parts) - 1) * spread)
