"""Draws of the same rows again, by rows or by whole days, the same for the same seed.

Resamples are weights (`weighted_scores`): memory is bounded by a block of them, time by
``resamples`` x rows. A score of sums is drawn by day, or by kind of row where there are few kinds,
which costs next to nothing and has the same distribution. The intervals are made in `bootstrap`.

What is not done here: randomness of its own. The seed is an argument, and a generator is made of it
for each call. Another order of the rows is another, equally good, draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml_release.domain.rows import group_codes
from ml_release.domain.weighted_scores import SumsScore
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ml_release.domain.rows import Codes
    from ml_release.domain.scores import Floats
    from ml_release.domain.weighted_scores import WeightedScore

Method = Literal["expanded", "percentile", "bca", "standard"]
METHODS: tuple[Method, ...] = ("expanded", "percentile", "bca", "standard")
MINIMUM_RESAMPLES = 100
BLOCK_CELLS = 2_000_000
"""Weights held at once, 16 MB."""

KINDS = 256
"""So many kinds of rows are drawn as counts; with more, row by row."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resampling:
    """How rows are drawn again.

    Attributes
    ----------
    seed
        Of the generator, numpy's PCG64.
    resamples
        How many; at least 100, and enough for one of them to lie beyond each end.
    groups
        Shape (n,): the day, or other unit, of each row. Days are drawn whole: their rows are not
        independent.
    strata
        Shape (n,): rows are drawn within strata, which keep their sizes; with the target as
        stratum the interval holds for this rate of positives. Not together with ``groups``.
    method
        ``expanded``: quantiles of the resamples, moved outwards as Student's distribution is wider
        than the normal (Hesterberg 2015, The American Statistician 69(4)); without that, an
        interval over 10 days is a fifth too narrow. ``percentile``: plain quantiles. ``bca``:
        corrected for bias and skewness (Efron 1987, JASA 82(397)), its jackknife in at most 200
        blocks.
        ``standard``: the estimate and Student's quantile of the resamples' standard deviation;
        for a confidence beyond what the number of resamples can show.
    """

    seed: int
    resamples: int = 1000
    groups: Codes | None = None
    strata: Codes | None = None
    method: Method = "expanded"

    def __post_init__(self) -> None:
        """Refuse a plan that cannot be carried out."""
        problem = ""
        if self.resamples < MINIMUM_RESAMPLES:
            problem = f"at least {MINIMUM_RESAMPLES} resamples, found {self.resamples}"
        elif self.method not in METHODS:
            problem = f"one of the methods {', '.join(METHODS)}, found {self.method}"
        elif self.groups is not None and self.strata is not None:
            problem = "groups or strata, found both; a day drawn whole has rows of every stratum"
        if problem:
            message = f"bootstrap: expected {problem}"
            raise InputError(message)


def resampled(scores: Sequence[WeightedScore], plan: Resampling) -> Floats:
    """The scores under each resample, shape (scores, resamples); NaN where undefined.

    Raises
    ------
    InputError
        If ``groups`` or ``strata`` have another length than the scores have rows.
    """
    found = np.full((len(scores), plan.resamples), np.nan)
    by_row: list[int] = []
    for index, score in enumerate(scores):
        kinds = None if plan.groups is not None else _kinds(score, plan.strata)
        if score.n == 0:
            continue
        if kinds is None:
            by_row.append(index)
        else:
            found[index] = _from_kinds(*kinds, plan)
    if not by_row:
        return found
    first = 0
    n = scores[by_row[0]].n
    codes, units = (None, n) if plan.groups is None else group_codes(plan.groups, n)
    rng = np.random.default_rng(plan.seed)
    prepared = {i: _summed(scores[i], codes, units) for i in by_row}
    for weights in _weights(units, n, plan, rng):
        last = first + len(weights)
        of_rows = weights if codes is None else None
        for i, (score, by_unit) in prepared.items():
            if not by_unit and of_rows is None:
                of_rows = weights[:, codes]
            found[i, first:last] = score.under(weights if by_unit or of_rows is None else of_rows)
        first = last
    return found


def _summed(score: WeightedScore, codes: Codes | None, units: int) -> tuple[WeightedScore, bool]:
    """A score of sums with the rows of each group added up, and whether it takes unit weights."""
    if codes is None or not isinstance(score, SumsScore):
        return score, codes is None
    columns = [np.bincount(codes, weights=column, minlength=units) for column in score.columns.T]
    return SumsScore(np.column_stack(columns), score.of_sums), True


def _weights(units: int, rows: int, plan: Resampling, rng: np.random.Generator) -> Iterator[Floats]:
    """Blocks of whole-number weights, (block, units): how often each unit was drawn."""
    block = max(1, BLOCK_CELLS // max(units, rows))
    strata = [np.arange(units)]
    if plan.strata is not None:
        codes, count = group_codes(plan.strata, units)
        strata = [np.flatnonzero(codes == code) for code in range(count)]
    for start in range(0, plan.resamples, block):
        size = min(block, plan.resamples - start)
        weights = np.empty((size, units))
        for members in strata:
            m = len(members)
            drawn = rng.integers(0, m, size=(size, m))
            drawn += m * np.arange(size)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=size * m).reshape(size, m)
            weights[:, members if len(strata) > 1 else slice(None)] = counts
        yield weights


def _kinds(score: WeightedScore, strata: Codes | None) -> tuple[SumsScore, Floats, Floats] | None:
    """The distinct rows of a score of sums, their counts and strata; None if there are many."""
    if not isinstance(score, SumsScore) or score.n == 0:
        return None
    labels = np.zeros(score.n) if strata is None else group_codes(strata, score.n)[0]
    table = np.column_stack((labels, score.columns))
    codes = np.zeros(score.n, dtype=np.intp)
    for column in table.T:
        # A look at the first rows saves sorting a column of measurements.
        if len(np.unique(column[: 4 * KINDS])) > KINDS:
            return None
        values, position = np.unique(column, return_inverse=True)
        _, first, codes = np.unique(
            codes * len(values) + position, return_index=True, return_inverse=True
        )
        if len(first) > KINDS:
            return None
    counts = np.bincount(codes).astype(np.float64)
    return SumsScore(score.columns[first], score.of_sums), counts, table[first, 0]


def _from_kinds(score: SumsScore, counts: Floats, labels: Floats, plan: Resampling) -> Floats:
    rng = np.random.default_rng(plan.seed)
    weights = np.empty((plan.resamples, len(counts)))
    for label in np.unique(labels):
        members = labels == label
        n = counts[members].sum()
        weights[:, members] = rng.multinomial(int(n), counts[members] / n, size=plan.resamples)
    return score.under(weights)
