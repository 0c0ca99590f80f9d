"""Label files and snapshots: read in one form, and only what may be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from ml_release.domain.inference import Label
from ml_release.errors import InputError
from ml_release.spec.label_source import LabelSource
from ml_release.workflows.label_sources import told_by_files, told_by_route, told_by_snapshots
from ml_release.workflows.replay import request_ids
from ml_release.workflows.snapshots import DATA_VERDICT
from ml_release_tests.small_line import trips
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import write

if TYPE_CHECKING:
    from ml_release.spec.landing_source import LandingSource
    from ml_release_tests.small_line import House

FILES = LabelSource(files="labels/{partition}.csv", request_id_column="id")


def by_id(house: House, **columns: Any) -> pd.DataFrame:
    """What a file of request ids tells."""
    house.line = house.line.model_copy(update={"labels": FILES})
    house.landing.deliver("labels/2013-04.csv", pd.DataFrame(columns))
    told, files = told_by_files(house.line, landing=house.landing)
    assert files == {"labels/2013-04.csv": ""}
    return told


def test_the_words_of_a_file_are_labels_and_times(house: House) -> None:
    """A number without a zone is UTC; what is neither label nor time is missing, not guessed."""
    told = by_id(
        house,
        id=["007", "b", None, "d", "e"],
        label=["1", "0.0", "1", "late", None],
        known_at=["2013-04-03T04:00:00-04:00", "2013-04-03", "2013-04-03", "soon", "1365000000"],
    )
    assert told["request_id"].isna().tolist() == [False, False, True, False, False]
    assert told["request_id"][0] == "007"
    np.testing.assert_array_equal(told["label"], [1.0, 0.0, 1.0, np.nan, np.nan])
    assert told["known_at"][0] == pd.Timestamp("2013-04-03T08:00Z")
    assert told["known_at"][1] == pd.Timestamp("2013-04-03T00:00Z")
    assert told["known_at"].isna().tolist() == [False, False, False, True, True]
    assert set(told["source"]) == {"files"}


@pytest.mark.parametrize("kind", ["typed", "words"])
def test_a_row_with_keys_names_the_request_a_replay_made(house: House, kind: str) -> None:
    """As a Parquet file holds them, and as a CSV file spells them, in whatever zone."""
    rows = trips("2013-04").head(5)
    file = rows[["departure_utc", "trip"]].assign(label=rows["is_late"], known_at="2013-05-01")
    if kind == "words":
        local = rows["departure_utc"].dt.tz_convert("America/New_York")
        file = file.assign(departure_utc=local.astype(str)).astype(str)
    house.landing.deliver("labels/2013-04.csv", file)
    told, _ = told_by_files(house.line, landing=house.landing)
    assert told["request_id"].tolist() == request_ids(house.line, rows)
    np.testing.assert_array_equal(told["label"], rows["is_late"])


def test_a_row_without_one_of_its_keys_names_no_request(house: House) -> None:
    """Not one called after the word for missing."""
    file = pd.DataFrame(
        {
            "departure_utc": ["2013-04-01", "2013-04-01", "some day"],
            "trip": ["1", None, "3"],
            "label": ["1", "1", "1"],
            "known_at": ["2013-04-02"] * 3,
        }
    )
    house.landing.deliver("labels/2013-04.csv", file)
    told, _ = told_by_files(house.line, landing=house.landing)
    assert told["request_id"].fillna("").tolist() == ["2013-04-01T00:00:00+00:00/1", "", ""]


def test_files_go_on_after_the_last_month_of_the_line(house: House) -> None:
    """The labels of December come in January; in the order of the partitions."""
    house.line = house.line.model_copy(update={"labels": FILES})
    for month, name in (("2014-01", "b"), ("2013-12", "a"), ("2012-12", "too old")):
        file = pd.DataFrame({"id": [name], "label": [1], "known_at": ["2013-12-31"]})
        house.landing.deliver(f"labels/{month}.csv", file)
    told, _ = told_by_files(house.line, landing=house.landing)
    assert told["request_id"].tolist() == ["a", "b"]


def test_every_file_that_lacks_a_column_is_named(house: House) -> None:
    """Once, with what was expected and found; the other files are heard."""
    good = pd.DataFrame(
        {
            "departure_utc": ["2013-02-01"],
            "trip": ["1"],
            "label": ["1"],
            "known_at": ["2013-02-02"],
        }
    )
    house.landing.deliver("labels/2013-02.csv", good)
    house.landing.deliver("labels/2013-03.csv", good.drop(columns="label"))
    house.landing.deliver("labels/2013-04.csv", good.rename(columns={"trip": "flight"}))
    told, files = told_by_files(house.line, landing=house.landing)
    assert told["request_id"].tolist() == ["2013-02-01T00:00:00+00:00/1"]
    assert list(files) == ["labels/2013-02.csv", "labels/2013-03.csv", "labels/2013-04.csv"]
    february, march, april = files.values()
    assert february == ""
    assert march.startswith("labels/2013-03.csv: expected the columns ['departure_utc'")
    assert "'flight'" in april


def test_a_file_that_is_no_table_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the landing zone; the files beside it are heard."""
    house.line = house.line.model_copy(update={"labels": FILES})
    for month in ("2013-03", "2013-04"):
        file = pd.DataFrame({"id": [month], "label": [1], "known_at": ["2013-12-31"]})
        house.landing.deliver(f"labels/{month}.csv", file)
    read = house.landing.read

    def torn(source: LandingSource, partition: str) -> dict[str, pd.DataFrame]:
        if partition == "2013-03":
            message = "landing file labels/2013-03.csv: expected a readable CSV file"
            raise InputError(message)
        return read(source, partition)

    monkeypatch.setattr(house.landing, "read", torn)
    told, files = told_by_files(house.line, landing=house.landing)
    assert told["request_id"].tolist() == ["2013-04"]
    assert files["labels/2013-04.csv"] == ""
    assert "expected a readable CSV file" in files["labels/2013-03.csv"]


