"""When the realised performance of a served model is called worse than it was released with."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.adwin import AdwinPolicy
from ml_release.domain.page_hinkley import PageHinkleyPolicy


class ChangePolicy(BaseModel):
    """How a change of the errors is looked for.

    Attributes
    ----------
    unit
        What is one value: the mean error of a ``day``, or that of each ``row``. Both detectors take
        values as independent, which rows of one day are not: on the flights of 2013 ADWIN cries
        change 226 times in 292 days of rows.
    page_hinkley
        Its ``delta`` and ``threshold`` are squared errors (Brier), 0 to 1.
    adwin
        Its values are errors over ``adwin_range``.
    adwin_range
        Between the least and the greatest error to expect of one value. ADWIN's bound is for values
        within a range of 1, and blind where they fill a tenth of it.
    settled_share
        Share of a day's answers whose label has to be known before the day counts.
    patience_days
        A day that is not settled holds up those after it for so long, then it is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    unit: Literal["day", "row"] = "day"
    page_hinkley: PageHinkleyPolicy = PageHinkleyPolicy(minimum_values=7, delta=0.02, threshold=0.8)
    adwin: AdwinPolicy = AdwinPolicy(delta=0.05, clock=1, minimum_part=7)
    adwin_range: Annotated[float, Field(gt=0, le=1)] = 0.3
    settled_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    patience_days: Annotated[int, Field(ge=1)] = 7


class PerformancePolicy(BaseModel):
    """What is asked of answers whose labels are in.

    Attributes
    ----------
    window_days
        Scores are over so many days, back from the newest one with a label that is due.
    keep_days
        Answers and labels are kept for so many days of event time.
    minimum_rows, minimum_days
        Fewer labelled answers, or days with any, are inconclusive.
    confidence
        Two-sided, of the intervals over days.
    auc_margin, log_loss_margin
        How much worse than at release is acceptable.
    calibration_excess_limit
        Largest expected calibration error beyond what chance gives, a probability.
    in_the_large_limit
        Largest distance between mean probability and rate of positives.
    agreement_margin
        How far the estimated scores may be from the realised ones on the same rows.
    bias_limit
        How far labelled answers may be from all answers: in the rate of positives for early
        labels, in the mean probability for answers whose label never came.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window_days: Annotated[int, Field(ge=2)] = 28
    keep_days: Annotated[int, Field(ge=30)] = 400
    minimum_rows: Annotated[int, Field(ge=2)] = 1000
    minimum_days: Annotated[int, Field(ge=2)] = 7
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    auc_margin: Annotated[float, Field(ge=0, le=1)] = 0.03
    log_loss_margin: Annotated[float, Field(ge=0)] = 0.03
    calibration_excess_limit: Annotated[float, Field(ge=0, le=1)] = 0.05
    in_the_large_limit: Annotated[float, Field(ge=0, le=1)] = 0.05
    agreement_margin: Annotated[float, Field(ge=0, le=1)] = 0.05
    bias_limit: Annotated[float, Field(ge=0, le=1)] = 0.02
    changes: ChangePolicy = ChangePolicy()

    @model_validator(mode="after")
    def _keeps_a_window(self) -> Self:
        if self.keep_days < self.window_days:
            message = (
                f"keep_days: expected at least window_days, {self.window_days}, found"
                f" {self.keep_days}"
            )
            raise ValueError(message)
        return self
