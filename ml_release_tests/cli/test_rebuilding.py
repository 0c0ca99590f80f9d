"""``ml-release reproduce``: the process that is started, what it says, and what is left behind."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ml_release.cli import rebuilding
from ml_release.errors import NotFoundError
from ml_release.settings import read_settings
from ml_release_tests.cli.test_commands import ml_release
from ml_release_tests.domain.test_rebuild import CHANGES, SAME, judged, other_model

if TYPE_CHECKING:
    from ml_release.domain.rebuild import Rebuild

STARTED = "import json, os, pathlib, sys; folder = pathlib.Path(sys.argv[4]);"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a folder for temporary ones, and a folder for the module that stands for ours."""
    for name in ("home", "temporary", "modules"):
        (tmp_path / name).mkdir()
    for name in ("MLFLOW_TRACKING_URI", "DAGSTER_HOME", "ML_RELEASE_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ML_RELEASE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ML_RELEASE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(tmp_path / "modules"), os.environ.get("PYTHONPATH", "")])
    )
    monkeypatch.setattr(rebuilding, "_MODULE", "stands_for_the_rebuild")
    return tmp_path


def stand_in(places: Path, statements: str) -> None:
    """Let the process that is started do something else."""
    (places / "modules" / "stands_for_the_rebuild.py").write_text(
        f"{STARTED} {statements}", encoding="utf-8"
    )


def answering(places: Path, answer: Rebuild) -> None:
    document = answer.model_dump_json()
    stand_in(
        places,
        "print('of a library'); print(json.dumps({'step': 'fit', 'done': 1, 'total': 2}));"
        f"(folder / 'rebuild.json').write_text({document!r})",
    )


def left_behind(places: Path) -> list[Path]:
    return list((places / "temporary").iterdir())


DATA = CHANGES["data"][0]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(judged(SAME), 0, id="same"),
        pytest.param(judged(other_model(**DATA)), 1, id="differs"),
        pytest.param(judged(other_model(gap=None)), 1, id="cannot tell"),
    ],
)
def test_the_exit_code_says_whether_it_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    places: Path,
    answer: Rebuild,
    code: int,
) -> None:
    """What cannot be told is not the same; the temporary folder goes."""
    answering(places, answer)
    assert ml_release(monkeypatch, "reproduce", "flight_delay", "1") == code
    printed = capsys.readouterr().out
    assert answer.sentence() in printed
    assert all(cause in printed for cause in answer.causes)
    assert "None" not in printed
    assert left_behind(places) == []


def test_with_json_it_prints_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], places: Path
) -> None:
    """Outcome, divergences and probable causes."""
    answering(places, judged(other_model(**DATA)))
    assert ml_release(monkeypatch, "reproduce", "flight_delay", "1", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["outcome"] == "differs"
    assert [one["source"] for one in document["divergences"]] == ["data"]
    assert document["probable_causes"] == CHANGES["data"][1]
    assert document["largest_difference"] == 0.25


def test_what_was_built_is_kept_if_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], places: Path
) -> None:
    """And the answer says where."""
    answering(places, judged(SAME))
    assert ml_release(monkeypatch, "reproduce", "flight_delay", "1", "--keep", "--json") == 0
    (folder,) = left_behind(places)
    assert json.loads(capsys.readouterr().out)["folder"] == str(folder)


@pytest.mark.parametrize(
    ("kind", "code"), [("NotFoundError", 2), ("IntegrityError", 3), ("UnavailableError", 3)]
)
def test_an_error_of_the_process_is_raised_as_its_kind(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    places: Path,
    kind: str,
    code: int,
) -> None:
    """With its message and its exit code, and nothing is left."""
    document = json.dumps({"kind": kind, "message": "no such record"})
    stand_in(places, f"(folder / 'error.json').write_text({document!r}); sys.exit(1)")
    assert ml_release(monkeypatch, "reproduce", "flight_delay", "1") == code
    printed = capsys.readouterr()
    assert "no such record" in printed.err
    assert "Traceback" not in printed.err
    assert left_behind(places) == []


def test_a_process_that_breaks_is_told_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], places: Path
) -> None:
    """Exit code 3: nothing can be said of the model."""
    stand_in(places, "sys.exit('out of memory')")
    assert ml_release(monkeypatch, "reproduce", "flight_delay", "1") == 3
    assert "out of memory" in " ".join(capsys.readouterr().err.split())
    assert left_behind(places) == []


def test_the_process_has_the_settings_and_the_code_of_this_one(places: Path) -> None:
    """Its home, and the package that runs here, wherever the command was given."""
    answering(places, judged(SAME))
    settings = read_settings()
    environment = rebuilding._environment(settings)
    assert environment["ML_RELEASE_HOME"] == str(places / "home")
    first = environment["PYTHONPATH"].split(os.pathsep)[0]
    assert (Path(first) / "ml_release" / "cli" / "rebuilding.py").samefile(rebuilding.__file__)


def test_a_home_that_is_not_there_is_not_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], places: Path
) -> None:
    """Bad input: no process is started."""
    monkeypatch.setenv("ML_RELEASE_HOME", str(places / "elsewhere"))
    assert ml_release(monkeypatch, "reproduce", "flight_delay", "1") == 2
    assert "found none" in capsys.readouterr().err
    assert not (places / "elsewhere").exists()
    assert left_behind(places) == []


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no line"),
        pytest.param(["flight_delay"], id="no version"),
        pytest.param(["flight_delay", "first"], id="version is no number"),
        pytest.param(["flight_delay", "1", "--tolerance", "-1"], id="negative tolerance"),
    ],
)
def test_bad_usage_ends_with_2(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Before anything is started."""
    assert ml_release(monkeypatch, "reproduce", *arguments) == 2


def test_the_process_itself_leaves_an_error_behind(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module that is started in earnest, on a line that is not installed."""
    monkeypatch.setattr(rebuilding, "_MODULE", "ml_release.cli.rebuild_process")
    with pytest.raises(NotFoundError, match="expected one of the installed lines"):
        rebuilding.rebuild("nowhere", 1, tolerance=1e-6, settings=read_settings(), keep=False)
    assert list((places / "home").iterdir()) == []
