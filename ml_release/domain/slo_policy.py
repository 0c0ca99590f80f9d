"""What a line promises: objectives, the window they are held over, and when somebody is told."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.error_budget import BurnAlert
from ml_release.domain.identity import digest_of_json

SloName = Literal["availability", "latency", "correctness", "freshness", "fairness"]
Objective = Annotated[float, Field(gt=0, lt=1)]
"""Share of good events; 1 would leave no budget, and one bad event would stop every release."""


class _Policy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AvailabilitySlo(_Policy):
    """Share of requests that are answered, by whichever version or fallback."""

    objective: Objective = 0.995


class LatencySlo(_Policy):
    """Share of answered requests that take at most ``limit_ms``, as the endpoint measures them."""

    objective: Objective = 0.99
    limit_ms: Annotated[float, Field(gt=0)] = 250.0


class CorrectnessSlo(_Policy):
    """Share of days on which the window of matured answers that ends there scores well enough.

    Attributes
    ----------
    score, limit
        ``auc_score`` is to be at least, ``log_loss`` at most the limit.
    minimum_rows
        Labelled answers; a window with fewer is neither counted nor judged.
    """

    objective: Objective = 0.9
    score: Literal["auc_score", "log_loss"] = "auc_score"
    limit: Annotated[float, Field(gt=0)]
    minimum_rows: Annotated[int, Field(ge=2)] = 200

    def is_good(self, value: float) -> bool:
        """Whether a known score is good enough."""
        return value >= self.limit if self.score == "auc_score" else value <= self.limit


class FreshnessSlo(_Policy):
    """Share of requests answered by a model whose training data are not older than this.

    The age counts from the last day of those data to the event.
    """

    objective: Objective = 0.95
    maximum_age_days: Annotated[float, Field(gt=0)] = 60.0


class FairnessSlo(_Policy):
    """Share of days on which no fairness rule was seen broken."""

    objective: Objective = 0.9


ALERTS = (
    BurnAlert(level="page", long_hours=1, short_hours=1, budget_share=0.02),
    BurnAlert(level="page", long_hours=6, short_hours=1, budget_share=0.05),
    BurnAlert(level="ticket", long_hours=24, short_hours=2, budget_share=0.10),
    BurnAlert(level="ticket", long_hours=72, short_hours=6, budget_share=0.10),
)
"""Those of the workbook but for its short stretches below an hour: counts are hourly."""


class SloPolicy(_Policy):
    """What the endpoint of a line promises.

    Attributes
    ----------
    window_days
        The budget is that of so many days, back from the newest event.
    availability, latency, correctness, freshness, fairness
        None for what is not promised: it is shown as that and has no vote.
    alerts
        When a budget of requests burns too fast.
    minimum_requests
        A budget is known to be left from so many requests on; one of days from ``minimum_days``.
    minimum_alert_requests
        As much, for a stretch of an alert.
    idle_hours
        Where nothing came in for longer, nothing is said of the present.
    """

    window_days: Annotated[int, Field(ge=1, le=365)] = 28
    availability: AvailabilitySlo | None = Field(default_factory=AvailabilitySlo)
    latency: LatencySlo | None = Field(default_factory=LatencySlo)
    correctness: CorrectnessSlo | None = None
    freshness: FreshnessSlo | None = None
    fairness: FairnessSlo | None = None
    alerts: tuple[BurnAlert, ...] = ALERTS
    minimum_requests: Annotated[int, Field(ge=1)] = 1000
    minimum_alert_requests: Annotated[int, Field(ge=1)] = 10
    minimum_days: Annotated[int, Field(ge=1)] = 7
    idle_hours: Annotated[float, Field(gt=0)] = 24.0

    @model_validator(mode="after")
    def _fits_the_window(self) -> Self:
        hours = self.window_days * 24
        problems = [
            f"alerts: expected stretches of at most window_days = {self.window_days} days, found"
            f" {one.long_hours} hours"
            for one in self.alerts
            if one.long_hours > hours
        ]
        if self.minimum_days > self.window_days:
            problems.append(
                f"minimum_days: expected at most window_days = {self.window_days}, found"
                f" {self.minimum_days}"
            )
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    @property
    def digest(self) -> str:
        """Of its canonical form."""
        return digest_of_json(self.model_dump(mode="json"))
