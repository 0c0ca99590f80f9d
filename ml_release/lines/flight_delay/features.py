"""From landed flights and weather to what is known before departure, and the features of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.features import Calendar, Category, Feature, History, Number

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

LATE_AFTER_MINUTES = 30
_WEATHER = (
    "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib",
)  # fmt: skip

FEATURES: tuple[Feature, ...] = (
    Calendar(
        name="departure_minute",
        column="scheduled_departure",
        part="minute_of_day",
        description="scheduled departure, minutes since local midnight",
    ),
    Calendar(
        name="weekday",
        column="scheduled_departure",
        part="weekday",
        description="Monday 0 to Sunday 6",
    ),
    Number(
        name="arrival_minute",
        column="scheduled_arrival_minute",
        description="scheduled arrival, minutes since local midnight at the destination",
    ),
    Category(name="carrier", column="carrier", description="IATA code of the airline"),
    Category(name="origin", column="origin", description="EWR, JFK or LGA"),
    Category(name="dest", column="dest", description="IATA code of the destination"),
    Number(name="distance", column="distance", description="miles"),
    Number(name="temp", column="temp", description="degrees Fahrenheit at the origin"),
    Number(name="dewp", column="dewp", description="dew point, degrees Fahrenheit"),
    Number(name="humid", column="humid", description="relative humidity, percent"),
    Number(name="wind_dir", column="wind_dir", description="degrees"),
    Number(name="wind_speed", column="wind_speed", description="miles per hour"),
    Number(name="wind_gust", column="wind_gust", description="miles per hour; mostly missing"),
    Number(name="precip", column="precip", description="inches in the hour"),
    Number(name="pressure", column="pressure", description="millibars"),
    Number(name="visib", column="visib", description="visibility, miles"),
    History(
        name="carrier_late_rate",
        keys=("carrier",),
        window_days=28,
        description="share of the carrier's flights that were late in the 28 days before",
    ),
    History(
        name="route_late_rate",
        keys=("origin", "dest"),
        window_days=28,
        description="share of the route's flights that were late in the 28 days before",
    ),
)

COLUMN_SOURCES: Mapping[str, tuple[str, ...]] = {
    "scheduled_departure_utc": ("rows.time_hour", "rows.minute"),
    "scheduled_departure": ("rows.year", "rows.month", "rows.day", "rows.hour", "rows.minute"),
    "scheduled_arrival_minute": ("rows.sched_arr_time",),
    **{
        column: (f"rows.{column}",)
        for column in ("carrier", "flight", "tailnum", "origin", "dest", "distance")
    },
    **{column: (f"weather.{column}",) for column in _WEATHER},
    "is_late": ("rows.arr_delay",),
}
"""The landed columns that `assemble` makes each column of."""


def assemble(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Join flights with the weather at the origin in the hour of scheduled departure.

    Columns known only after departure (dep_time, dep_delay, arr_time, air_time) end here: the label
    is made of arr_delay and nothing else of them goes on. A cancelled or diverted flight has no
    arrival delay, so its label is missing.
    """
    import numpy as np
    import pandas as pd

    flights, weather = tables["rows"], tables["weather"]
    # The local hour as well as the instant: weather whose two times disagree joins with nothing.
    hour = ["origin", "time_hour", "year", "month", "day", "hour"]
    joined = flights.merge(
        weather[[*hour, *_WEATHER]],
        on=hour,
        how="left",
        validate="many_to_one",
    )
    minute = pd.to_timedelta(joined["minute"], unit="min")
    local = pd.to_datetime(joined[["year", "month", "day", "hour"]]).astype("datetime64[us]")
    arrival = joined["sched_arr_time"].astype(float)
    delay = joined["arr_delay"].astype(float)
    rows = pd.DataFrame(
        {
            "scheduled_departure_utc": (
                pd.to_datetime(joined["time_hour"], utc=True).astype("datetime64[us, UTC]") + minute
            ).astype("datetime64[us, UTC]"),
            "scheduled_departure": (local + minute).astype("datetime64[us]"),
            # hhmm to minutes; 2400 is midnight.
            "scheduled_arrival_minute": (arrival // 100 * 60 + arrival % 100) % 1440,
            "carrier": joined["carrier"],
            "flight": joined["flight"].astype("int64"),
            "tailnum": joined["tailnum"],
            "origin": joined["origin"],
            "dest": joined["dest"],
            "distance": joined["distance"].astype(float),
            **{column: joined[column].astype(float) for column in _WEATHER},
            "is_late": np.where(delay.isna(), np.nan, (delay > LATE_AFTER_MINUTES).astype(float)),
        }
    )
    return rows.sort_values(
        ["scheduled_departure_utc", "carrier", "flight", "origin"], kind="stable", ignore_index=True
    )
