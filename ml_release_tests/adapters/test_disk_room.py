"""Bounds of the log: full is said before anything is written, and room is seen again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.inference_log import InferenceLogFiles, disk_room
from ml_release.adapters.inference_tables import InferenceArchiveFiles, InferenceTables
from ml_release.domain.log_health import LogBounds
from ml_release.errors import LogFullError
from ml_release_tests.adapters.test_inference_log import LINE, a_clock, a_record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_room, "_SECONDS_WHILE_FULL", 0.0)


def test_a_full_log_refuses_and_goes_on_once_there_is_room(tmp_path: Path) -> None:
    """Archiving makes room; the refused batch left nothing."""
    log = InferenceLogFiles(tmp_path, now=a_clock(), bounds=LogBounds(max_bytes=60_000))
    for number in range(100):
        log.append_records(LINE, [a_record(str(number))])
    batch = [a_record(str(number)) for number in range(100)]
    with pytest.raises(LogFullError, match=r"expected at most 60000 bytes .*, found \d+"):
        log.append_records(LINE, batch)
    assert log.health().is_full
    assert "the log is full" in (log.health().last_error or "")
    assert len(InferenceTables(tmp_path).records(LINE, after={})[0]) == 100
    log.close()
    InferenceArchiveFiles(tmp_path).archive(LINE)
    log.append_records(LINE, [a_record("again")])
    assert not log.health().is_full
    assert (log.health().segments, log.health().archives) == (1, 1)


def test_bytes_that_have_to_stay_free_are_left(tmp_path: Path) -> None:
    """More than any disk has is never free."""
    log = InferenceLogFiles(tmp_path / "not" / "yet", now=a_clock())
    assert log.health().free_bytes
    full = InferenceLogFiles(tmp_path, now=a_clock(), bounds=LogBounds(min_free_bytes=2**62))
    with pytest.raises(LogFullError, match="expected 4611686018427387904 bytes to stay free"):
        full.append_records(LINE, [a_record("a")])
    assert list(tmp_path.iterdir()) == []
