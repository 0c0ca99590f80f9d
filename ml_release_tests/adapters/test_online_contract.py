"""What every adapter of `OnlineHistory` has to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.in_memory import InMemoryOnlineHistory
from ml_release.adapters.online_files import OnlineFiles
from ml_release.domain.history_table import HistoryTable
from ml_release.errors import DeclarationError, IntegrityError

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.ports import OnlineHistory

TABLE = HistoryTable(
    as_of="2013-04-01",
    values={"late_rate": {"AA": 0.1 + 0.2, "ä|\\|": 0.0}, "empty": {}},
    defaults={"late_rate": 0.15, "empty": None},
)


@pytest.fixture(params=["in_memory", "files"])
def online(request: pytest.FixtureRequest, tmp_path: Path) -> OnlineHistory:
    return InMemoryOnlineHistory() if request.param == "in_memory" else OnlineFiles(tmp_path / "o")


def test_a_table_is_read_as_it_was_published(online: OnlineHistory) -> None:
    """To the last bit: training computed the same value."""
    online.publish("line", TABLE)
    assert online.read("line") == TABLE


def test_nothing_published_is_none(online: OnlineHistory) -> None:
    """Also beside another line."""
    assert online.read("line") is None
    online.publish("other", TABLE)
    assert online.read("line") is None


def test_a_table_replaces_the_one_before(online: OnlineHistory) -> None:
    """Nothing of the old one is left."""
    online.publish("line", TABLE)
    newer = HistoryTable(as_of="2013-04-02", values={}, defaults={})
    online.publish("line", newer)
    assert online.read("line") == newer


def test_a_line_is_a_plain_name(online: OnlineHistory) -> None:
    """It becomes part of a path."""
    with pytest.raises(DeclarationError):
        online.publish("../line", TABLE)


def test_files_leave_no_drafts_and_say_where_the_table_is(tmp_path: Path) -> None:
    """A reader sees by the file's time that it changed."""
    online = OnlineFiles(tmp_path)
    online.publish("line", TABLE)
    online.publish("line", TABLE)
    assert list(tmp_path.iterdir()) == [online.path("line")]


def test_a_damaged_file_is_an_integrity_error(tmp_path: Path) -> None:
    """Half a table is not answered from."""
    online = OnlineFiles(tmp_path)
    online.publish("line", TABLE)
    path = online.path("line")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="history table"):
        online.read("line")