def test_the_route_is_heard_in_the_order_of_arrival(house: House) -> None:
    """A label was known when its client says, and never after it came in."""
    early, late = "2013-04-03T00:00:00+00:00", "2013-04-04T00:00:00+00:00"
    write(
        house,
        [],
        [
            Label(request_id="a", label=1, event_time=early, received_time=late),
            Label(request_id="a", label=0, event_time=late, received_time=early),
        ],
    )
    told = told_by_route(house.line, inference_log=house.inference_log)
    assert told["label"].tolist() == [0, 1]
    assert told["known_at"].tolist() == [pd.Timestamp(early)] * 2


def test_a_fit_snapshot_tells_its_outcomes(prepared: House) -> None:
    """By keys, one label delay after the event; rows without an outcome tell nothing."""
    told, held_back = told_by_snapshots(
        prepared.line, {"2013-04"}, tables=prepared.tables, evidence=prepared.evidence
    )
    rows = trips("2013-04")
    rows = rows[rows["is_late"].notna()]
    assert held_back == {}
    assert told["request_id"].tolist() == request_ids(prepared.line, rows)
    assert told["label"].tolist() == rows["is_late"].tolist()
    assert (told["known_at"] == rows["departure_utc"].to_numpy() + prepared.line.label_delay).all()


def test_a_snapshot_that_did_not_pass_is_held_back_and_stops_no_other(prepared: House) -> None:
    """Unfit, edited or unjudged; the months beside it are heard."""
    prepared.land("2013-03", steps.with_nulls("2013-03", share=0.5))
    steps.snapshot(prepared, "2013-03")
    february = steps.current(prepared, "snapshot")["2013-02"].digest
    steps.edit(prepared, DATA_VERDICT, february, lambda verdict: verdict.update(outcome="fail"))
    steps.forget(prepared, DATA_VERDICT, steps.current(prepared, "snapshot")["2013-01"].digest)
    months = {"2013-01", "2013-02", "2013-03", "2013-04"}
    told, held_back = told_by_snapshots(
        prepared.line, months, tables=prepared.tables, evidence=prepared.evidence
    )
    assert set(held_back) == months - {"2013-04"}
    assert "nulls_are_within_limits" in held_back["2013-03"]
    assert told["known_at"].min() >= pd.Timestamp("2013-04-02", tz="UTC")


@pytest.mark.parametrize("labels", [None, FILES])
def test_what_is_not_declared_is_not_heard(prepared: House, labels: LabelSource | None) -> None:
    """A snapshot is training data first."""
    line = prepared.line.model_copy(update={"labels": labels})
    told, held_back = told_by_snapshots(
        line, {"2013-04"}, tables=prepared.tables, evidence=prepared.evidence
    )
    assert (len(told), held_back) == (0, {})
    told, files = told_by_files(line, landing=prepared.landing)
    assert (len(told), files) == (0, {})
