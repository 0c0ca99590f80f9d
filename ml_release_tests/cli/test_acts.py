"""What commands ask of Dagster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ml_release.cli import acts
from ml_release.cli.running import JobRun
from ml_release.errors import InputError, NotFoundError
from ml_release.settings import read_settings
from ml_release_tests.orchestration.house import wiring_of
from ml_release_tests.small_line import House
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The runs that were asked for, none of which is carried out."""
    asked: list[dict[str, Any]] = []

    def run_job(name: str, **options: Any) -> JobRun:
        asked.append({"name": name, **options})
        return JobRun(run_id="run", metadata={}, checks=0)

    monkeypatch.setattr(acts, "run_job", run_job)
    return asked


def train(house: House, first: str | None, last: str | None) -> JobRun:
    settings = read_settings({"ML_RELEASE_HOME": str(house.log_folder)})
    return acts.train(
        house.line, first=first, last=last, settings=settings, wiring=wiring_of(house)
    )


def months(run: dict[str, Any]) -> tuple[str, str]:
    tags = run["tags"]
    return tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]


def test_a_window_of_all_that_has_landed_is_one_run(
    house: House, runs: list[dict[str, Any]]
) -> None:
    """From the first month on nothing has to be looked back into."""
    train(house, None, None)
    assert [months(run) for run in runs] == [("2013-01", "2013-04")]


def test_a_later_window_takes_the_snapshot_its_history_needs_first(
    house: House, runs: list[dict[str, Any]]
) -> None:
    """The month before, its snapshot only: its features would need the month before that."""
    train(house, "2013-03", "2013-04")
    look_back, whole = runs
    assert months(look_back) == ("2013-02", "2013-02")
    assert [key.path[-1] for key in look_back["assets"]] == ["snapshot"]
    assert months(whole) == ("2013-03", "2013-04")
    assert whole.get("assets") is None


def test_a_snapshot_that_is_there_is_not_taken_again(
    house: House, runs: list[dict[str, Any]]
) -> None:
    """Looking back costs nothing then."""
    steps.snapshot(house, "2013-02")
    train(house, "2013-03", "2013-04")
    assert [months(run) for run in runs] == [("2013-03", "2013-04")]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(None, "2013-05", id="beyond"),
        pytest.param("2012-12", None, id="before"),
        pytest.param("2013-03", "2013-02", id="backwards"),
        pytest.param("2013-3", None, id="no month"),
    ],
)
def test_a_window_that_has_not_landed_is_refused_before_any_run(
    house: House, runs: list[dict[str, Any]], first: str | None, last: str | None
) -> None:
    """As bad input, not as a gate's refusal."""
    with pytest.raises(InputError):
        train(house, first, last)
    assert runs == []


def test_without_landed_months_nothing_is_trained(house: House, runs: list[dict[str, Any]]) -> None:
    """The message names the folder."""
    landing = house.line.landing.model_copy(update={"rows": "elsewhere/{partition}.parquet"})
    house.line = house.line.model_copy(update={"landing": landing})
    with pytest.raises(NotFoundError, match="expected landed partitions"):
        train(house, None, None)
    assert runs == []


def test_the_budget_of_a_search_reaches_the_run(house: House, runs: list[dict[str, Any]]) -> None:
    """What is not said is left to the policy."""
    settings = read_settings({"ML_RELEASE_HOME": str(house.log_folder)})
    for budget in ({"trials": 0}, {"search_seconds": 5.0}, {"trials": 9, "search_seconds": 5.0}):
        acts.train(
            house.line, first=None, last=None, settings=settings, wiring=wiring_of(house), **budget
        )
        config = runs[-1]["run_config"]["ops"]["small_line__candidate"]["config"]
        assert config == {"first": "2013-01", "last": "2013-04", **budget}


def test_a_budget_that_makes_no_sense_is_refused_before_any_run(
    house: House, runs: list[dict[str, Any]]
) -> None:
    """As bad input."""
    settings = read_settings({"ML_RELEASE_HOME": str(house.log_folder)})
    with pytest.raises(InputError, match="search_trials"):
        acts.train(
            house.line, first=None, last=None, trials=-1, settings=settings, wiring=wiring_of(house)
        )
    assert runs == []


@pytest.mark.parametrize(("by", "reason"), [("", "x"), ("ada", " ")])
def test_a_move_nobody_answers_for_is_refused_before_any_run(by: str, reason: str) -> None:
    """Who and why are part of it."""
    with pytest.raises(InputError):
        acts.Move(version=None, by=by, reason=reason)


def scored(house: House, **asked: Any) -> JobRun:
    settings = read_settings({"ML_RELEASE_HOME": str(house.log_folder)})
    options = {"first": None, "last": None, "version": None, **asked}
    return acts.score(house.line, settings=settings, wiring=wiring_of(house), **options)


@pytest.mark.parametrize(
    ("asked", "window"),
    [
        pytest.param({}, ("2013-03", "2013-03"), id="the newest"),
        pytest.param({"first": "2013-02"}, ("2013-02", "2013-03"), id="from"),
        pytest.param({"last": "2013-01"}, ("2013-01", "2013-01"), id="to"),
        pytest.param({"version": 4}, ("2013-03", "2013-03"), id="version"),
    ],
)
def test_scoring_is_one_run_over_months_with_features(
    house: House, runs: list[dict[str, Any]], asked: dict[str, Any], window: tuple[str, str]
) -> None:
    """The version is left to production where none is named."""
    steps.prepare(house, "2013-01", "2013-02", "2013-03")
    scored(house, **asked)
    (run,) = runs
    assert (run["name"], months(run)) == ("small_line_score", window)
    config = run["run_config"]["ops"]["small_line__batch_predictions"]["config"]
    assert config == {key: value for key, value in asked.items() if key == "version"}


@pytest.mark.parametrize(
    ("first", "last"), [(None, "2013-04"), ("2012-12", None), ("2013-02", "2013-01")]
)
def test_months_without_features_are_refused_before_any_run(
    house: House, runs: list[dict[str, Any]], first: str | None, last: str | None
) -> None:
    """As bad input; without any features as not found."""
    with pytest.raises(NotFoundError, match="expected months with features to score"):
        scored(house)
    steps.prepare(house, "2013-01", "2013-02")
    with pytest.raises(InputError):
        scored(house, first=first, last=last)
    assert runs == []
