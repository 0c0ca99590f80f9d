"""Archives: the same records in another form, at whatever moment the archivist is killed."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_release.adapters.inference_log import InferenceLogFiles
from ml_release.adapters.inference_tables import (
    InferenceArchiveFiles,
    InferenceTables,
    archive,
    parquet_form,
    tables,
)
from ml_release.adapters.inference_tables.parquet_form import table_of
from ml_release.domain.log_archive import Archived, Deleted
from ml_release.errors import IntegrityError
from ml_release_tests.adapters.test_inference_log import (
    LINE,
    ROOT,
    a_clock,
    a_label,
    a_record,
    segments,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.inference import InferenceRecord

VALUES = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5))
OLD, NEW = "2013-10-01T10:30:00+00:00", "2013-10-05T10:30:00.000001+00:00"


def written(root: Path, *batches: list[InferenceRecord]) -> InferenceLogFiles:
    """A writer that has closed one segment per batch."""
    log = InferenceLogFiles(root, now=a_clock())
    for records in batches:
        log.append_records(LINE, records)
        log.close()
    return log


def archives(root: Path) -> list[Path]:
    return sorted((root / LINE).glob("*.parquet"))


def read(root: Path, after: dict[str, int] | None = None) -> tuple[pd.DataFrame, dict[str, int]]:
    return InferenceTables(root).records(LINE, after=after or {})


@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from(["temp", "carrier", "a.b", "_end"]), VALUES), max_size=6
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_archive_reads_as_its_segment_did(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    """Whatever features the records have, in whatever order; the cursor stays the same."""
    root = tmp_path_factory.mktemp("log")
    written(
        root,
        [
            a_record(
                str(i),
                features=row,
                bucket=None if i % 2 else i,
                error="x" * i,
                probabilities=None if i % 3 else (0.1, 0.2, 1 - 0.1 - 0.2),
            )
            for i, row in enumerate(rows)
        ],
    )
    before, cursor = read(root)
    size = InferenceTables(root).size(LINE)
    done = InferenceArchiveFiles(root).archive(LINE)
    after, again = read(root)
    assert (done.segments, done.rows, segments(root)) == (1, len(rows), [])
    pd.testing.assert_frame_equal(before, after)
    assert [list(row) for row in after["features"]] == [list(row) for row in rows]
    assert (again, InferenceTables(root).size(LINE)) == (cursor, size)
    assert len(read(root, cursor)[0]) == 0


def test_a_cursor_inside_a_segment_stays_valid_when_it_is_archived(tmp_path: Path) -> None:
    """What was read of the JSON is not read again of the Parquet, and nothing is left out."""
    log = InferenceLogFiles(tmp_path, now=a_clock())
    log.append_records(LINE, [a_record("a"), a_record("b")])
    _, cursor = read(tmp_path)
    log.append_records(LINE, [a_record("c"), a_record("d")])
    log.close()
    InferenceArchiveFiles(tmp_path).archive(LINE)
    frame, cursor = read(tmp_path, cursor)
    assert frame["request_id"].tolist() == ["c", "d"]
    assert len(read(tmp_path, cursor)[0]) == 0


def test_an_open_segment_is_left_alone(tmp_path: Path) -> None:
    """Its writer holds the lock; so does a reader for a moment."""
    log = InferenceLogFiles(tmp_path, now=a_clock())
    log.append_records(LINE, [a_record("a")])
    files = InferenceArchiveFiles(tmp_path)
    assert files.finished(LINE) == 0
    assert files.archive(LINE) == Archived(left_open=1)
    log.close()
    with segments(tmp_path)[0].open("rb") as reader:
        fcntl.flock(reader.fileno(), fcntl.LOCK_SH)
        assert files.archive(LINE) == Archived(left_open=1)
    assert files.finished(LINE) == 1
    assert files.archive(LINE).segments == 1


def test_torn_lines_are_counted_in_either_form(tmp_path: Path) -> None:
    """Once, and not behind a cursor that is past them."""
    written(tmp_path, [a_record("a")])
    (segment,) = segments(tmp_path)
    with segment.open("ab") as file:
        file.write(b'{"request_id": "tor')
    assert InferenceArchiveFiles(tmp_path).archive(LINE).torn_lines == 1
    frame, cursor = read(tmp_path)
    assert (frame["request_id"].tolist(), frame.attrs["torn_lines"]) == (["a"], 1)
    assert read(tmp_path, cursor)[0].attrs["torn_lines"] == 0


def test_labels_are_archived_too(tmp_path: Path) -> None:
    """In the order in which they came in, with those that are not archived yet."""
    log = InferenceLogFiles(tmp_path, now=a_clock())
    log.append_labels(LINE, [a_label("a", 1), a_label("b", 0)])
    log.close()
    InferenceArchiveFiles(tmp_path).archive(LINE)
    log.append_labels(LINE, [a_label("a", 0)])
    assert InferenceTables(tmp_path).labels(LINE)["label"].tolist() == [1, 0, 0]


def test_an_archive_that_does_not_read_back_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segment stays, and no archive has its name."""
    written(tmp_path, [a_record("a"), a_record("b")])
    monkeypatch.setattr(archive, "table_of", lambda lines, type_: table_of(lines, type_).slice(1))
    with pytest.raises(IntegrityError, match="Nothing was replaced"):
        InferenceArchiveFiles(tmp_path).archive(LINE)
    assert (len(segments(tmp_path)), archives(tmp_path)) == (1, [])
    assert len(read(tmp_path)[0]) == 2


