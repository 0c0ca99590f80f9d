"""The command in this process: arguments, exit codes and what it prints."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ml_release import cli
from ml_release.cli import acts, processes
from ml_release.cli.running import JobRun
from ml_release.errors import (
    DeclarationError,
    InputError,
    IntegrityError,
    NotFoundError,
    RefusedError,
    StaleWriteError,
    UnavailableError,
)
from ml_release.workflows import verification
from ml_release.workflows.verification import Checked, Verification

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and an empty landing zone."""
    for name in ("MLFLOW_TRACKING_URI", "DAGSTER_HOME", "ML_RELEASE_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ML_RELEASE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ML_RELEASE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def ml_release(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command as the shell does; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["ml-release", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(RefusedError("a gate says no"), 1, id="refused"),
        pytest.param(StaleWriteError("somebody was first"), 1, id="stale"),
        pytest.param(InputError("not a month"), 2, id="input"),
        pytest.param(NotFoundError("no such version"), 2, id="not found"),
        pytest.param(DeclarationError("makes no sense"), 2, id="declaration"),
        pytest.param(IntegrityError("was changed"), 3, id="integrity"),
        pytest.param(UnavailableError("no answer"), 3, id="unavailable"),
        pytest.param(ZeroDivisionError("a bug"), 3, id="bug"),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
) -> None:
    """And its message goes to standard error, nothing to standard output."""

    def fail(*_: object, **__: object) -> JobRun:
        raise error

    monkeypatch.setattr(acts, "train", fail)
    assert ml_release(monkeypatch, "train", "flight_delay") == code
    printed = capsys.readouterr()
    assert str(error) in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["train"], id="no line"),
        pytest.param(["train", "train_delay"], id="unknown line"),
        pytest.param(["train", "flight_delay"], id="nothing has landed"),
        pytest.param(["promote", "flight_delay", "first"], id="version is no number"),
        pytest.param(["promote", "flight_delay"], id="nothing registered"),
        pytest.param(["restore", "flight_delay"], id="restored for no reason"),
        pytest.param(["restore", "flight_delay", "--reason", "x"], id="nothing to restore"),
        pytest.param(["restore", "flight_delay", "--environment", "x"], id="no environment"),
        pytest.param(["fly"], id="unknown command"),
        pytest.param(["status", "--yaml"], id="unknown option"),
        pytest.param(["serve", "--host", "0.0.0.0"], id="not loopback"),  # noqa: S104
    ],
)
def test_bad_usage_and_input_end_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """With a message and no traceback."""
    assert ml_release(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert error
    assert "Traceback" not in error


def test_a_rollback_with_nothing_declared_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Safe when nothing is in progress: it changes nothing and says so."""
    assert ml_release(monkeypatch, "rollback", "flight_delay", "--reason", "x") == 1
    assert "nothing is declared" in capsys.readouterr().err


def test_status_of_an_empty_home_is_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing serves, and it waits for a candidate."""
    assert ml_release(monkeypatch, "status", "--json") == 0
    (line,) = json.loads(capsys.readouterr().out)["lines"]
    assert (line["line"], line["serving"], line["versions"]) == ("flight_delay", None, [])
    assert "nothing was trained yet" in line["waits_for"]


def test_status_for_people_names_the_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words, without None."""
    assert ml_release(monkeypatch, "status") == 0
    printed = capsys.readouterr().out
    assert "flight_delay (production)" in printed
    assert "None" not in printed


def test_a_version_that_is_not_there_cannot_be_verified(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input, not a version that failed."""
    assert ml_release(monkeypatch, "verify", "flight_delay", "1") == 2
    assert "expected version 1" in capsys.readouterr().err


@pytest.mark.parametrize(("is_genuine", "code"), [(True, 0), (False, 1)])
def test_verification_ends_in_the_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_genuine: bool,
    code: int,
) -> None:
    """For people each check in words, for programs one object."""
    found = Verification(
        line="flight_delay",
        version=3,
        model_digest="sha256:1",
        checks=(Checked(what="artefact", is_genuine=is_genuine, said="5 files"),),
    )
    monkeypatch.setattr(verification, "verify_version", lambda *_, **__: found)
    assert ml_release(monkeypatch, "verify", "flight_delay", "3") == code
    assert ("NOT OK: 5 files" in capsys.readouterr().out) is not is_genuine
    assert ml_release(monkeypatch, "verify", "flight_delay", "3", "--json") == code
    assert json.loads(capsys.readouterr().out)["is_genuine"] is is_genuine


