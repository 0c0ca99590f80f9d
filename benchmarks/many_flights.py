"""Flights as the real ones look, as many as wanted; the line of data_gates.py that they keep.

Twenty columns: two times, five of words (up to 4,000 of them, one column with gaps), the label, and
twelve numbers, some with few values and some with as many as rows, with gaps as in the real ones.
Seeded: the same partition and size give the same rows. The line is flight_delay, with its own
limits but for the number of rows, and with its schema but for two things: the column ``aircraft``,
and the check of the humidity, whose means are taken on whole columns of its own (data_gates.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml_release.lines.flight_delay.line import LINE
from ml_release.lines.flight_delay.schema import build_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandera.pandas as pa

    from ml_release.spec.release_line import ReleaseLine

    Floats = npt.NDArray[Any]

PARTITION = "2013-04"
OTHERS = ("2013-01", "2013-02", "2013-05")
"""Months without a change of clocks, so that no local time is missing or there twice."""

CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "MQ", "UA", "US", "VX", "WN", "YV"]
MINUTES_PER_DAY = 24 * 60


def schema() -> pa.DataFrameSchema:
    """The schema of flight_delay with one column more, and without the check of the humidity."""
    import pandera.pandas as pa

    found = build_schema().add_columns({"aircraft": pa.Column(str)})
    found.checks = [check for check in found.checks if check.name != "humidity_agrees"]
    return found


def rows_alone(tables: Mapping[str, Any]) -> pd.DataFrame:
    """The landed rows hold the weather already."""
    found: pd.DataFrame = tables["rows"]
    return found


def line_for(rows: int) -> ReleaseLine:
    """The release line for partitions of about that many rows."""
    gates = LINE.policies.data_gates.model_copy(
        update={"minimum_rows": rows // 2, "maximum_rows": 2 * rows}
    )
    return LINE.model_copy(
        update={
            "landing": LINE.landing.model_copy(update={"companions": {}}),
            "assemble": rows_alone,
            "schema_of": schema,
            "policies": LINE.policies.model_copy(update={"data_gates": gates}),
        }
    )


def flights(partition: str, rows: int) -> pd.DataFrame:
    """Flights of one month, in the order of their departures; keys are unique."""
    generator = np.random.default_rng([int(part) for part in partition.split("-")])
    month = np.datetime64(partition, "M")
    start, end = month.astype("datetime64[m]"), (month + 1).astype("datetime64[m]")
    # Sorted, evenly over the month; flights of one minute differ in their number.
    minute = np.arange(rows) * int((end - start).astype(int)) // rows
    local = pd.Series((start + minute.astype("timedelta64[m]")).astype("datetime64[us]"))
    per_minute = int(np.bincount(minute).max())
    step = 9999 // per_minute
    order = np.arange(rows) - np.searchsorted(minute, minute)

    def drawn_share(share: float) -> Any:  # noqa: ANN401 (an array of booleans)
        return generator.random(rows) < share

    def words(choice: list[str], *, missing: float = 0.0) -> tuple[Floats, Floats]:
        drawn = generator.integers(0, len(choice), rows)
        column = np.array(choice, dtype=object)[drawn]
        column[drawn_share(missing)] = None
        return drawn, column

    # A flight without weather misses all of it.
    no_weather = drawn_share(0.01)

    def weather(values: Floats, *, missing: float = 0.0) -> Floats:
        return np.where(no_weather | drawn_share(missing), np.nan, values)

    carrier, carriers = words(CARRIERS)
    destination, destinations = words(
        [f"{first}{second}X" for first in "ABCDE" for second in "ABCDEFGHIJKLMNOPQRSTU"]
    )
    temperature = 55 + 9 * generator.standard_normal(rows).clip(-4, 4)
    dew_point = temperature - 2 - generator.gamma(2, 6, rows).clip(0, 60)
    # Both are measured in whole knots, which a gate looks for.
    knots = np.round(generator.gamma(3, 3.5, rows).clip(0, 60))
    wind = knots * 1.15078
    gusts = (knots + 4 + generator.integers(0, 20, rows)) * 1.15078
    rain = np.where(drawn_share(0.9), 0, generator.integers(1, 50, rows) / 100)
    strain = 0.05 * (carrier - 8) + 0.6 * (minute % MINUTES_PER_DAY) / MINUTES_PER_DAY
    risk = 1 / (1 + np.exp(2.2 - strain - 0.004 * (temperature - 55)))
    late = (generator.random(rows) < risk).astype(np.float64)
    late[drawn_share(0.03)] = np.nan
    return pd.DataFrame(
        {
            "scheduled_departure_utc": local.dt.tz_localize("America/New_York").dt.tz_convert(
                "UTC"
            ),
            "scheduled_departure": local,
            "scheduled_arrival_minute": generator.integers(0, MINUTES_PER_DAY, rows).astype(float),
            "carrier": carriers,
            "flight": 1 + order * step + generator.integers(0, step, rows),
            "tailnum": words([f"N{number}JB" for number in range(1000, 5000)], missing=0.01)[1],
            "origin": words(["EWR", "JFK", "LGA"])[1],
            "dest": destinations,
            "aircraft": words([f"type {number}" for number in range(30)])[1],
            "distance": np.linspace(94, 2500, 105).round()[destination],
            "temp": weather(temperature),
            "dewp": weather(dew_point),
            "humid": weather((100 - 2.5 * (temperature - dew_point)).clip(5, 100)),
            "wind_dir": weather(generator.integers(0, 37, rows) * 10.0, missing=0.03),
            "wind_speed": weather(wind),
            "wind_gust": weather(gusts, missing=0.75),
            "precip": weather(rain),
            "pressure": weather(
                1015 + 7 * generator.standard_normal(rows).clip(-5, 5), missing=0.1
            ),
            "visib": weather(np.minimum(10, generator.integers(0, 80, rows) / 4)),
            "is_late": late,
        }
    )
