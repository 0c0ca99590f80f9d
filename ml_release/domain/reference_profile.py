"""The reference a model version carries: frozen bins, and the counts of its training window by day.

A profile holds counts per day and bin, never rows: any window is a sum of days. Of the holdout,
which the model was not fitted on, it says how the scores were spread and what every bin cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.feature_bins import FeatureBins, fit_bins
from ml_release.domain.identity import digest_of_json
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from ml_release.domain.features import Columns


SCORE = "(score)"
"""What the model's own answer is called among the features; no feature can have this name."""

Table = tuple[tuple[int, ...], ...]


class NumberFacts(BaseModel):
    """The finite values of one numeric feature; missing and infinite ones are left out.

    Attributes
    ----------
    n
        Finite values.
    mean, sd, minimum, maximum
        Of them, in the unit of the feature; ``sd`` divides by n. None without any, and where a sum
        of them is beyond what a float holds.
    outside
        Of a later window: values below the reference's minimum or above its maximum, infinite ones
        included. 0 in the reference itself, and where the reference knows no range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n: int
    mean: float | None
    sd: float | None
    minimum: float | None
    maximum: float | None
    outside: int = 0


class ScoreReference(BaseModel):
    """How the model's answers on the holdout were spread: what it was not fitted on.

    Attributes
    ----------
    bins
        The unique 5 % to 95 % quantiles of the answers, with open ends.
    days
        ISO dates of the holdout in order, one per row of ``counts``.
    counts
        Answers per day and bin, shape (days, bins).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: FeatureBins
    days: tuple[str, ...]
    counts: Table

    def table(self) -> npt.NDArray[np.int64]:
        """Counts of shape (days, bins)."""
        shape = (len(self.days), self.bins.size)
        return np.array(self.counts, dtype=np.int64).reshape(shape)


class BinOutcomes(BaseModel):
    """What the labelled rows of the holdout were, per bin of one feature or of the score.

    Attributes
    ----------
    rows
        Rows per bin; every field is of shape (bins,).
    scores, labels
        Sums of the predicted probabilities and of the labels.
    loss, loss_squares
        Sums of the log loss of a row in nats, and of its square.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rows: tuple[int, ...]
    scores: tuple[float, ...]
    labels: tuple[float, ...]
    loss: tuple[float, ...]
    loss_squares: tuple[float, ...]


class ReferenceProfile(BaseModel):
    """Counts of the reference window per feature, day and bin.

    What was added later has a default, so that the profile of an older model still reads; empty
    means that it is not known.

    Attributes
    ----------
    days
        ISO dates in order, one per row of each count table.
    counts
        Per feature a table of shape (days, bins).
    numbers
        Per numeric feature what its values were; none of a feature that is masked.
    score
        The answers on the holdout.
    holdout
        Per feature, and under `SCORE`, what the rows of the holdout were by bin; empty for a model
        whose answer is no probability.
    holdout_days
        Per feature the labelled rows of the holdout per day (those of ``score``) and bin.
    importance
        Per feature the share of the model's variation that it explains by itself, adding up to 1:
        see `ml_release.domain.holdout_profile`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: dict[str, FeatureBins]
    days: tuple[str, ...]
    counts: dict[str, Table]
    numbers: dict[str, NumberFacts] = Field(default_factory=dict)
    score: ScoreReference | None = None
    holdout: dict[str, BinOutcomes] = Field(default_factory=dict)
    holdout_days: dict[str, Table] = Field(default_factory=dict)
    importance: dict[str, float] = Field(default_factory=dict)

    def table(self, feature: str) -> npt.NDArray[np.int64]:
        """Counts of one feature, shape (days, bins)."""
        shape = (len(self.days), self.bins[feature].size)
        return np.array(self.counts[feature], dtype=np.int64).reshape(shape)

    @property
    def digest(self) -> str:
        """Digest of the whole profile."""
        return digest_of_json(self.model_dump(mode="json"))


def profile_from_json(content: bytes) -> ReferenceProfile:
    """Read a reference profile back; `IntegrityError` if it is none."""
    try:
        return ReferenceProfile.model_validate_json(content)
    except ValidationError as error:
        message = f"reference profile: expected a recorded profile, found something else ({error})"
        raise IntegrityError(message) from error


def fit_profile(
    values: Columns, days: npt.NDArray[np.datetime64], *, masked: frozenset[str] = frozenset()
) -> ReferenceProfile:
    """Freeze the bins on the reference window and count it per day.

    Parameters
    ----------
    values
        Readable feature values of shape (n,): float64, or object of str or None.
    days
        Day of each row, shape (n,).
    masked
        Features whose values the log does not know: nothing of them is ever compared with the
        range of the reference, so it is not told.
    """
    unique_days, day_of_row = np.unique(days.astype("datetime64[D]"), return_inverse=True)
    bins = {name: fit_bins(column) for name, column in values.items()}
    return ReferenceProfile(
        bins=bins,
        days=tuple(str(day) for day in unique_days),
        counts={
            name: as_table(bins[name].count_by(day_of_row, column, groups=len(unique_days)))
            for name, column in values.items()
        },
        numbers={
            name: number_facts(column.astype(np.float64, copy=False))
            for name, column in values.items()
            if column.dtype != object and name not in masked
        },
    )


def number_facts(values: npt.NDArray[np.float64]) -> NumberFacts:
    """What some numbers were, NaN for missing; rounded to nine digits.

    >>> number_facts(np.array([1.0, np.nan, 3.0]))
    NumberFacts(n=2, mean=2.0, sd=1.0, minimum=1.0, maximum=3.0, outside=0)
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return NumberFacts(n=0, mean=None, sd=None, minimum=None, maximum=None)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, sd = float(finite.mean()), float(finite.std())
    return NumberFacts(
        n=len(finite),
        mean=rounded(mean) if np.isfinite(mean) else None,
        sd=rounded(sd) if np.isfinite(sd) else None,
        # Not rounded: a value would be outside of the range it belongs to.
        minimum=float(finite.min()),
        maximum=float(finite.max()),
    )


def as_table(counts: npt.NDArray[np.int64]) -> Table:
    """Counts of shape (days, bins) in the form that is kept."""
    return tuple(tuple(row) for row in counts.tolist())


def rounded(value: float) -> float:
    """Nine digits: the last ones differ from machine to machine, and the profile has a digest.

    >>> rounded(2 / 3)
    0.666666667
    """
    return float(f"{value:.9g}")
