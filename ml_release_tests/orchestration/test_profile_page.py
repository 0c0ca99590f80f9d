"""The profile of a snapshot as Dagster shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.domain.profile_table import ProfileRow, Spread
from ml_release.domain.verdict import Finding, Outcome
from ml_release.orchestration.profile_page import profile_table
from ml_release_tests.orchestration.house import train

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

SCHEMA = dg.TableSchema(columns=[dg.TableColumn("x", "float64", description="miles")])
DISTANCE = Finding(
    rule="distributions_are_expected",
    subject="x",
    outcome=Outcome.FAIL,
    observed=0.123456,
    limit=0.1,
    unit="nats",
    votes=False,
)


def cells(column: str = "x", **change: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "here": Spread(),
        "reference": Spread(),
        "distance": None,
        "personal": False,
        **change,
    }
    (record,) = profile_table([ProfileRow(column=column, **values)], SCHEMA).records
    return dict(record.data)


def test_what_nobody_counted_is_an_empty_cell() -> None:
    """A derived column has neither type nor meaning of its own."""
    assert set(cells("x minute of day").values()) == {"x minute of day", ""}
    assert (cells()["type"], cells()["meaning"]) == ("float64", "miles")


@pytest.mark.parametrize(
    ("spread", "missing", "values"),
    [
        pytest.param(Spread(missing_share=0.0), "0%", "", id="none missing"),
        pytest.param(Spread(missing_share=0.00001), "<0.01%", "", id="a few are not none"),
        pytest.param(
            Spread(missing_share=0.58504, quantiles=(1.0, 2.34567, 12345.6)),
            "58.5%",
            "2.346 (1 to 12346)",
            id="numbers",
        ),
        pytest.param(
            Spread(words=(("UA", 0.17243), ("w" * 30, 0.1))),
            "",
            f"UA 17.24%, {'w' * 24}… 10%",
            id="words",
        ),
    ],
)
def test_a_spread_is_short(spread: Spread, missing: str, values: str) -> None:
    """The same here and in the reference."""
    here, reference = cells(here=spread), cells(reference=spread)
    assert (here["missing"], here["values"]) == (missing, values)
    assert (reference["reference missing"], reference["reference values"]) == (missing, values)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({}, "fail (muted): 0.1235 of 0.1 nats", id="muted"),
        pytest.param(
            {"observed": None, "limit": None, "outcome": Outcome.INCONCLUSIVE, "detail": "why"},
            "inconclusive (muted): why",
            id="no number",
        ),
    ],
)
def test_a_distance_stands_beside_its_limit(change: dict[str, Any], text: str) -> None:
    """With what the gate says of it."""
    assert cells(distance=replace(DISTANCE, **change))["distance"] == text


def test_personal_data_is_not_shown() -> None:
    """And the reader sees why."""
    row = cells(personal=True, here=Spread(words=(("Ada", 1.0),)), reference=Spread())
    assert row["values"] == row["reference values"] == "personal data, not shown"


def test_a_snapshot_has_a_row_per_column(house: House, instance: dg.DagsterInstance) -> None:
    """The last month beside those before it, with the distances of its verdict."""
    assert train(house, instance).success
    event = instance.get_latest_materialization_event(dg.AssetKey(["small_line", "snapshot"]))
    assert event is not None
    assert event.asset_materialization is not None
    profile = event.asset_materialization.metadata["profile"]
    assert isinstance(profile, dg.TableMetadataValue)
    rows = {str(record.data["column"]): record.data for record in profile.records}
    assert list(rows) == [
        *("departure_utc", "departure", "departure minute of day", "trip"),
        *("carrier", "distance", "is_late"),
    ]
    assert str(rows["carrier"]["distance"]).startswith("pass: ")
    assert "(muted)" in str(rows["distance"]["distance"])
    assert rows["carrier"]["distinct"] == "3"
    assert str(rows["is_late"]["reference values"]).startswith("label 1 ")
