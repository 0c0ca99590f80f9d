"""The experiment commands: what they ask of Dagster, and what they print."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from ml_release.cli import app, experiments, running
from ml_release.cli.running import JobRun
from ml_release.errors import InputError, NotFoundError
from ml_release.settings import read_settings
from ml_release_tests.orchestration.house import wiring_of
from ml_release_tests.small_line import House

if TYPE_CHECKING:
    from pathlib import Path

MADE = {
    "changed": True,
    "commit": "c1",
    "ended": "colours",
    "version": 1,
    "plan digest": "sha256:1",
}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The runs that were asked for, none of which is carried out."""
    import dagster as dg

    asked: list[dict[str, Any]] = []
    house = House(tmp_path)
    settings = read_settings({"ML_RELEASE_HOME": str(tmp_path)})
    table = dg.MetadataValue.table([dg.TableRecord({"plan": "power", "value": "0.8"})])

    def run_job(name: str, **options: Any) -> JobRun:
        asked.append({"name": name, **options["run_config"]["ops"]})
        made = {**MADE, "plan": table}
        return JobRun(run_id="run", metadata={"production_endpoint": made}, checks=0)

    monkeypatch.setattr(running, "run_job", run_job)
    monkeypatch.setattr(experiments, "_open", lambda _: (house.line, settings, wiring_of(house)))
    return asked


def test_a_plan_is_printed_and_nothing_is_run(runs: list[dict[str, Any]]) -> None:
    """Units, days, and what looking all the time costs."""
    command = "experiment plan small_line --baseline 0.1 --units-per-day 1000 --json"
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["fixed_units"] == {"1": 3841, "2": 3841}
    assert document["expected_days"] > 7.682
    assert runs == []
    text = CliRunner().invoke(app, command.removesuffix(" --json").split()).stdout
    assert "for looking all the time" in text


def test_begin_asks_for_the_job_with_its_form(runs: list[dict[str, Any]]) -> None:
    """What was not given is left to the form."""
    result = CliRunner().invoke(
        app,
        [
            *[
                "experiment",
                "begin",
                "small_line",
                "colours",
                "--version",
                "2",
                "--version",
                "3",
                "--baseline",
                "0.1",
            ],
            *["--allocation", "thompson", "--by", "Ada", "--reason", "why"],
        ],
    )
    assert result.exit_code == 0, result.output
    (asked,) = runs
    form = asked["small_line_declare_experiment"]["config"]
    assert asked["name"] == "small_line_begin_experiment"
    assert (form["versions"], form["allocation"], form["by"]) == ([2, 3], "thompson", "Ada")
    assert "baseline_sd" not in form
    assert "experiment colours is declared" in result.stdout


def test_end_asks_for_the_job(runs: list[dict[str, Any]]) -> None:
    """With who and why."""
    result = CliRunner().invoke(
        app, ["experiment", "end", "small_line", "--by", "Ada", "--reason", "why"]
    )
    assert result.exit_code == 0, result.output
    (asked,) = runs
    assert asked["small_line_back_to_control"]["config"] == {"by": "Ada", "reason": "why"}
    assert "experiment colours has ended" in result.stdout


def test_without_a_reason_nothing_is_run(runs: list[dict[str, Any]]) -> None:
    """Before a run is begun."""
    result = CliRunner().invoke(app, ["experiment", "end", "small_line", "--by", "Ada"])
    assert isinstance(result.exception, InputError)
    assert runs == []


@pytest.mark.usefixtures("runs")
def test_a_report_of_nothing_says_how_to_begin() -> None:
    """Exit code and message are those of every command."""
    result = CliRunner().invoke(app, ["experiment", "report", "small_line"])
    assert isinstance(result.exception, NotFoundError)
    assert "experiment begin small_line" in str(result.exception)
