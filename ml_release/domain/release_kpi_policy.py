"""Over which time releases are counted, and which values of their indicators are good ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.identity import digest_of_json

KpiName = Literal[
    "lead_time_hours",
    "deployments_per_week",
    "change_failure_rate",
    "time_to_restore_minutes",
    "drift_reaction_hours",
    "rebuildable_share",
    "cost_per_1000_predictions",
]
Limit = Annotated[float, Field(ge=0)]


class KpiPolicy(BaseModel):
    """Over which time releases are counted, and which values are good ones.

    Attributes
    ----------
    days
        Back from now.
    price_per_core_hour, currency
        What one hour of one core costs; without a price no cost is known.
    cores
        That the endpoint keeps for this line, busy or not.
    limits
        By name of the KPI; without one it is shown only.
    minimum_releases
        A rate of fewer is not judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    days: Annotated[int, Field(ge=1)] = 90
    price_per_core_hour: Annotated[float, Field(gt=0)] | None = None
    currency: str = "EUR"
    cores: Annotated[float, Field(gt=0)] = 1.0
    limits: Mapping[KpiName, Limit] = {
        "lead_time_hours": 336.0,
        "change_failure_rate": 0.3,
        "time_to_restore_minutes": 60.0,
        "drift_reaction_hours": 336.0,
        "rebuildable_share": 1.0,
    }
    minimum_releases: Annotated[int, Field(ge=1)] = 3

    @property
    def digest(self) -> str:
        """Of its canonical form."""
        return digest_of_json(self.model_dump(mode="json"))
