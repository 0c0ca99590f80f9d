"""Columns as Dagster shows them."""

from __future__ import annotations

from ml_release.lines.flight_delay.line import LINE
from ml_release.orchestration.table_schemas import feature_columns_schema, snapshot_columns


def test_every_column_of_a_snapshot_has_its_type_and_limits() -> None:
    """As the pandera schema says, described by the feature that is made of it."""
    columns = {column.name: column for column in snapshot_columns(LINE).columns}
    assert set(columns) == set(LINE.schema_of().columns)
    distance = columns["distance"]
    assert (distance.type, distance.description) == ("float64", "miles")
    assert distance.constraints.other == ["in_range(10, 6000)"]
    assert not columns["origin"].constraints.nullable
    assert columns["is_late"].description == "label: 1, 0 or missing"


def test_every_feature_is_a_described_column() -> None:
    """Words as strings, everything else as numbers."""
    columns = {column.name: column for column in feature_columns_schema(LINE).columns}
    assert len(columns) == len(LINE.features)
    assert columns["features.carrier"].type == "string"
    assert columns["features.distance"].type == "number"
    assert all(column.description for column in columns.values())
