"""Where columns come from, as Dagster keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from ml_release.errors import DeclarationError
from ml_release.lines.flight_delay.line import LINE
from ml_release.orchestration.column_lineage import features_lineage, snapshot_lineage
from ml_release_tests.orchestration.house import train
from ml_release_tests.small_line import SMALL_LINE

if TYPE_CHECKING:
    from ml_release_tests.small_line import House


def names(lineage: dg.TableColumnLineage, *, asset: str) -> dict[str, list[str]]:
    """Column to what it is made of, all of it in one asset."""
    deps = [dep for column in lineage.deps_by_column.values() for dep in column]
    assert {dep.asset_key.to_user_string() for dep in deps} == {asset}
    return {
        column: [dep.column_name for dep in deps] for column, deps in lineage.deps_by_column.items()
    }


def test_a_snapshot_comes_from_landed_tables() -> None:
    """Rows and companions, each column by the name of its table."""
    found = names(snapshot_lineage(LINE), asset="flight_delay/landing")
    assert set(found) == set(LINE.schema_of().columns)
    assert found["temp"] == ["weather.temp"]
    assert found["is_late"] == ["rows.arr_delay"]


def test_what_nobody_declared_is_left_out() -> None:
    """A landed column of the same name proves nothing."""
    found = names(snapshot_lineage(SMALL_LINE), asset="small_line/landing")
    assert found == {"distance": ["routes.distance"], "is_late": ["rows.is_late"]}


def test_sources_of_a_column_that_is_not_there_are_refused() -> None:
    """The message lists the columns there are."""
    line = SMALL_LINE.model_copy(update={"column_sources": {"distnce": ("rows.distance",)}})
    with pytest.raises(DeclarationError, match=r"'distance', 'is_late'\], found \['distnce'\]"):
        snapshot_lineage(line)


def test_features_come_from_the_snapshot() -> None:
    """A history feature from its keys, the day of the event and the label of earlier rows."""
    found = names(features_lineage(SMALL_LINE), asset="small_line/snapshot")
    assert found == {
        **{name: [name] for name in ("departure_utc", "trip", "departure", "is_late")},
        "features.distance": ["distance"],
        "features.carrier": ["carrier"],
        "features.minute": ["departure"],
        "features.carrier_rate": ["carrier", "departure", "is_late"],
    }


def test_every_column_of_the_features_table_has_its_lineage(
    house: House, instance: dg.DagsterInstance
) -> None:
    """What is kept and what is said of it agree, in every materialization."""
    assert train(house, instance).success
    (newest, *_) = house.tables.current("small_line", "features")
    kept = {str(name) for name in house.tables.read(newest, "features")}
    for asset, columns in (("features", kept), ("snapshot", {"distance", "is_late"})):
        event = instance.get_latest_materialization_event(dg.AssetKey(["small_line", asset]))
        assert event is not None
        assert event.asset_materialization is not None
        value = event.asset_materialization.metadata["dagster/column_lineage"].value
        assert isinstance(value, dg.TableColumnLineage)
        assert set(value.deps_by_column) == columns


def test_a_wrong_declaration_stops_the_snapshot_before_it_is_taken(
    house: House, instance: dg.DagsterInstance
) -> None:
    """With the author's error as the reason, and nothing kept."""
    house.line = SMALL_LINE.model_copy(update={"column_sources": {"x": ("rows.x",)}})
    result = train(house, instance)
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    assert "found ['x']" in str(failure.step_failure_data.user_failure_data)
    assert house.tables.current("small_line", "snapshot") == ()
