"""What every adapter of `Switches` has to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.in_memory import InMemorySwitches
from ml_release.adapters.switch_files import SwitchFiles
from ml_release.domain.kill_switch import Pulled
from ml_release.errors import DeclarationError, IntegrityError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.ports import Switches

PULLED = Pulled(
    engaged=True, answer=0.1, by="ada", reason="ä|", at=datetime(2013, 10, 1, tzinfo=UTC)
)
RELEASED = PULLED.model_copy(update={"engaged": False, "answer": None})


@pytest.fixture(params=["in_memory", "files"])
def switches(request: pytest.FixtureRequest, tmp_path: Path) -> Switches:
    return InMemorySwitches() if request.param == "in_memory" else SwitchFiles(tmp_path / "s")


def test_what_was_pulled_is_read_back(switches: Switches) -> None:
    """Per line and environment; the last pull stands."""
    assert switches.read("line", "production") is None
    assert switches.lines("production") == ()
    switches.pull("line", "production", PULLED)
    switches.pull("line", "staging", RELEASED)
    assert switches.read("line", "production") == PULLED
    assert switches.read("line", "staging") == RELEASED
    switches.pull("line", "production", RELEASED)
    switches.pull("another", "production", PULLED)
    assert switches.read("line", "production") == RELEASED
    assert switches.lines("production") == ("another", "line")


def test_exactly_what_was_read_is_cleared(switches: Switches) -> None:
    """A pull that came meanwhile stays."""
    assert switches.clear("line", "production", PULLED) is False
    switches.pull("line", "production", RELEASED)
    assert switches.clear("line", "production", PULLED) is False
    assert switches.read("line", "production") == RELEASED
    assert switches.clear("line", "production", RELEASED) is True
    assert switches.read("line", "production") is None


def test_a_line_is_a_plain_name(switches: Switches) -> None:
    """It becomes part of a path."""
    with pytest.raises(DeclarationError):
        switches.pull("../line", "production", PULLED)


def test_a_file_that_is_no_pull_is_refused(tmp_path: Path) -> None:
    """Half a file does not read as a released switch."""
    (tmp_path / "production").mkdir()
    (tmp_path / "production" / "line.json").write_text("{}", encoding="utf-8")
    with pytest.raises(IntegrityError, match="recorded pull"):
        SwitchFiles(tmp_path).read("line", "production")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """One clear error, nothing half-written."""
    (tmp_path / "production").write_text("a file", encoding="utf-8")
    with pytest.raises(UnavailableError, match="production"):
        SwitchFiles(tmp_path).pull("line", "production", PULLED)
