"""The flight delay line on its real data: the label, the joins, and nothing from the future."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandera.errors import SchemaErrors

from ml_release.adapters.landing_files import LandingFiles
from ml_release.domain.features import History, request_fields
from ml_release.domain.history import latest_table, point_in_time
from ml_release.domain.history_table import look_up
from ml_release.lines.flight_delay.features import (
    COLUMN_SOURCES,
    FEATURES,
    LATE_AFTER_MINUTES,
    assemble,
)
from ml_release.lines.flight_delay.line import LINE

DATA = Path(__file__).parents[2] / "data"
MONTHS = tuple(f"2013-{month:02d}" for month in range(1, 13))
KNOWN_TOO_LATE = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
HISTORY = tuple(feature for feature in FEATURES if isinstance(feature, History))


@pytest.fixture(scope="module")
def landed() -> dict[str, pd.DataFrame]:
    return LandingFiles(DATA).read(LINE.landing, "2013-02")


@pytest.fixture(scope="module")
def rows(landed: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return assemble(landed)


def in_landed_order(landed: pd.DataFrame) -> pd.DataFrame:
    """The landed flights in the order in which the line sorts its rows."""
    at = landed["time_hour"] + pd.to_timedelta(landed["minute"], unit="min")
    by = ["at", "carrier", "flight", "origin"]
    return landed.assign(at=at).sort_values(by, kind="stable", ignore_index=True)


def flight(**change: object) -> pd.DataFrame:
    """One landed flight."""
    values: dict[str, object] = {
        "year": 2013,
        "month": 2,
        "day": 3,
        "hour": 5,
        "minute": 15,
        "time_hour": pd.Timestamp("2013-02-03T10:00", tz="UTC"),
        "sched_arr_time": 819,
        "arr_delay": 0.0,
        "carrier": "UA",
        "flight": 1545,
        "tailnum": "N14228",
        "origin": "EWR",
        "dest": "IAH",
        "distance": 1400,
        **change,
    }
    return pd.DataFrame({name: [value] for name, value in values.items()})


def weather(**change: object) -> pd.DataFrame:
    """One hour of weather."""
    numbers = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust"]
    numbers += ["precip", "pressure", "visib"]
    values: dict[str, object] = {
        "origin": "EWR",
        "year": 2013,
        "month": 2,
        "day": 3,
        "hour": 5,
        "time_hour": pd.Timestamp("2013-02-03T10:00", tz="UTC"),
        **dict.fromkeys(numbers, 1.0),
        "temp": 39.02,
        **change,
    }
    return pd.DataFrame({name: [value] for name, value in values.items()})


def one_row(flights: pd.DataFrame, hours: pd.DataFrame | None = None) -> dict[Any, Any]:
    return assemble({"rows": flights, "weather": weather() if hours is None else hours}).to_dict(
        "records"
    )[0]


@pytest.mark.parametrize(
    ("arr_delay", "label"),
    [
        pytest.param(-60.0, 0.0, id="early"),
        pytest.param(30.0, 0.0, id="exactly 30 minutes late"),
        pytest.param(31.0, 1.0, id="31 minutes late"),
        pytest.param(np.nan, np.nan, id="cancelled or diverted"),
    ],
)
def test_a_flight_is_late_from_the_31st_minute_on(arr_delay: float, label: float) -> None:
    """A flight that never arrived has no label; it is neither late nor in time."""
    np.testing.assert_equal(one_row(flight(arr_delay=arr_delay))["is_late"], label)


def test_times_are_those_of_the_schedule() -> None:
    """Local and UTC departure to the minute, arrival in minutes of the local day."""
    row = one_row(flight())
    assert row["scheduled_departure"] == pd.Timestamp("2013-02-03T05:15")
    assert row["scheduled_departure_utc"] == pd.Timestamp("2013-02-03T10:15", tz="UTC")
    assert row["scheduled_arrival_minute"] == 8 * 60 + 19


@pytest.mark.parametrize(("hhmm", "minute"), [(1, 1), (59, 59), (100, 60), (2359, 1439), (2400, 0)])
def test_arrival_is_read_as_hours_and_minutes(hhmm: int, minute: int) -> None:
    """2400 is midnight."""
    assert one_row(flight(sched_arr_time=hhmm))["scheduled_arrival_minute"] == minute


@pytest.mark.parametrize(
    ("change", "temp"),
    [
        pytest.param({}, 39.02, id="its airport and hour"),
        pytest.param({"origin": "JFK"}, np.nan, id="another airport"),
        pytest.param(
            {"time_hour": pd.Timestamp("2013-02-03T11:00", tz="UTC")}, np.nan, id="the hour after"
        ),
        pytest.param({"hour": 6}, np.nan, id="local hour and instant disagree"),
    ],
)
def test_weather_is_that_of_the_airport_in_the_hour(change: dict[str, object], temp: float) -> None:
    """Without any the flight stays, with missing values."""
    np.testing.assert_equal(one_row(flight(), weather(**change))["temp"], temp)


def test_weather_that_is_there_twice_is_an_error() -> None:
    """It would double the flights."""
    twice = pd.concat([weather(), weather(temp=1.0)])
    with pytest.raises(pd.errors.MergeError):
        one_row(flight(), twice)


def test_every_landed_flight_is_one_row(
    landed: dict[str, pd.DataFrame], rows: pd.DataFrame
) -> None:
    """None dropped, none doubled, none altered on the way."""
    flights = in_landed_order(landed["rows"])
    for column in ("carrier", "flight", "tailnum", "origin", "dest"):
        assert rows[column].tolist() == flights[column].tolist()
    late = np.where(flights["arr_delay"].isna(), np.nan, flights["arr_delay"] > LATE_AFTER_MINUTES)
    np.testing.assert_array_equal(rows["is_late"], late.astype(float))


def test_nothing_known_only_after_departure_is_in_the_rows(
    landed: dict[str, pd.DataFrame], rows: pd.DataFrame
) -> None:
    """Neither by name nor by value: no column but the label changes when they all do."""
    assert not KNOWN_TOO_LATE & set(rows.columns)
    assert set(landed["rows"].columns) >= KNOWN_TOO_LATE
    turned = landed["rows"].copy()
    for column in KNOWN_TOO_LATE:
        turned[column] = 1000 - turned[column].fillna(0)
    others = assemble({**landed, "rows": turned})
    assert not others["is_late"].equals(rows["is_late"])
    pd.testing.assert_frame_equal(others.drop(columns="is_late"), rows.drop(columns="is_late"))


def test_the_order_of_landed_rows_does_not_matter(
    landed: dict[str, pd.DataFrame], rows: pd.DataFrame
) -> None:
    """The same month delivered in another order has the same digest."""
    shuffled = {name: table.sample(frac=1, random_state=0) for name, table in landed.items()}
    pd.testing.assert_frame_equal(assemble(shuffled), rows)


def test_the_input_is_not_changed(landed: dict[str, pd.DataFrame]) -> None:
    """Assembling twice gives the same."""
    before = {name: table.copy() for name, table in landed.items()}
    assemble(landed)
    for name, table in landed.items():
        pd.testing.assert_frame_equal(table, before[name])


def test_no_feature_and_no_slice_reads_what_is_known_too_late() -> None:
    """Nor the label, nor a time but the scheduled ones."""
    columns = {field.name for field in request_fields(LINE.features)}
    assert not columns & (KNOWN_TOO_LATE | {LINE.target})
    assert not set(LINE.slices) & (KNOWN_TOO_LATE | {LINE.target})


@pytest.mark.parametrize("month", MONTHS)
def test_every_month_of_the_year_keeps_the_schema(month: str) -> None:
    """Keys are unique, every feature's column is there, and the day is that of the month."""
    landing = LandingFiles(DATA)
    assert landing.partitions(LINE.landing) == MONTHS
    tables = landing.read(LINE.landing, month)
    found = LINE.assemble_rows(tables)
    LINE.schema_of().validate(found, lazy=True)
    assert len(found) == len(tables["rows"])
    assert not found.duplicated(list(LINE.keys)).any()
    assert set(found[LINE.event_day].dt.strftime("%Y-%m")) == {month}
    local = found[LINE.event_time].dt.tz_convert("America/New_York").dt.tz_localize(None)
    assert (local == found[LINE.event_day]).all()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        pytest.param("wind_speed", 1048.0, id="a storm that never was"),
        pytest.param("scheduled_arrival_minute", 1440.0, id="a minute after the day"),
        pytest.param("origin", "LAX", id="another city"),
        pytest.param("is_late", 0.5, id="half late"),
        pytest.param("flight", 0, id="flight zero"),
        pytest.param("dep_delay", 1.0, id="a column too many"),
    ],
)
def test_the_schema_refuses_what_cannot_be(rows: pd.DataFrame, column: str, value: object) -> None:
    """One bad value in a month is enough."""
    from pandera.errors import SchemaErrors

    broken = rows.copy()
    broken[column] = [value, *([value] * len(rows) if column not in rows else rows[column])][
        : len(rows)
    ]
    with pytest.raises(SchemaErrors):
        LINE.schema_of().validate(broken, lazy=True)


