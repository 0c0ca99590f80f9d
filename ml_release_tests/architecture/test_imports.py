"""Who may import whom: the contracts hold, and each of them notices a breach."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
CONTRACTS = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]

# Contract: a module of the package (made if there is none), and what it must not import.
BREACHES = {
    "layers": ("ml_release/domain/planted.py", "import ml_release.spec.policies"),
    "pure-core": ("ml_release/domain/planted.py", "import random"),
    "settings-are-arguments": ("ml_release/workflows/planted.py", "import ml_release.settings"),
    "workflows-know-ports-only": (
        "ml_release/workflows/planted.py",
        "import ml_release.adapters.system_clock",
    ),
    "mlflow-in-one-place": ("ml_release/orchestration/planted.py", "import mlflow"),
    "adapters-are-independent": (
        "ml_release/adapters/planted.py",
        "import ml_release.adapters.system_clock",
    ),
    "lines-are-independent": (
        "ml_release/lines/planted.py",
        "import ml_release.lines.flight_delay.model",
    ),
    "serving-stands-alone": ("ml_release/serving/planted.py", "import pandas"),
    "lines-are-user-code": ("ml_release/lines/flight_delay/planted.py", "import dagster"),
}


def lint(root: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    chosen = [part for contract in contracts for part in ("--contract", contract)]
    # The package that is imported has to be the copy, not the installed one.
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [LINT_IMPORTS, "--config", root / "pyproject.toml", "--no-cache", *chosen],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "ml_release", tmp_path / "ml_release", ignore=ignored)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def test_all_contracts_hold() -> None:
    """As `make lint` says."""
    found = lint(PROJECT)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_contract_has_a_breach_that_is_tried() -> None:
    """A new contract is not taken on its word."""
    assert {contract["id"] for contract in CONTRACTS} == set(BREACHES)


@pytest.mark.parametrize("contract", list(BREACHES))
def test_a_contract_notices_a_breach(copy: Path, contract: str) -> None:
    """One forbidden import in a new module, named in the answer."""
    path, statement = BREACHES[contract]
    name = next(c["name"] for c in CONTRACTS if c["id"] == contract)
    (copy / path).write_text(f'"""Planted."""\n\n{statement}\n', encoding="utf-8")
    found = lint(copy, contract)
    assert found.returncode == 1, found.stdout + found.stderr
    assert f"{name} BROKEN" in found.stdout
    module = path.removesuffix(".py").replace("/", ".")
    assert f"{module} -> {statement.removeprefix('import ')}" in found.stdout


def test_a_module_outside_all_layers_is_noticed(copy: Path) -> None:
    """The layers are exhaustive: nothing new stands beside them unseen."""
    (copy / "ml_release" / "utils.py").write_text('"""Planted."""\n', encoding="utf-8")
    found = lint(copy, "layers")
    assert found.returncode == 1
    assert "utils" in found.stdout
