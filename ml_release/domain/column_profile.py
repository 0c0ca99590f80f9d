"""How the values of a partition are spread, small enough to be kept beside its verdict.

A profile holds no rows: up to `POINTS` weighted values of a number column, and the words of a
category column with their counts. Profiles of several partitions add up to a reference without
reading the partitions again. A number column with more distinct values than `EXACT` is kept as
equally weighted quantiles, so that a share in it is off by less than 1 / `POINTS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from ml_release.domain.feature_bins import CATEGORY_BINS, FeatureBins
from ml_release.errors import IntegrityError

POINTS = 256
EXACT = 512
WORDS = 5000


class ColumnProfile(BaseModel):
    """The spread of one column.

    Attributes
    ----------
    values, weights
        Sorted distinct values (or quantiles) of a number column with the rows behind each.
    words
        Word to rows, the `WORDS` most frequent; None for a number column.
    other
        Rows with a word that is not among ``words``.
    missing
        Rows without a value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    words: Mapping[str, int] | None = None
    other: int = 0
    missing: int = 0

    @property
    def known(self) -> int:
        """Rows with a value."""
        if self.words is not None:
            return sum(self.words.values()) + self.other
        return round(sum(self.weights))

    @property
    def varies(self) -> bool:
        """Whether at least two different values occur."""
        distinct = len(self.values if self.words is None else self.words)
        return distinct + (self.other > 0) > 1


class PartitionProfile(BaseModel):
    """The spread of every column of one partition, and of its labels.

    ``snapshot_digest`` is that of the rows it was counted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: str
    snapshot_digest: str
    columns: Mapping[str, ColumnProfile]
    positives: int
    labelled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnShares:
    """Shares of rows per bin of one column, shape (bins,), the last one missing values.

    ``reference`` is None where there is nothing to compare with.
    """

    column: str
    current: npt.NDArray[np.float64]
    reference: npt.NDArray[np.float64] | None


def partition_profile_from_json(content: bytes) -> PartitionProfile:
    """Read a profile back; `IntegrityError` if it is none."""
    try:
        return PartitionProfile.model_validate_json(content)
    except ValidationError as error:
        message = f"partition profile: expected a recorded profile, found something else ({error})"
        raise IntegrityError(message) from error


def profile_numbers(numbers: npt.NDArray[np.number]) -> ColumnProfile:
    """The spread of a number column of shape (n,), NaN for missing."""
    known = numbers[np.isfinite(numbers)]
    missing = len(numbers) - len(known)
    if not len(known):
        return ColumnProfile(missing=missing)
    # Sorted once, in place: of millions of rows each further copy is a column of the table.
    known.sort()
    starts = np.append(True, known[1:] != known[:-1])
    if np.count_nonzero(starts) > EXACT:
        middles = (np.arange(POINTS) + 0.5) / POINTS
        # The inverse of the empirical distribution, Hyndman and Fan (1996) definition 1.
        points = known[np.ceil(len(known) * middles).astype(np.int64) - 1]
        values, times = np.unique(points, return_counts=True)
        weights = times.astype(np.float64) * (len(known) / POINTS)
    else:
        places = np.flatnonzero(starts)
        values = known[places]
        weights = np.diff(places, append=len(known)).astype(np.float64)
    return ColumnProfile(
        values=tuple(float(value) for value in values),
        weights=tuple(float(weight) for weight in weights),
        missing=missing,
    )


def profile_words(counts: Mapping[str, int], *, missing: int) -> ColumnProfile:
    """The spread of a category column from the rows of each word."""
    kept = sorted(counts, key=lambda word: (-counts[word], word))[:WORDS]
    words = {word: counts[word] for word in kept}
    return ColumnProfile(
        words=words, other=sum(counts.values()) - sum(words.values()), missing=missing
    )


def reference_bins(profiles: Sequence[ColumnProfile]) -> FeatureBins:
    """Bins frozen on several partitions together, as `fit_profile` would on their rows."""
    if any(profile.words is not None for profile in profiles):
        total: Counter[str] = Counter()
        for profile in profiles:
            total.update(profile.words or {})
        top = sorted(total, key=lambda word: (-total[word], word))[:CATEGORY_BINS]
        return FeatureBins(words=tuple(top))
    values = np.concatenate([np.array(profile.values) for profile in profiles])
    weights = np.concatenate([np.array(profile.weights) for profile in profiles])
    if not len(values):
        return FeatureBins(edges=())
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    wanted = np.searchsorted(share, np.arange(1, 10) / 10 - 1e-12)
    edges = np.unique(values[order][np.minimum(wanted, len(values) - 1)])
    return FeatureBins(edges=tuple(float(edge) for edge in edges))


def counts_in(bins: FeatureBins, profile: ColumnProfile) -> npt.NDArray[np.int64]:
    """Rows of a profile per bin, shape (bins.size,)."""
    counts = np.zeros(bins.size)
    counts[-1] = profile.missing
    if bins.words is not None:
        place = {word: position for position, word in enumerate(bins.words)}
        counts[len(bins.words)] = profile.other
        for word, rows in (profile.words or {}).items():
            counts[place.get(word, len(bins.words))] += rows
    elif profile.values:
        positions = np.searchsorted(np.array(bins.edges or ()), np.array(profile.values))
        counts += np.bincount(positions, weights=np.array(profile.weights), minlength=bins.size)
    return np.rint(counts).astype(np.int64)


def shares_of(
    current: PartitionProfile, references: Sequence[PartitionProfile]
) -> tuple[ColumnShares, ...]:
    """Every column of a partition beside its reference, over the bins of the reference."""
    found = []
    for name, column in current.columns.items():
        others = [r.columns[name] for r in references if name in r.columns]
        bins = reference_bins(others or [column])
        total = sum((counts_in(bins, other) for other in others), np.zeros(bins.size))
        counts = counts_in(bins, column)
        found.append(
            ColumnShares(
                column=name,
                current=counts / max(1, counts.sum()),
                reference=total / total.sum() if total.sum() else None,
            )
        )
    return tuple(found)
