"""The code location as Dagster loads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml_release.definitions import find_line
from ml_release.errors import NotFoundError
from ml_release.settings import child_environment, read_settings

PROJECT = Path(__file__).parents[1]
HEAVY = (
    "mlflow",
    "evidently",
    "sklearn",
    "pandera",
    "matplotlib",
    "scipy",
    "onnxruntime",
    "apprise",
)


def test_loading_the_code_location_imports_nothing_heavy(tmp_path: Path) -> None:
    """Every process of Dagster pays for what it imports: steps, sensors, the UI's code server."""
    program = (
        "import json, sys\n"
        "from ml_release.definitions import defs\n"
        "repository = defs().get_repository_def()\n"
        "loaded = sorted({name.split('.')[0] for name in sys.modules})\n"
        "print(json.dumps([len(repository.sensor_defs), loaded]))\n"
    )
    settings = read_settings({"ML_RELEASE_HOME": str(tmp_path)})
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT,
        env=child_environment(settings),
        timeout=60,
    )
    sensors, loaded = json.loads(answer.stdout)
    assert sensors == 14
    assert set(HEAVY) & set(loaded) == set()
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_found_by_its_name() -> None:
    """And another name is answered with those there are."""
    assert find_line("flight_delay").name == "flight_delay"
    with pytest.raises(NotFoundError, match="flight_delay"):
        find_line("train_delay")
