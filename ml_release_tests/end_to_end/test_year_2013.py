"""The lived year: reduced to two months of the small line, and what is published of the whole."""

from __future__ import annotations

import importlib
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from rich.progress import Progress

from ml_release_tests.small_line import ROUTES, SMALL_LINE, trips

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "year_2013.md"
MONTHS = ("2013-04", "2013-05")


@pytest.fixture(scope="module")
def year() -> Iterator[Any]:
    """The modules of the benchmark, which are scripts beside one another."""
    sys.path.insert(0, str(PROJECT / "benchmarks"))
    names = ("year_2013", "year_baselines", "year_house", "year_page")
    yield {name.removeprefix("year_"): importlib.import_module(name) for name in names}
    sys.path.remove(str(PROJECT / "benchmarks"))


@pytest.fixture(scope="module")
def lived(year: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """House, baselines and what came of two months."""
    folder = tmp_path_factory.mktemp("year")
    data = folder / "data"
    (data / "trips").mkdir(parents=True)
    ROUTES.to_parquet(data / "routes.parquet")
    for month in ("2013-01", "2013-02", "2013-03", *MONTHS):
        trips(month).to_parquet(data / "trips" / f"{month}.parquet")
    line = year["house"].released_at_once(SMALL_LINE)
    baselines = year["baselines"].Baselines(line, folder=folder / "baselines", data=data)
    for month in MONTHS:
        baselines.live(month)
    house = year["house"].YearHouse(folder, line, data=data)
    with Progress(disable=True) as progress:
        found = year["2013"].live(
            house, MONTHS, through_endpoint=False, progress=progress, every=timedelta(days=21)
        )
    yield house, baselines, found
    house.close()


def test_every_row_is_answered_once_and_as_the_artefact_says(year: Any, lived: Any) -> None:
    """The path of a request and the artefact on assembled rows agree on all that version 1 saw."""
    _, baselines, found = lived
    assert found.failed == 0
    assert not found.rows["request_id"].duplicated().any()
    served = year["2013"].ours(found, baselines.answered["never"])
    assert {len(one.answers) for one in served.values()} == {
        len(one.answers) for one in baselines.answered["never"].values()
    }
    difference = year["2013"].same_as_the_artefact(found, baselines.answered["never"])
    assert difference == pytest.approx(0.0, abs=1e-12)


def test_every_month_is_learned_from_a_day_after_it_has_ended(lived: Any) -> None:
    """What every month's retraining answers on the 1st is what it answered before."""
    _, baselines, _ = lived
    assert baselines.retrainings == {"never": 0, "monthly": 1}
    never, monthly = (baselines.answered[name]["2013-05"] for name in ("never", "monthly"))
    first = never.days == np.datetime64("2013-05-01")
    assert first.any()
    assert (never.answers[first] == monthly.answers[first]).all()
    assert (never.answers[~first] != monthly.answers[~first]).mean() > 0.5


def test_no_label_is_told_before_its_time(lived: Any) -> None:
    """By the moved clock; no record is received before its event, or long after it."""
    house, _, _ = lived
    records, _ = house.wiring.inference_log.records(SMALL_LINE.name, after={})
    late = records["received_time"] - records["event_time"]
    assert late.min() >= pd.Timedelta(0)
    assert late.max() <= pd.Timedelta(hours=1)
    events = records.set_index("request_id")["event_time"]
    labels = house.wiring.inference_log.labels(SMALL_LINE.name)
    assert len(labels) > 1000
    waited = labels["received_time"] - labels["request_id"].map(events)
    assert waited.min() >= SMALL_LINE.label_delay
    assert waited.max() <= SMALL_LINE.label_delay + pd.Timedelta(hours=1)


def test_what_was_asked_for_is_what_serves(lived: Any) -> None:
    """A retraining that its gates let through answers from then on; nothing else ever does."""
    house, _, found = lived
    released = [one.version for one in found.happened if one.version is not None]
    assert set(found.rows["version"]) <= {1, *released}
    assert house.version == (released[-1] if released else 1)
    looks = [look.at for look in found.looks]
    assert looks == sorted(looks)
    assert len(looks) == 4
    assert looks[1].day == 3


def test_the_share_of_a_gain_is_that_of_every_month(year: Any) -> None:
    """Not defined where every month gains nothing."""
    share = year["2013"].gain_share
    assert share({"never": 0.70, "monthly": 0.72, "ours": 0.71}) == pytest.approx(0.5)
    assert share({"never": 0.70, "monthly": 0.70, "ours": 0.71}) is None
    assert share({"never": 0.70, "monthly": 0.69, "ours": 0.71}) is None


def test_a_row_that_was_not_answered_is_told(year: Any) -> None:
    """Otherwise the three would be scored on different rows."""
    ids = np.array(["a", "b"])
    there = year["baselines"].Answered(
        ids=ids,
        target=np.array([0.0, 1.0]),
        answers=np.array([0.1, 0.2]),
        days=np.array(["2013-04-02"] * 2, dtype="datetime64[D]"),
    )
    rows = pd.DataFrame({"request_id": ["a"], "prediction": [0.1], "version": 1, "outcome": "ok"})
    found = year["2013"].Lived(months=("2013-04",), rows=rows)
    with pytest.raises(SystemExit, match="2013-04: 1 rows were not answered"):
        year["2013"].ours(found, {"2013-04": there})


def test_the_page_is_written_from_its_figures(year: Any) -> None:
    """Nobody has edited it; it says whether its goals are met."""
    text = PAGE.read_text(encoding="utf-8")
    document = year["page"].figures(text)
    assert year["page"].page(document) == text
    measured = document["measured"]
    share = year["2013"].gain_share(
        {
            way: float(np.mean([row[way]["auc"] for row in measured["months"]]))
            for way in ("never", "monthly", "ours")
        }
    )
    assert measured["share_of_gain"] == pytest.approx(share, abs=0.002)
    asked = [one for row in measured["months"] for one in row["happened"]]
    assert measured["retrainings"]["ours"] == sum(
        one["kind"] in year["2013"].TRAINED for one in asked
    )
    met = share >= 0.95 and measured["retrainings"]["ours"] <= 0.5 * 8
    assert document["met"] == met
    assert ("**not met**" in text) != met
    assert measured["largest_difference_from_artefact"] < 1e-12