def history_of(rows: pd.DataFrame, target: pd.Series[float], feature: History) -> np.ndarray:
    return point_in_time(
        feature,
        columns={key: rows[key].to_numpy(dtype=object) for key in feature.keys},
        days=rows[LINE.event_day].to_numpy(dtype="datetime64[D]"),
        target=np.asarray(target).astype(np.float64),
        for_rows=np.ones(len(rows), dtype=bool),
    )


@pytest.mark.parametrize("feature", HISTORY, ids=[feature.name for feature in HISTORY])
@pytest.mark.parametrize("day", [1, 14, 28])
def test_labels_of_a_real_day_change_only_later_days(
    rows: pd.DataFrame, feature: History, day: int
) -> None:
    """Turned around on one day, they change no history of that day or before, and do after."""
    of_day = rows[LINE.event_day].dt.day
    turned = rows["is_late"].where(of_day != day, 1 - rows["is_late"])
    before, after = history_of(rows, rows["is_late"], feature), history_of(rows, turned, feature)
    early = (of_day <= day).to_numpy()
    np.testing.assert_array_equal(after[early], before[early])
    assert day == 28 or (after[~early] != before[~early]).any()


def test_serving_looks_up_the_history_that_training_computed(rows: pd.DataFrame) -> None:
    """On the 15th of the month, for every flight of that day, exactly."""
    day = np.datetime64("2013-02-15", "D")
    days = rows[LINE.event_day].to_numpy(dtype="datetime64[D]")
    past, today = rows[days < day], rows[days == day]
    keys = ("carrier", "origin", "dest")
    table = latest_table(
        HISTORY,
        columns={key: past[key].to_numpy(dtype=object) for key in keys},
        days=days[days < day],
        target=past["is_late"].to_numpy(),
        as_of=day,
        time_zone=LINE.time_zone,
    )
    served, _ = look_up(HISTORY, table, {key: today[key].to_numpy(dtype=object) for key in keys})
    for feature in HISTORY:
        trained = history_of(rows, rows["is_late"], feature)[days == day]
        np.testing.assert_array_equal(served[feature.name], trained)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param(
            lambda r: r.assign(temp=r["humid"], humid=r["temp"]), "humidity_agrees", id="swapped"
        ),
        pytest.param(
            lambda r: r.assign(dewp=r["temp"] + 1), "dew_point_is_below_temperature", id="dew point"
        ),
        pytest.param(
            lambda r: r.assign(wind_gust=r["wind_speed"] - 0.1), "gusts_exceed_wind", id="gusts"
        ),
    ],
)
def test_weather_columns_have_to_agree_with_one_another(
    rows: pd.DataFrame, change: Any, rule: str
) -> None:
    """A swap or another unit may stay within the range of each column."""
    schema = LINE.schema_of()
    # Few rows, as the error lists every one that fails.
    rows = rows.head(1000)
    schema.validate(rows, lazy=True)
    schema.validate(rows.assign(temp=np.nan, dewp=np.nan, humid=np.nan), lazy=True)
    with pytest.raises(SchemaErrors, match=rule):
        schema.validate(change(rows), lazy=True)


