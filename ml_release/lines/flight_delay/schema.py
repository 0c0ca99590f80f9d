"""What a snapshot of flights has to look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa


def build_schema() -> pa.DataFrameSchema:
    """The pandera schema: types, ranges and allowed values. Missing shares are policy.yaml's."""
    import numpy as np
    import pandera.pandas as pa

    def number(low: float, high: float, *, nullable: bool = True) -> pa.Column:
        return pa.Column(float, pa.Check.in_range(low, high), nullable=nullable)

    def humidity_agrees(rows: pd.DataFrame) -> bool:
        """Relative humidity by the Magnus formula (Alduchov and Eskridge 1996), within 10 points.

        Temperature and dew point are rounded, and some stations report at other minutes of the
        hour: it has to hold for 95 % of the rows (99 % and more in every month of 2013).
        """
        celsius = (rows[["temp", "dewp"]] - 32) / 1.8
        pressure = np.exp(17.625 * celsius / (243.04 + celsius))
        gap = (100 * pressure["dewp"] / pressure["temp"] - rows["humid"]).abs().dropna()
        return gap.empty or bool((gap <= 10).mean() >= 0.95)  # noqa: PLR2004 (see above)

    def dew_point_is_below_temperature(rows: pd.DataFrame) -> pd.Series:
        return ~(rows["dewp"] > rows["temp"])

    def gusts_exceed_wind(rows: pd.DataFrame) -> pd.Series:
        return ~(rows["wind_gust"] < rows["wind_speed"])

    return pa.DataFrameSchema(
        {
            "scheduled_departure_utc": pa.Column("datetime64[us, UTC]"),
            "scheduled_departure": pa.Column("datetime64[us]"),
            "scheduled_arrival_minute": number(0, 1439),
            "carrier": pa.Column(str, pa.Check.str_matches(r"^[A-Z0-9]{2}$"), nullable=True),
            "flight": pa.Column(
                int, pa.Check.in_range(1, 9999), description="number the airline gave the flight"
            ),
            "tailnum": pa.Column(str, nullable=True, description="registration of the aircraft"),
            "origin": pa.Column(str, pa.Check.isin(["EWR", "JFK", "LGA"])),
            "dest": pa.Column(str, pa.Check.str_matches(r"^[A-Z]{3}$"), nullable=True),
            "distance": number(10, 6000),
            "temp": number(-30, 120),
            "dewp": number(-50, 90),
            "humid": number(0, 100),
            "wind_dir": number(0, 360),
            "wind_speed": number(0, 150),
            "wind_gust": number(0, 200),
            "precip": number(0, 10),
            "pressure": number(940, 1060),
            "visib": number(0, 15),
            "is_late": pa.Column(float, pa.Check.isin([0.0, 1.0]), nullable=True),
        },
        # What holds between columns: a swap or another unit hides within the range of each.
        checks=[
            pa.Check(check, name=check.__name__, error=check.__name__)
            for check in (humidity_agrees, dew_point_is_below_temperature, gusts_exceed_wind)
        ],
        strict=True,
    )