def moved(**changed: Any) -> JobRun:
    """A run that declared version 2."""
    metadata = {
        "version": 2,
        "shares": "champion version 2: 100 %",
        "release under way": "none",
        "changed": True,
        "commit": "0123456789abcdef",
        "before": "version 1",
        "withdrawn": "none",
        "taken back by": "nobody",
        "why this version": "none",
        **changed,
    }
    return JobRun(run_id="run", metadata={"production_endpoint": metadata}, checks=0)


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_a_move_with_json_prints_one_object_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Scripts read standard output whole."""
    act = {"promote": "promote", "rollback": "roll_back"}[command]
    monkeypatch.setattr(acts, act, lambda *_, **__: moved())
    monkeypatch.setattr(acts, "next_stage", lambda *_, **__: None)
    assert ml_release(monkeypatch, command, "flight_delay", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["version"], document["commit"]) == (2, "0123456789abcdef")


def test_who_asks_and_why_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """They become the trailers of the commit."""
    asked: list[acts.Move] = []

    def promote(_: object, move: acts.Move, **__: object) -> JobRun:
        asked.append(move)
        return moved()

    monkeypatch.setattr(acts, "promote", promote)
    monkeypatch.setattr(acts, "next_stage", lambda *_, **__: None)
    command = ["promote", "flight_delay", "2", "--by", "ada", "--reason", "better in spring"]
    assert ml_release(monkeypatch, *command) == 0
    assert asked == [acts.Move(version=2, by="ada", reason="better in spring")]


def test_a_move_that_changed_nothing_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Retrying is safe, and seen to be."""
    monkeypatch.setattr(acts, "promote", lambda *_, **__: moved(changed=False))
    monkeypatch.setattr(acts, "next_stage", lambda *_, **__: None)
    assert ml_release(monkeypatch, "promote", "flight_delay") == 0
    assert "stands already; nothing was changed" in capsys.readouterr().out


def test_the_budget_of_a_search_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the run that searches."""
    asked: list[dict[str, Any]] = []

    def train(_: object, **options: Any) -> JobRun:
        asked.append(options)
        digests = {"version": 3, "model digest": "sha256:m", "verdict digest": "sha256:v"}
        return JobRun(
            run_id="run",
            metadata={
                "registered_version": digests,
                "evaluation": {"AUC": 0.7, "report": "r.html"},
            },
            checks=20,
        )

    monkeypatch.setattr(acts, "train", train)
    command = ["train", "flight_delay", "--trials", "20", "--search-seconds", "90", "--json"]
    assert ml_release(monkeypatch, *command) == 0
    assert (asked[0]["trials"], asked[0]["search_seconds"]) == (20, 90.0)
    assert json.loads(capsys.readouterr().out)["version"] == 3


def test_scoring_tells_months_rows_and_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words, or as one object."""
    asked: list[dict[str, Any]] = []

    def score(_: object, **options: Any) -> JobRun:
        asked.append(options)
        made = {
            "version": 3,
            "model digest": "sha256:m",
            acts.SCORED: {"2013-02": {"rows": 5}, "2013-03": {"rows": 7}},
        }
        return JobRun(run_id="run", metadata={"batch_predictions": made}, checks=0)

    monkeypatch.setattr(acts, "score", score)
    command = ["score", "flight_delay", "--from", "2013-02", "--to", "2013-03", "--version", "3"]
    assert ml_release(monkeypatch, *command) == 0
    assert "12 rows of 2013-02, 2013-03 scored with version 3" in capsys.readouterr().out
    assert (asked[0]["first"], asked[0]["last"], asked[0]["version"]) == ("2013-02", "2013-03", 3)
    assert ml_release(monkeypatch, *command, "--json") == 0
    assert json.loads(capsys.readouterr().out)["partitions"]["2013-03"]["rows"] == 7


def test_help_lists_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with what it does."""
    assert ml_release(monkeypatch, "--help") == 0
    printed = capsys.readouterr().out
    for command in (
        "train",
        "promote",
        "rollback",
        "status",
        "verify",
        "reproduce",
        "serve",
        "up",
        "score",
    ):
        assert command in printed


def test_a_free_port_can_be_bound() -> None:
    """It is on the loopback interface."""
    port = processes.free_port()
    assert 1024 < port < 65536
