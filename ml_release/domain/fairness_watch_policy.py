"""How wide a gap between groups may get over time, and what has to show that it is wider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.fairness import MEASURES


class FairnessWatchPolicy(BaseModel):
    """How served answers are held against the evaluation of the version that gives them.

    Attributes
    ----------
    window_days
        Days of matured answers in a window, back from the newest one.
    persistence_windows
        Disjoint windows, one after another, that have to show it.
    margin, margins
        How much wider than approved a gap may be, and by measure where it is another: of a
        difference how much larger, of a ratio how much smaller.
    minimum_rows
        Rows a group needs below the fraction line of a rate; smaller groups are named, not judged.
    slice_margin
        How much worse than at release a slice may score, in the unit of the primary score.
    slice_minimum_rows, slice_minimum_per_class
        Slices with fewer rows, or fewer of either class, are not judged.
    labelled_share_floor
        Of the matured answers of a window: with fewer labels nothing is said, since which ones
        are missing is no chance.
    alpha
        That any gap (or any slice) of a window is told to be worse when none is.
    confidence
        Of the intervals shown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window_days: Annotated[int, Field(ge=2, le=366)] = 14
    persistence_windows: Annotated[int, Field(ge=1, le=12)] = 2
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.05
    margins: Mapping[str, Annotated[float, Field(ge=0, lt=1)]] = Field(default_factory=dict)
    minimum_rows: Annotated[int, Field(ge=1)] = 200
    slice_margin: Annotated[float, Field(ge=0)] = 0.05
    slice_minimum_rows: Annotated[int, Field(ge=2)] = 500
    slice_minimum_per_class: Annotated[int, Field(ge=1)] = 30
    labelled_share_floor: Annotated[float, Field(ge=0, le=1)] = 0.8
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.01
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: int = 20130401

    @model_validator(mode="after")
    def _measures_are_known(self) -> Self:
        unknown = sorted(set(self.margins) - set(MEASURES))
        if unknown:
            message = f"fairness margins: expected measures of {sorted(MEASURES)}, found {unknown}"
            raise ValueError(message)
        return self

    def limit_of(self, measure: str, baseline: float) -> float:
        """The most a difference, the least a ratio may be in a window."""
        margin = self.margins.get(measure, self.margin)
        return baseline - margin if MEASURES[measure][0] == "ratio" else baseline + margin