@pytest.mark.parametrize("step", ["write_table", "_put", "_sync_folder"])
def test_a_kill_at_any_step_loses_nothing_and_doubles_nothing(tmp_path: Path, step: str) -> None:
    """Killed after the step, each record is read once, and the next run ends the work."""
    written(tmp_path, [a_record(str(i)) for i in range(20)])
    script = f"""
import os, signal
from pathlib import Path
from ml_release.adapters.inference_tables import archive
step = archive.{step}
def killed(*arguments, **named):
    step(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
archive.{step} = killed
archive.InferenceArchiveFiles(Path({str(tmp_path)!r})).archive({LINE!r})
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    expected = [str(i) for i in range(20)]
    assert read(tmp_path)[0]["request_id"].tolist() == expected
    InferenceArchiveFiles(tmp_path).archive(LINE)
    assert read(tmp_path)[0]["request_id"].tolist() == expected
    assert (len(archives(tmp_path)), segments(tmp_path)) == (1, [])
    assert [path.name for path in (tmp_path / LINE).iterdir()] == [archives(tmp_path)[0].name]


def test_a_reader_meets_every_record_once_while_segments_are_archived(tmp_path: Path) -> None:
    """However often it looks."""
    written(tmp_path, *([a_record(f"{part}-{i}") for i in range(5)] for part in range(12)))
    thread = threading.Thread(target=InferenceArchiveFiles(tmp_path).archive, args=(LINE,))
    thread.start()
    seen = set()
    while thread.is_alive():
        seen.add(len(read(tmp_path)[0]))
    thread.join()
    # A segment that a reader holds is left for the next run.
    assert seen <= {60}
    assert len(read(tmp_path)[0]) == 60


def test_what_came_in_before_a_moment_is_deleted(tmp_path: Path) -> None:
    """Whole archives and parts of one; the cursor and the rest stay as they were."""
    written(
        tmp_path,
        [a_record("a", received_time=OLD)],
        [a_record("b", received_time=OLD), a_record("c", received_time=NEW)],
        [a_record("d", received_time=NEW)],
    )
    log = InferenceLogFiles(tmp_path, now=lambda: datetime(2013, 10, 9, tzinfo=UTC))
    log.append_labels(LINE, [a_label("a", 1, OLD), a_label("c", 0, NEW)])
    log.close()
    files = InferenceArchiveFiles(tmp_path)
    files.archive(LINE)
    _, cursor = read(tmp_path)
    done = files.delete_before(LINE, datetime.fromisoformat(NEW))
    assert (done.records, done.labels, done.files, done.rewritten) == (2, 1, 1, 2)
    assert done.bytes_freed > 0
    frame, _ = read(tmp_path)
    assert frame["request_id"].tolist() == ["c", "d"]
    assert InferenceTables(tmp_path).labels(LINE)["request_id"].tolist() == ["c"]
    assert len(read(tmp_path, cursor)[0]) == 0
    assert files.delete_before(LINE, datetime.fromisoformat(NEW)) == Deleted()


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """By its name."""
    folder = tmp_path / LINE
    folder.mkdir()
    (folder / "records-1.20.parquet").write_bytes(b"not parquet")
    with pytest.raises(IntegrityError, match="expected an archive of the inference log"):
        read(tmp_path)


def test_age_closes_a_segment_without_a_request(tmp_path: Path) -> None:
    """A line that nobody asks any more is archived as well."""
    log = InferenceLogFiles(tmp_path, now=a_clock(), segment_seconds=0.05)
    log.append_records(LINE, [a_record("a")])
    time.sleep(0.06)
    log.close_aged()
    assert InferenceArchiveFiles(tmp_path).finished(LINE) == 1


def moments(root: Path, since: str, until: str, *, rows_per_batch: int = 100) -> list[list[str]]:
    """Request ids per batch of what came in between two moments."""
    batches = InferenceTables(root).between(
        LINE,
        datetime.fromisoformat(since),
        datetime.fromisoformat(until),
        rows_per_batch=rows_per_batch,
    )
    return [batch["request_id"].tolist() for batch in batches]


@pytest.mark.parametrize("archived", [False, True])
def test_records_between_two_moments_come_in_batches(tmp_path: Path, archived: bool) -> None:
    """The first moment belongs to them, the last one does not; segments stay apart."""
    written(
        tmp_path,
        [a_record("a", received_time=OLD), a_record("b", received_time=OLD), a_record("b")],
        [a_record("c", received_time=NEW), a_record("d", received_time=NEW)],
    )
    if archived:
        InferenceArchiveFiles(tmp_path).archive(LINE)
    assert moments(tmp_path, OLD, NEW) == [["a", "b"]]
    assert moments(tmp_path, NEW, "2014-01-01T00:00:00+00:00") == [["c", "d"]]
    assert moments(tmp_path, OLD, "2014-01-01T00:00:00+00:00", rows_per_batch=1) == [
        ["a"],
        ["b"],
        ["c"],
        ["d"],
    ]
    assert moments(tmp_path, "2014-01-01T00:00:00+00:00", "2015-01-01T00:00:00+00:00") == []


def test_an_archive_of_other_times_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its head says when its records came in."""
    written(tmp_path, [a_record("a", received_time=OLD)], [a_record("b", received_time=NEW)])
    InferenceArchiveFiles(tmp_path).archive(LINE)
    read_now = []
    real = parquet_form.read_table

    def read_table(path: Path) -> Any:
        read_now.append(path)
        return real(path)

    monkeypatch.setattr(tables, "read_table", read_table)
    assert moments(tmp_path, NEW, "2014-01-01T00:00:00+00:00") == [["b"]]
    assert len(read_now) == 1
    (tmp_path / LINE / archives(tmp_path)[0].name).write_bytes(b"nonsense")
    with pytest.raises(IntegrityError, match="expected an archive"):
        moments(tmp_path, OLD, NEW)


