"""The Dagster instance of the home folder, opened with the project's own dagster.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import yaml

if TYPE_CHECKING:
    from ml_release.settings import Settings

_FILE = "dagster.yaml"
_WORKSPACE = {
    "load_from": [
        {"python_module": {"module_name": "ml_release.definitions", "location_name": "ml_release"}}
    ]
}
# Paths of the working folder; under a home of its own Dagster chooses these places by itself.
_PLACES = ("storage", "local_artifact_storage", "compute_logs")
_BARE = {"telemetry": {"enabled": False}}


def prepare_dagster_home(settings: Settings) -> Path:
    """Make the home folder with a dagster.yaml, unless it has one; return the folder."""
    home = settings.dagster_home
    if not (home / _FILE).exists():
        home.mkdir(parents=True, exist_ok=True)
        project = Path(_FILE)
        declared = yaml.safe_load(project.read_text("utf-8")) if project.exists() else _BARE
        kept = {key: value for key, value in declared.items() if key not in _PLACES}
        (home / _FILE).write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")
    return home


def prepare_workspace(settings: Settings) -> Path:
    """Say in the home folder what the Dagster UI loads, wherever it is started; return the file."""
    path = prepare_dagster_home(settings) / "workspace.yaml"
    path.write_text(yaml.safe_dump(_WORKSPACE, sort_keys=False), encoding="utf-8")
    return path


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance whose runs the Dagster UI shows."""
    return dg.DagsterInstance.from_config(str(prepare_dagster_home(settings)))
