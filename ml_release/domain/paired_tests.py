"""The challenger against the champion on the same rows.

The difference itself is compared, not two intervals held side by side: what the rows do to both
models cancels. `scores.auc_difference` is DeLong's test for the AUC of independent rows; here are
the paired bootstrap for every score, McNemar's test for decisions, and what an interval of the
difference says against a margin. Which relation lets a release go on is decided by its policy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.bootstrap import bootstrap_interval
from ml_release.domain.intervals import NOTHING
from ml_release.domain.rows import require_same_rows
from ml_release.domain.weighted_scores import difference_of
from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.intervals import Interval
    from ml_release.domain.resampling import Resampling
    from ml_release.domain.scores import Difference, Floats
    from ml_release.domain.weighted_scores import WeightedScore


class Relation(StrEnum):
    """How the challenger stands to the champion, as far as the interval tells."""

    BETTER = "better"
    NON_INFERIOR = "non_inferior"
    UNDECIDED = "undecided"
    INFERIOR = "inferior"


def relation_of(
    difference: Interval | Difference, *, margin: float, greater_is_better: bool
) -> Relation:
    """Read the interval of challenger minus champion against a margin.

    With greater better: ``better`` if the low end is above 0, else ``non_inferior`` if it is not
    below -margin, ``inferior`` if the high end is below -margin, else ``undecided``; a loss is
    turned round first. An end that is not known gives ``undecided``: cannot tell never passes. The
    chance to call a challenger that is worse by just the margin non-inferior is at most
    (1 - confidence) / 2. Committee for Proprietary Medicinal Products (2000), CPMP/EWP/482/99,
    Points to consider on switching between superiority and non-inferiority: both may be read from
    one interval without a correction.

    Parameters
    ----------
    margin
        How much worse is still acceptable, at least 0, in the unit of the score.
    greater_is_better
        True for a score, False for a loss or an error.

    Raises
    ------
    InputError
        If ``margin`` is negative or not finite.
    """
    if not (math.isfinite(margin) and margin >= 0):
        message = f"non-inferiority: expected a finite margin of at least 0, found {margin}"
        raise InputError(message)
    low, high = difference.low, difference.high
    if not greater_is_better:
        low, high = -high, -low
    if not (math.isfinite(low) and math.isfinite(high)):
        return Relation.UNDECIDED
    if low > 0:
        return Relation.BETTER
    if low >= -margin:
        return Relation.NON_INFERIOR
    return Relation.INFERIOR if high < -margin else Relation.UNDECIDED


def paired_bootstrap(
    challenger: WeightedScore,
    champion: WeightedScore,
    plan: Resampling,
    *,
    confidence: float,
    identical: bool = False,
) -> Interval:
    """Challenger minus champion with a bootstrap interval: the same resamples for both.

    Parameters
    ----------
    challenger, champion
        The same score of both models on the same rows, in the same order.
    plan
        With ``groups`` whole days are drawn. Where days move together the paired difference still
        varies by day, only less than each score.
    identical
        The two models gave every row the same answer. Then the difference is exactly 0, which is
        known without doubt. Otherwise a difference of 0 in all resamples is no evidence: both may
        be right on the five positives there are, and its ends are NaN.

    Raises
    ------
    InputError
        If the two have different numbers of rows, or as `bootstrap.bootstrap_intervals`.
    """
    found = bootstrap_interval(difference_of(challenger, champion), plan, confidence=confidence)
    if identical and found.estimate == 0:
        return replace(found, low=0.0, high=0.0)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemarTest:
    """Rows on which exactly one of the two models decided rightly.

    Attributes
    ----------
    challenger_only, champion_only
        Rows that only this one decided rightly.
    p_value
        Two-sided, of both being as often alone right; NaN without such a row.
    n
        All rows compared.
    """

    challenger_only: int
    champion_only: int
    p_value: float
    n: int

    @property
    def accuracy_difference(self) -> float:
        """Accuracy of challenger minus champion, a fraction; NaN without rows."""
        return (self.challenger_only - self.champion_only) / self.n if self.n else NOTHING


def compare_decisions(
    target: Floats, challenger: Floats, champion: Floats, *, mid_p: bool = False
) -> McNemarTest:
    """McNemar's test of two models' decisions on the same rows, each column 0 or 1, shape (n,).

    A value that is not known gives a p-value of NaN and no count: n is 0.

    Raises
    ------
    InputError
        If the columns have different lengths.
    """
    require_same_rows("McNemar's test", target=target, challenger=challenger, champion=champion)
    if not np.isfinite([target, challenger, champion]).all():
        return McNemarTest(challenger_only=0, champion_only=0, p_value=NOTHING, n=0)
    first, second = challenger == target, champion == target
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    return McNemarTest(
        challenger_only=b,
        champion_only=c,
        p_value=mcnemar_p_value(b, c, mid_p=mid_p),
        n=len(target),
    )


def mcnemar_p_value(b: int, c: int, *, mid_p: bool = False) -> float:
    """Two-sided exact p-value of McNemar's test from its discordant counts.

    Under equality ``b`` of ``b + c`` is binomial with probability one half; McNemar (1947),
    Psychometrika 12. The exact test is conservative. ``mid_p`` takes off the probability of the
    observed count (of half of it where ``b`` = ``c``), which is close to nominal: Fagerland,
    Lydersen and Laake (2013), BMC Medical Research Methodology 13:91. Rows are taken as
    independent; for days use `paired_bootstrap`.

    NaN without a discordant row: there is nothing to test, which is no evidence of equality.

    Raises
    ------
    InputError
        If a count is negative.

    >>> round(mcnemar_p_value(1, 7), 4), round(mcnemar_p_value(1, 7, mid_p=True), 4)
    (0.0703, 0.0391)
    """
    from scipy.stats import binom

    if min(b, c) < 0:
        message = f"McNemar's test: expected counts of at least 0, found {b} and {c}"
        raise InputError(message)
    if b + c == 0:
        return NOTHING
    fewer = min(b, c)
    exact = min(1.0, 2 * float(binom.cdf(fewer, b + c, 0.5)))
    if not mid_p:
        return exact
    at_count = float(binom.pmf(fewer, b + c, 0.5))
    return exact - (at_count / 2 if b == c else at_count)
