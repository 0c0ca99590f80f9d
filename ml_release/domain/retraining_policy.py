"""When a line lets a retraining be asked for, and how often."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.backtest_policy import BacktestPolicy


class RetrainingPolicy(BaseModel):
    """When a retraining may be asked for; days are days of event time, hours are of the wall.

    Attributes
    ----------
    labels_needed
        New labels since their number last asked.
    cooldown_days
        Between two requests of the same trigger.
    budget, budget_days
        Requests of all triggers together in so many days. Those that the backtest has turned down
        do not count: they cost next to nothing.
    kept_back
        Of the budget, for a loss of skill and for drift that has stood ``persistence_days``.
    persistence_days
        For so long a trigger has to stand before it asks again about a champion that it has asked
        about before.
    quiet_hours
        After a rollback nothing is asked for: what was measured is of the version that is gone.
    longest_run_hours
        A request that has not ended after this time is taken for lost.
    release_hold_days
        A version on its way to production is waited for, so long.
    broken_runs
        How often the same data and champion are tried again after a run broke.
    maximum_age_days
        Age of the newest data the champion has learned from beyond which it is stale; None: never.
    on_new_partition
        Whether every partition whose labels have matured asks.
    schedule
        When the calendar asks, as cron in the line's time zone; None: never.
    backtest
        Of the cheap trial that goes before a retraining.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    labels_needed: Annotated[int, Field(ge=1)] = 20_000
    cooldown_days: Annotated[int, Field(ge=0)] = 7
    budget: Annotated[int, Field(ge=1)] = 2
    budget_days: Annotated[int, Field(ge=1)] = 7
    kept_back: Annotated[int, Field(ge=0)] = 1
    persistence_days: Annotated[int, Field(ge=0)] = 3
    quiet_hours: Annotated[float, Field(ge=0)] = 24.0
    longest_run_hours: Annotated[float, Field(gt=0)] = 12.0
    release_hold_days: Annotated[float, Field(ge=0)] = 14.0
    broken_runs: Annotated[int, Field(ge=1)] = 2
    maximum_age_days: Annotated[int, Field(ge=1)] | None = None
    on_new_partition: bool = False
    schedule: str | None = None
    backtest: BacktestPolicy = Field(default_factory=BacktestPolicy)
