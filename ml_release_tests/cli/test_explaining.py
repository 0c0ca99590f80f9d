"""The commands that explain and audit: arguments, exit codes and what they print."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ml_release import cli
from ml_release.domain.audit import Audit, AuditRow, Violation
from ml_release.domain.explanation import Explanation, Fact, Section
from ml_release.workflows import auditing, explaining

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home."""
    for name in ("MLFLOW_TRACKING_URI", "DAGSTER_HOME", "ML_RELEASE_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ML_RELEASE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def ml_release(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command as the shell does; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["ml-release", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


ROW = AuditRow(
    at="2013-10-01T00:00:00+00:00",
    commit="c1",
    actor="ada [bold]",
    move="version 1 declared, the first one",
    version=1,
    shares_before="nothing",
    shares_after="version 1: 100 %",
    reason="its gates",
    approved_by="bob",
    is_sealed=True,
    evidence_checks_out=True,
)
VIOLATION = Violation(rule="commits_are_sealed", commit="c1", said="nobody sealed it")


def an_audit(*violations: Violation) -> Audit:
    return Audit(line="flight_delay", environment="production", rows=(ROW,), violations=violations)


@pytest.mark.parametrize(("violations", "code"), [((), 0), ((VIOLATION,), 1)])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_audit_ends_with_1_if_something_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    violations: tuple[Violation, ...],
    code: int,
    form: list[str],
) -> None:
    """In words or as one object."""
    asked: list[str] = []

    def audit_line(*_: object, environment: str, **__: object) -> Audit:
        asked.append(environment)
        return an_audit(*violations)

    monkeypatch.setattr(auditing, "audit_line", audit_line)
    arguments = ["audit", "flight_delay", "--environment", "staging", *form]
    assert ml_release(monkeypatch, *arguments) == code
    printed = capsys.readouterr().out
    assert asked == ["staging"]
    if form:
        document = json.loads(printed)
        assert document["is_clean"] is (code == 0)
        assert document["rows"][0]["actor"] == "ada [bold]"
    else:
        assert ("nobody sealed it" in printed) is bool(violations)


def test_an_explanation_is_told_in_words_and_as_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not known says why; what does not check out is counted."""
    facts = (
        Fact(name="verdict", value="pass", check="does not check out", said="another"),
        Fact(name="label", value=None, why_not="none was gathered"),
    )
    told = Explanation(
        line="flight_delay",
        environment="production",
        asked="request r",
        sections=(Section(title="answer", facts=facts),),
    )
    asked: dict[str, Any] = {}

    def explain_request(_line: object, request_id: str, **fields: Any) -> Explanation:
        asked.update(fields, request_id=request_id)
        return told

    monkeypatch.setattr(explaining, "explain_request", explain_request)
    arguments = ["explain", "flight_delay", "--request", "r", "--unit", "u"]
    assert ml_release(monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    assert "DOES NOT CHECK OUT" in printed
    assert "not known: none was gathered" in printed
    assert (asked["request_id"], asked["unit"]) == ("r", "u")
    assert ml_release(monkeypatch, *arguments, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["problems"], document["unknown"]) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["explain", "flight_delay"], "found neither"),
        (["explain", "flight_delay", "--at", "2013-10-01T00:00Z", "--request", "r"], "found both"),
        (["explain", "flight_delay", "--at", "noon"], "expected a time"),
        (["explain", "flight_delay", "--at", "2013-10-01T12:00"], "time zone"),
        (["explain", "flight_delay", "--request", "r"], "expected the request 'r'"),
        (["audit", "flight_delay"], "expected something declared"),
        (["audit", "flight_delay", "--environment", "moon"], "moon"),
    ],
)
def test_bad_usage_and_what_is_not_there_end_with_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    """With a message that says what was expected."""
    assert ml_release(monkeypatch, *arguments) == 2
    assert says in capsys.readouterr().err