def test_who_needs_nothing_old_passes_old_archives_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They count as read; a record of the very moment is told, and so is what is not archived."""
    log = written(tmp_path, [a_record("a", received_time=OLD)], [a_record("b", received_time=NEW)])
    InferenceArchiveFiles(tmp_path).archive(LINE)
    log.append_records(LINE, [a_record("c", received_time=OLD)])
    log.close()
    everything, end = InferenceTables(tmp_path).records(LINE, after={})
    assert sorted(everything["request_id"]) == ["a", "b", "c"]
    since = datetime.fromisoformat(NEW)
    read_now = []
    real = parquet_form.read_table

    def read_table(path: Path) -> Any:
        read_now.append(path)
        return real(path)

    monkeypatch.setattr(tables, "read_table", read_table)
    young, cursor = InferenceTables(tmp_path).records(LINE, after={}, since=since)
    assert sorted(young["request_id"]) == ["b", "c"]
    assert cursor == end
    assert len(read_now) == 1


@pytest.mark.parametrize("archived", [False, True])
def test_a_long_log_is_read_in_parts(tmp_path: Path, archived: bool) -> None:
    """Segment by segment once enough was read; together they are what one read gives."""
    written(tmp_path, *([a_record(f"{batch} {i}") for i in range(3)] for batch in range(4)))
    if archived:
        InferenceArchiveFiles(tmp_path).archive(LINE)
    tables = InferenceTables(tmp_path)
    whole, end = tables.records(LINE, after={})
    nothing, cursor = tables.records(LINE, after={}, enough_bytes=0)
    assert (len(nothing), list(nothing), cursor) == (0, list(whole), {})
    parts = []
    while cursor != end:
        part, cursor = tables.records(LINE, after=cursor, enough_bytes=1)
        assert len(part) == 3
        parts.append(part)
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)
    again, same = tables.records(LINE, after=end, enough_bytes=1)
    assert (len(again), same) == (0, end)


@pytest.mark.parametrize("archived", [False, True])
def test_every_request_is_there_once_whoever_was_asked(tmp_path: Path, archived: bool) -> None:
    """Not the further rows of a batch, not a shadow, not a repetition; failed ones are."""
    failed = a_record("b", outcome="error", prediction=None)
    batch = [a_record("c", row=0), a_record("c", row=1)]
    secret = [a_record("a", shadow=True), a_record("d", shadow=True)]
    written(tmp_path, [a_record("a"), failed], [*batch, *secret, a_record("a")])
    if archived:
        InferenceArchiveFiles(tmp_path).archive(LINE)
        assert archives(tmp_path)
    log = InferenceTables(tmp_path)
    asked = log.asked(LINE)
    assert list(asked.columns) == ["request_id", "event_time"]
    assert list(asked["request_id"]) == ["a", "b", "c"]
    whole, _ = log.records(LINE, after={})
    assert set(asked["event_time"]) == set(whole["event_time"])
    assert asked["event_time"].dtype == whole["event_time"].dtype
    assert log.asked("other_line").empty
