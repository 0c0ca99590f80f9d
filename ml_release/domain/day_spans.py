"""Spans of days: which days a declaration or a record names, and which days a model never saw."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from ml_release.domain.provenance import CandidateRecord

    Days = npt.NDArray[np.datetime64]
    Mask = npt.NDArray[np.bool_]


class DaySpan(BaseModel):
    """Days from ``first_day`` to ``last_day``, both included; ``from`` and ``to`` in YAML.

    >>> span = DaySpan(first_day=date(2013, 2, 8), last_day=date(2013, 2, 9))
    >>> span.holds(np.arange("2013-02-07", "2013-02-11", dtype="datetime64[D]")).tolist()
    [False, True, True, False]
    >>> str(span)
    '2013-02-08 to 2013-02-09'
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )

    first_day: date = Field(alias="from")
    last_day: date = Field(alias="to")

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.last_day < self.first_day:
            message = f"to: expected {self.first_day} or later, found {self.last_day}"
            raise ValueError(message)
        return self

    def holds(self, days: Days) -> Mask:
        """Of each day, shape (n,), whether it belongs to the span."""
        return (days >= np.datetime64(self.first_day)) & (days <= np.datetime64(self.last_day))

    def __str__(self) -> str:
        """Both ends as ISO days."""
        return f"{self.first_day} to {self.last_day}"


def held_by_any(spans: Iterable[DaySpan], days: Days) -> Mask:
    """Of each day, shape (n,), whether it belongs to one of the spans; of none it does not."""
    found = np.zeros(len(days), dtype=np.bool_)
    for span in spans:
        found |= span.holds(days)
    return found


def unseen_days(record: CandidateRecord, days: Days) -> Mask:
    """Of each day, shape (n,), whether the record shows that the model was not fitted on it.

    Those are the days before its window, those from its holdout on, and those of the spans that
    its training kept out. Neither its search nor its calibration saw them.
    """
    outside = (days < np.datetime64(record.window_from)) | (
        days >= np.datetime64(record.holdout_from)
    )
    return outside | held_by_any(record.kept_out.values(), days)
