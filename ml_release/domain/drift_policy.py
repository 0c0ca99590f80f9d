"""What a line declares of drift: how far is far, how often is often, what counts as harm."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class DriftPolicy(BaseModel):
    """When a shift of the inputs is called drift, and when drift is called harm.

    Attributes
    ----------
    psi_limit_nats
        Smallest adjusted PSI that can be called a shift.
    contiguous_factor
        The limit of a feature is at least this factor times the largest PSI that a window of the
        same number of days, inside the reference, had against the rest of it: neighbouring days
        are no random sample.
    calibration_windows
        So many windows the reference has to give for that; where it is too short for them, they
        are taken shorter.
    alpha
        Share of false ones among the shifts that are called significant (Benjamini and Hochberg
        over the features), and chance, shared among the features, that a stable window's expected
        loss lies above its limit.
    persistence_windows
        A shift counts once so many windows in a row, which share no day, show it.
    minimum_rows
        Fewer rows in the window are inconclusive.
    seasonal_lag_days
        How long ago the season was the same, as 364 or 365. The landed features of that time are a
        second reference then: a feature is stable if it is close to either. None: there is none.
    hurting_loss_change
        Smallest expected rise of the log loss that counts as harm, in nats per row.
    important_share
        A feature with at least this share of all importance is important.
    unknown_share_limit
        An important feature that has moved hurts if more than this share of its rows is where the
        reference has no evidence: unseen, missing where nothing was, beyond its range.
    weighted_psi_limit_nats
        A feature that has moved hurts if its importance times what its PSI has beyond its limit is
        above: so far out, what a margin alone would cost says little.
    missing_increase_limit
        Allowed increase of the share of missing values, as a fraction, at least; more where the
        reference's own windows show more.
    missing_increase_limits
        The same for single features.
    unseen_limit
        Allowed increase of the share of words that the reference did not hold, as a fraction.
    outside_limit
        Allowed share of numbers beyond the reference's smallest and largest, as a fraction.
    stuck_share_limit
        Largest share of rows in one bin that is no sign of a feature stuck at one value; more where
        the reference's own windows show more.
    muted
        Features that are shown but have no vote.
    seasonal
        Features whose values follow the season. Values beyond the reference's range are news of
        the season, not of a fault, unless their mean lies far beyond it; whether they hurt is
        judged like that of any other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    psi_limit_nats: Annotated[float, Field(gt=0)] = 0.1
    contiguous_factor: Annotated[float, Field(ge=1)] = 1.1
    calibration_windows: Annotated[int, Field(ge=2)] = 8
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    persistence_windows: Annotated[int, Field(ge=1)] = 2
    minimum_rows: Annotated[int, Field(ge=1)] = 1000
    seasonal_lag_days: Annotated[int, Field(ge=1)] | None = None
    hurting_loss_change: Annotated[float, Field(gt=0)] = 0.005
    important_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    unknown_share_limit: Share = 0.05
    weighted_psi_limit_nats: Annotated[float, Field(gt=0)] = 0.3
    missing_increase_limit: Share = 0.02
    missing_increase_limits: dict[str, Share] = Field(default_factory=dict)
    unseen_limit: Share = 0.02
    outside_limit: Share = 0.01
    stuck_share_limit: Annotated[float, Field(gt=0, le=1)] = 0.995
    muted: tuple[str, ...] = ()
    seasonal: tuple[str, ...] = ()
