"""The reference a model version carries: frozen bins, and the counts of its training window by day.

A profile holds counts per day and bin, never rows: any window is a sum of days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from ml_release.domain.feature_bins import FeatureBins, fit_bins
from ml_release.domain.identity import digest_of_json
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from ml_release.domain.features import Columns


class ReferenceProfile(BaseModel):
    """Counts of the reference window per feature, day and bin.

    Attributes
    ----------
    days
        ISO dates in order, one per row of each count table.
    counts
        Per feature a table of shape (days, bins).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: dict[str, FeatureBins]
    days: tuple[str, ...]
    counts: dict[str, tuple[tuple[int, ...], ...]]

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


def fit_profile(values: Columns, days: npt.NDArray[np.datetime64]) -> ReferenceProfile:
    """Freeze the bins on the reference window and count it per day.

    Parameters
    ----------
    values
        Readable feature values of shape (n,): float64, or object of str or None.
    days
        Day of each row, shape (n,).
    """
    unique_days, day_of_row = np.unique(days.astype("datetime64[D]"), return_inverse=True)
    bins = {name: fit_bins(column) for name, column in values.items()}
    counts = {
        name: tuple(
            tuple(int(c) for c in bins[name].count(column[day_of_row == day]))
            for day in range(len(unique_days))
        )
        for name, column in values.items()
    }
    return ReferenceProfile(bins=bins, days=tuple(str(day) for day in unique_days), counts=counts)
