"""Columns as Dagster shows them."""

from __future__ import annotations

from ml_release.lines.flight_delay.line import LINE
from ml_release.orchestration.table_schemas import feature_columns_schema, snapshot_columns
from ml_release_tests.small_line import SMALL_LINE


def test_every_column_of_a_snapshot_has_its_type_and_limits() -> None:
    """As the pandera schema says, described by the feature that is made of it."""
    columns = {column.name: column for column in snapshot_columns(LINE).columns}
    assert set(columns) == set(LINE.schema_of().columns)
    distance = columns["distance"]
    assert (distance.type, distance.description) == ("float64", "miles; from rows.distance")
    assert distance.constraints.other == ["in_range(10, 6000)"]
    assert not columns["origin"].constraints.nullable
    assert columns["is_late"].description == "label: 1, 0 or missing; from rows.arr_delay"
    assert all(column.description for column in columns.values())
    # Neither what the schema says of a unit nor what it leaves open is made up.
    assert columns["scheduled_departure"].type == "datetime64"


def test_a_source_that_nobody_declared_is_not_made_up() -> None:
    """A column of the same name may have landed, or not."""
    columns = {column.name: column for column in snapshot_columns(SMALL_LINE).columns}
    assert columns["trip"].description is None
    assert columns["distance"].description == (
        "feature distance is made of it; from routes.distance"
    )


def test_every_feature_is_a_described_column() -> None:
    """Words as strings, everything else as numbers; first the columns that are carried along."""
    columns = {column.name: column for column in feature_columns_schema(LINE).columns}
    carried = {*LINE.keys, LINE.event_time, LINE.event_day, LINE.target}
    assert set(columns) - {f"features.{f.name}" for f in LINE.features} == carried
    assert columns["carrier"].description == "IATA code of the airline"
    assert columns["features.carrier"].description == "IATA code of the airline; from carrier"
    assert columns["features.carrier"].type == "string"
    assert columns["features.distance"].type == "number"
    assert all(column.description for column in columns.values())
