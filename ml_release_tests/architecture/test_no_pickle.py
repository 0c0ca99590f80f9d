"""No module reads what could run code: neither by pickle nor by anything that unpickles for it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ml_release"
MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
MODULES |= {"torch", "jsonpickle", "pandas.read_pickle", "mlflow.pyfunc", "mlflow.sklearn"}
# Called under any name that ends so: mlflow.pyfunc.load_model, torch.load, pd.read_pickle.
CALLS = {"load_model", "read_pickle", "to_pickle", "hub_load", "unsafe_load", "full_load"}
EVALUATED = {"eval", "exec", "compile", "__import__"}


def problems(source: str) -> list[str]:
    """What in a module could unpickle, each with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        bad = [n for n in names if any(f"{n}.".startswith(f"{module}.") for module in MODULES)]
        if isinstance(node, ast.Call):
            bad += _bad_call(node)
        found += [f"line {getattr(node, 'lineno', 0)}: {name}" for name in bad]
    return found


def _bad_call(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func)
    last = name.rsplit(".", maxsplit=1)[-1]
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    allow = given.get("allow_pickle")
    if allow is not None and not (isinstance(allow, ast.Constant) and allow.value is False):
        return [f"{name}(allow_pickle)"]
    if last in CALLS or name in EVALUATED:
        return [name]
    if name in {"yaml.load", "load_yaml"} or (name in {"np.load", "numpy.load"} and allow is None):
        return [name]
    # skops reads nothing that is not on a list given to it; a list that it made itself is none.
    if name in {"loads", "sio.load", "sio.loads", "skops.io.load", "skops.io.loads"}:
        trusted = given.get("trusted")
        return [] if isinstance(trusted, ast.Name) else [f"{name} without trusted types"]
    return []


MODULES_OF_PACKAGE = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize(
    "path", MODULES_OF_PACKAGE, ids=[str(p.relative_to(PACKAGE)) for p in MODULES_OF_PACKAGE]
)
def test_no_module_can_unpickle(path: Path) -> None:
    """Imports and calls of all modules, lazy ones too."""
    assert problems(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import joblib",
        "def f():\n    from cloudpickle import loads",
        "import sklearn, _pickle",
        "from torch import load",
        "import mlflow.pyfunc",
        "from mlflow import sklearn",
        "mlflow.sklearn.load_model(uri)",
        "mlflow.pyfunc.load_model(uri)",
        "pd.read_pickle(path)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "load_npz(path, allow_pickle=1)",
        "from skops.io import loads\nloads(content)",
        "skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))",
        "eval(text)",
        "yaml.load(text, Loader=Loader)",
        "yaml.unsafe_load(text)",
    ],
)
def test_what_could_unpickle_is_noticed(source: str) -> None:
    """Planted in a module of its own."""
    assert len(problems(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import json\njson.loads(text)",
        "np.load(path, allow_pickle=False)",
        "from skops.io import loads\nloads(content, trusted=trusted)",
        "yaml.safe_load(text)",
        "from picklescan import scanner",
        "re.compile(pattern)",
    ],
)
def test_what_cannot_is_let_through(source: str) -> None:
    """Names that only look alike."""
    assert problems(source) == []
