"""The Dagster instance of a home folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from ml_release.orchestration.instance import (
    open_instance,
    prepare_dagster_home,
    prepare_workspace,
)
from ml_release.settings import read_settings

if TYPE_CHECKING:
    from ml_release.settings import Settings

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(PROJECT)
    return read_settings({"ML_RELEASE_HOME": str(tmp_path / "home")})


def test_the_instance_has_the_projects_limits_and_its_own_places(settings: Settings) -> None:
    """Runs are limited as dagster.yaml says, and kept below the home folder."""
    with open_instance(settings) as instance:
        limits = instance.get_concurrency_config()
        assert limits.run_queue_config is not None
        assert limits.run_queue_config.max_concurrent_runs == 2
        assert instance.root_directory == str(settings.dagster_home)
        assert instance.run_monitoring_enabled
        assert not instance.telemetry_enabled
        assert instance.get_runs_count() == 0
    assert (settings.dagster_home / "history").exists()


def test_a_dagster_yaml_that_is_there_stays(settings: Settings) -> None:
    """It may be the user's own."""
    settings.dagster_home.mkdir(parents=True)
    own = settings.dagster_home / "dagster.yaml"
    own.write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    prepare_dagster_home(settings)
    assert own.read_text(encoding="utf-8") == "telemetry:\n  enabled: false\n"


def test_outside_of_the_project_the_instance_still_opens(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the project's file, but without telemetry too."""
    monkeypatch.chdir(tmp_path)
    with open_instance(settings) as instance:
        assert not instance.telemetry_enabled


def test_the_workspace_names_the_code_location(settings: Settings) -> None:
    """The links that the command prints lead there."""
    (loaded,) = yaml.safe_load(prepare_workspace(settings).read_text("utf-8"))["load_from"]
    assert loaded["python_module"] == {
        "module_name": "ml_release.definitions",
        "location_name": "ml_release",
    }
