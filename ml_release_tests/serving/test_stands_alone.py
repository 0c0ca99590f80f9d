"""The server starts without the release system."""

from __future__ import annotations

import subprocess
import sys

from ml_release_tests.serving.world import ROOT, World


def test_the_server_imports_nothing_of_the_release_system() -> None:
    """Neither Dagster nor MLflow, pandas or scikit-learn is loaded, nor a part that needs them."""
    script = """
import sys
import ml_release.serving.server, ml_release.serving.__main__, onnxruntime
heavy = {"dagster", "mlflow", "pandas", "sklearn", "skops", "pandera", "scipy"}
heavy |= {"deltalake", "pyarrow"}
own = {"workflows", "spec", "lines", "orchestration", "definitions", "cli"}
found = heavy & set(sys.modules) | {f"ml_release.{name}" for name in own} & set(sys.modules)
print(sorted(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_artefact_is_verified_without_what_signed_it(world: World) -> None:
    """Clients of a network, and half a second of start, stay with who trains."""
    script = """
import sys
from ml_release.serving.server import build
from ml_release.settings import read_settings
parts = build(read_settings())
parts.reconciler.reconcile()
(line,) = parts.reconciler.table.lines.values()
print(line.route is not None, sorted({"model_signing", "sigstore", "requests"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=world.environ(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "True []"
