"""The bands a line declares for what monitoring leads to."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DecisionPolicy(BaseModel):
    """The bands of the decision. A number is held by the kind end of its interval, never alone.

    Attributes
    ----------
    retrain_drop, roll_back_drop
        AUC lost since the release from which on a retraining, or a rollback of a young version, is
        what follows.
    retrain_loss_rise, roll_back_loss_rise
        The same of the log loss, in nats.
    retrain_cost_rise, roll_back_cost_rise
        The same of the declared cost per 1000 answers; None: it has no say.
    young_days
        A version is suspected itself for so many days after it took all traffic. Of an older one
        the world is suspected, and an even older version would do no better.
    hurting_features
        Features that have to be shifted and hurting before drift alone asks for a retraining; fewer
        are watched.
    drift_loss_change
        Expected loss, in nats a row, below which a hurting shift is watched only.
    error_rate_limit
        Share of answers that may fail.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    retrain_drop: Annotated[float, Field(gt=0, lt=1)] = 0.02
    roll_back_drop: Annotated[float, Field(gt=0, lt=1)] = 0.10
    retrain_loss_rise: Annotated[float, Field(gt=0)] = 0.05
    roll_back_loss_rise: Annotated[float, Field(gt=0)] = 0.20
    retrain_cost_rise: Annotated[float, Field(gt=0)] | None = None
    roll_back_cost_rise: Annotated[float, Field(gt=0)] | None = None
    young_days: Annotated[float, Field(ge=0)] = 14.0
    hurting_features: Annotated[int, Field(ge=1)] = 1
    drift_loss_change: Annotated[float, Field(ge=0)] = 0.0
    error_rate_limit: Annotated[float, Field(ge=0, lt=1)] = 0.02

    @model_validator(mode="after")
    def _bands_are_in_order(self) -> Self:
        wrong = [
            f"expected roll_back_{name} of at least retrain_{name}, found {late:g} below {early:g}"
            for name, early, late in (
                ("drop", self.retrain_drop, self.roll_back_drop),
                ("loss_rise", self.retrain_loss_rise, self.roll_back_loss_rise),
                ("cost_rise", self.retrain_cost_rise, self.roll_back_cost_rise),
            )
            if early is not None and late is not None and late < early
        ]
        if wrong:
            message = "; ".join(wrong)
            raise ValueError(message)
        return self