def _moved(name: str, column: pd.Series) -> pd.Series:
    """Other values in the same order, so that rows stay where they are."""
    if name == "time_hour":
        return column + pd.Timedelta(days=1)
    if name in {"day", "hour"}:
        # Within February, within the day; the weather of other months is not read.
        return column % 28 + 1 if name == "day" else (column + 1) % 24
    if column.dtype == object:
        return "A" + column
    return column + (1000 if name == "arr_delay" else 1)


def test_every_column_comes_from_where_the_line_says(landed: dict[str, pd.DataFrame]) -> None:
    """Whatever other values a landed column gets, exactly the columns it is declared for change.

    A column that both tables are joined by changes in both, or nothing would join.
    """
    before = assemble(landed)
    assert list(COLUMN_SOURCES) == list(before.columns)
    for name in {str(column) for frame in landed.values() for column in frame}:
        sources = [table for table in landed if name in landed[table]]
        moved = {
            table: frame.assign(**{name: _moved(name, frame[name])}) if name in frame else frame
            for table, frame in landed.items()
        }
        after = assemble(moved)
        changed = {column for column in before if not after[column].equals(before[column])}
        declared = {
            column
            for column, froms in COLUMN_SOURCES.items()
            if {f"{table}.{name}" for table in sources} & set(froms)
        }
        assert changed == declared, name
