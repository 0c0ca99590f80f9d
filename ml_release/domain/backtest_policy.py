"""How cheap the trial before a retraining is, and what it has to show."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class BacktestPolicy(BaseModel):
    """How cheap the trial is, and what it has to show.

    Attributes
    ----------
    test_days
        Newest days with matured labels, on which the models meet.
    minimum_rows
        Labelled test rows below which nothing can be told.
    maximum_rows
        Rows that each cheap model is fitted on at most, evenly spread over its window.
    maximum_iterations
        What a number of trees or iterations in the line's parameters is cut to.
    minimum_gain
        In the unit of the score, AUC or mean absolute error: what a retraining has to bring.
    old_margin
        Loss on the champion's own test window that is not worth a warning.
    confidence
        Two-sided, of every interval.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    test_days: Annotated[int, Field(ge=1)] = 14
    minimum_rows: Annotated[int, Field(ge=2)] = 500
    maximum_rows: Annotated[int, Field(ge=100)] = 20_000
    maximum_iterations: Annotated[int, Field(ge=1)] = 60
    minimum_gain: Annotated[float, Field(ge=0)] = 0.0
    old_margin: Annotated[float, Field(ge=0)] = 0.02
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
