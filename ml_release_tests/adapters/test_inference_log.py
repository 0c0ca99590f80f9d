"""Inference log: what was written is read once, in order, whatever happened to the writer."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from ml_release.adapters.inference_log import InferenceLogFiles
from ml_release.adapters.inference_tables import InferenceTables
from ml_release.adapters.reward_segments import RewardSegments
from ml_release.domain.features import encode, feature_values
from ml_release.domain.inference import InferenceRecord, Label, Reward, feature_columns
from ml_release.errors import DeclarationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

LINE = "flight_delay"
ROOT = Path(__file__).parents[2]


def a_record(request_id: str = "a", row: int = 0, **changes: Any) -> InferenceRecord:
    known: dict[str, Any] = {
        "request_id": request_id,
        "row": row,
        "event_time": "2013-10-01T10:30:00+00:00",
        "received_time": "2013-10-01T10:30:00.125000+00:00",
        "line": LINE,
        "variant": "champion",
        "version": 1,
        "model_digest": "sha256:0",
        "route_commit": "c0",
        "bucket": None,
        "features": {"temp": 41.0, "carrier": "UA", "gust": None},
        "history_digest": None,
        "prediction": 0.25,
        "latency_ms": 0.3,
        "outcome": "ok",
        "error": None,
        "shadow": False,
    }
    return InferenceRecord(**{**known, **changes})


def a_label(request_id: str, label: int, event_time: str = "2013-10-02T00:00:00+00:00") -> Label:
    return Label(
        request_id=request_id, label=label, event_time=event_time, received_time=event_time
    )


def a_clock() -> Callable[[], datetime]:
    moments = itertools.count()
    return lambda: datetime(2013, 10, 1, tzinfo=UTC) + timedelta(seconds=next(moments))


@pytest.fixture
def log(tmp_path: Path) -> InferenceLogFiles:
    return InferenceLogFiles(tmp_path, now=a_clock())


@pytest.fixture
def tables(tmp_path: Path) -> InferenceTables:
    return InferenceTables(tmp_path)


def segments(root: Path, kind: str = "records") -> list[Path]:
    return sorted((root / LINE).glob(f"{kind}-*.jsonl"))


def test_a_record_comes_back_as_it_went_in(log: InferenceLogFiles, tables: InferenceTables) -> None:
    """One column per field; times are moments, a missing bucket stays missing."""
    log.append_records(LINE, [a_record(bucket=17), a_record("b", bucket=None)])
    frame, _ = tables.records(LINE, after={})
    assert list(frame) == list(InferenceRecord.__struct_fields__)
    assert frame["request_id"].tolist() == ["a", "b"]
    assert frame["event_time"][0] == pd.Timestamp("2013-10-01T10:30Z")
    assert frame["bucket"].tolist() == [17, pd.NA]
    assert frame["features"][0] == {"temp": 41.0, "carrier": "UA", "gust": None}


def test_a_segment_of_before_history_was_kept_is_read(
    tmp_path: Path, log: InferenceLogFiles, tables: InferenceTables
) -> None:
    """No line of it is torn; what it does not say is missing, beside lines that say it."""
    folder = tmp_path / LINE
    folder.mkdir()
    old = (
        b'{"request_id":"old","row":0,"event_time":"2013-10-01T10:30:00+00:00",'
        b'"received_time":"2013-10-01T10:30:00.125000+00:00","line":"flight_delay",'
        b'"variant":"champion","version":1,"model_digest":"sha256:0","route_commit":"c0",'
        b'"bucket":null,"features":{"temp":41.0},"history_digest":null,"prediction":0.25,'
        b'"latency_ms":0.3,"outcome":"ok","error":null,"shadow":false}\n'
    )
    (folder / "records-20130930T000000000000Z-1-000001.jsonl").write_bytes(old)
    log.append_records(LINE, [a_record("new", history_age_days=-1, history_misses=2)])
    frame, _ = tables.records(LINE, after={})
    assert frame.attrs["torn_lines"] == 0
    assert frame["request_id"].tolist() == ["old", "new"]
    assert frame["history_age_days"].tolist() == [pd.NA, -1]
    assert frame["history_misses"].tolist() == [pd.NA, 2]


def test_a_line_without_records_is_an_empty_frame(tables: InferenceTables) -> None:
    """The columns have their types although there is no row."""
    frame, cursor = tables.records(LINE, after={})
    assert (len(frame), cursor) == (0, {})
    assert str(frame["event_time"].dtype) == "datetime64[us, UTC]"
    assert frame["prediction"].dtype == "float64"
    assert frame["history_age_days"].dtype == frame["history_misses"].dtype == "Int64"
    assert list(tables.labels(LINE)) == list(Label.__struct_fields__)


def test_a_failed_request_has_no_prediction(
    log: InferenceLogFiles, tables: InferenceTables
) -> None:
    """None becomes NaN in a float column."""
    log.append_records(LINE, [a_record(prediction=None, outcome="error", error="it broke")])
    frame, _ = tables.records(LINE, after={})
    assert frame["prediction"].isna().tolist() == [True]
    assert frame["error"].tolist() == ["it broke"]


def test_a_cursor_gives_what_is_new_and_nothing_else(
    log: InferenceLogFiles, tables: InferenceTables
) -> None:
    """Three reads see three records once each; a fourth sees none."""
    cursor: dict[str, int] = {}
    seen = []
    for name in ("a", "b", "c"):
        log.append_records(LINE, [a_record(name)])
        frame, cursor = tables.records(LINE, after=cursor)
        seen.append(frame["request_id"].tolist())
    frame, again = tables.records(LINE, after=cursor)
    assert seen == [["a"], ["b"], ["c"]]
    assert (len(frame), again) == (0, cursor)


def test_a_full_segment_is_followed_by_another_one(tmp_path: Path, tables: InferenceTables) -> None:
    """Rotation by size loses nothing and keeps the order."""
    log = InferenceLogFiles(tmp_path, now=a_clock(), segment_bytes=1000)
    for i in range(20):
        log.append_records(LINE, [a_record(str(i))])
    frame, cursor = tables.records(LINE, after={})
    assert len(segments(tmp_path)) > 5
    assert frame["request_id"].tolist() == [str(i) for i in range(20)]
    assert set(cursor) == {path.name for path in segments(tmp_path)}


def test_two_writers_never_share_a_segment(tmp_path: Path, tables: InferenceTables) -> None:
    """Writers with the same process id and the same clock still begin files of their own."""
    first = InferenceLogFiles(tmp_path, now=a_clock())
    second = InferenceLogFiles(tmp_path, now=lambda: datetime(2014, 1, 1, tzinfo=UTC))
    first.append_records(LINE, [a_record("a")])
    second.append_records(LINE, [a_record("b")])
    first.append_records(LINE, [a_record("c")])
    assert len(segments(tmp_path)) == 2
    assert set(tables.records(LINE, after={})[0]["request_id"]) == {"a", "b", "c"}


def test_the_same_row_of_a_request_counts_once(
    log: InferenceLogFiles, tables: InferenceTables
) -> None:
    """The first record stands; other rows of the request stay."""
    log.append_records(LINE, [a_record("a", 0), a_record("a", 1)])
    log.append_records(LINE, [a_record("a", 0, prediction=0.9)])
    frame, _ = tables.records(LINE, after={})
    assert frame[["row", "prediction"]].to_numpy().tolist() == [[0, 0.25], [1, 0.25]]


def test_an_unfinished_line_is_left_for_the_next_read(
    tmp_path: Path, log: InferenceLogFiles, tables: InferenceTables
) -> None:
    """While its writer lives, half a line is neither read nor counted as torn."""
    log.append_records(LINE, [a_record("a")])
    (segment,) = segments(tmp_path)
    size = segment.stat().st_size
    whole = segment.read_bytes()
    with segment.open("ab") as file:
        file.write(whole[:100])
    frame, cursor = tables.records(LINE, after={})
    assert frame.attrs["torn_lines"] == 0
    assert cursor == {segment.name: size}
    with segment.open("ab") as file:
        file.write(whole[100:].replace(b'"a"', b'"b"'))
    frame, _ = tables.records(LINE, after=cursor)
    assert len(frame) == 1


def test_a_torn_last_line_of_a_dead_writer_is_skipped_and_counted(
    tmp_path: Path, log: InferenceLogFiles, tables: InferenceTables
) -> None:
    """Nobody will finish it: the cursor goes behind it, once."""
    log.append_records(LINE, [a_record("a")])
    log.close()
    (segment,) = segments(tmp_path)
    with segment.open("ab") as file:
        file.write(b'{"request_id": "tor')
    frame, cursor = tables.records(LINE, after={})
    assert frame["request_id"].tolist() == ["a"]
    assert frame.attrs["torn_lines"] == 1
    assert cursor == {segment.name: segment.stat().st_size}
    assert tables.records(LINE, after=cursor)[0].attrs["torn_lines"] == 0


@pytest.mark.parametrize(
    "torn", [b'{"request_id": "tor\n', b"\x00\x00\n", b'{"request_id": "\xff\xfe"}\n']
)
def test_a_torn_line_in_the_middle_is_skipped_and_counted(
    tmp_path: Path, log: InferenceLogFiles, tables: InferenceTables, torn: bytes
) -> None:
    """The lines around it are read, also around bytes that are no text."""
    log.append_records(LINE, [a_record("a")])
    (segment,) = segments(tmp_path)
    with segment.open("ab") as file:
        file.write(torn)
    log.append_records(LINE, [a_record("b")])
    frame, _ = tables.records(LINE, after={})
    assert frame["request_id"].tolist() == ["a", "b"]
    assert frame.attrs["torn_lines"] == 1


def test_a_write_that_fails_is_an_error_and_leaves_no_torn_line(
    tmp_path: Path, log: InferenceLogFiles, tables: InferenceTables
) -> None:
    """After a broken descriptor the writer says so, and begins another segment."""
    log.append_records(LINE, [a_record("a")])
    segment = log._segments[LINE, "records"]
    reading = os.open(segments(tmp_path)[0], os.O_RDONLY)
    os.dup2(reading, segment.descriptor)
    os.close(reading)
    with pytest.raises(UnavailableError, match="cannot write"):
        log.append_records(LINE, [a_record("b")])
    log.append_records(LINE, [a_record("c")])
    frame, _ = tables.records(LINE, after={})
    assert frame["request_id"].tolist() == ["a", "c"]
    assert len(segments(tmp_path)) == 2


def test_a_full_disk_is_an_error_and_takes_back_what_was_written(tmp_path: Path) -> None:
    """Under a file size limit a batch is written in part: none of it stays, nothing is torn."""
    script = f"""
import resource, signal
from datetime import UTC, datetime
from pathlib import Path
from ml_release.adapters.inference_log import InferenceLogFiles
from ml_release.errors import UnavailableError
from ml_release_tests.adapters.test_inference_log import a_record

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = InferenceLogFiles(Path({str(tmp_path)!r}), now=lambda: datetime.now(tz=UTC))
log.append_records({LINE!r}, [a_record("a")])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    log.append_records({LINE!r}, [a_record(str(i)) for i in range(10)])
except UnavailableError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Is the disk full?" in done.stdout
    frame, _ = InferenceTables(tmp_path).records(LINE, after={})
    assert frame["request_id"].tolist() == ["a"]
    assert frame.attrs["torn_lines"] == 0


def test_every_label_comes_back_in_the_order_in_which_it_came_in(
    log: InferenceLogFiles, tables: InferenceTables
) -> None:
    """Also the second one of a request, and one that another server wrote meanwhile."""
    other = InferenceLogFiles(log._root, now=lambda: datetime(2013, 10, 2, tzinfo=UTC))
    log.append_labels(LINE, [a_label("a", 1), a_label("b", 0)])
    other.append_labels(LINE, [a_label("c", 0, "2013-10-03T00:00:00+00:00")])
    log.append_labels(LINE, [a_label("a", 0, "2013-10-04T00:00:00+00:00")])
    frame = tables.labels(LINE)
    assert list(frame) == list(Label.__struct_fields__)
    assert frame["request_id"].tolist() == ["a", "b", "c", "a"]
    assert frame["label"].tolist() == [1, 0, 0, 0]
    assert frame["event_time"][0] == pd.Timestamp("2013-10-02T00:00Z")


def test_records_and_labels_do_not_mix(log: InferenceLogFiles, tables: InferenceTables) -> None:
    """They have segments of their own."""
    log.append_labels(LINE, [a_label("a", 1)])
    log.append_records(LINE, [a_record("a")])
    assert len(tables.labels(LINE)) == len(tables.records(LINE, after={})[0]) == 1


def test_a_line_name_cannot_leave_the_folder(log: InferenceLogFiles) -> None:
    """A name that is no line name is refused before a path is made of it."""
    with pytest.raises(DeclarationError):
        log.append_records("../elsewhere", [a_record()])


def test_logged_features_come_back_as_the_model_saw_them(
    log: InferenceLogFiles, tables: InferenceTables
) -> None:
    """`feature_columns` gives floats with NaN and words with None, ready to encode."""
    from ml_release.domain.features import Category, Number, fit_plan

    features = (Number(name="temp", column="temp"), Category(name="carrier", column="carrier"))
    rows: list[dict[str, Any]] = [
        {"temp": 41.0, "carrier": "UA"},
        {"temp": None, "carrier": None},
    ]
    log.append_records(LINE, [a_record(str(i), features=row) for i, row in enumerate(rows)])
    columns = feature_columns(tables.records(LINE, after={})[0]["features"].tolist())
    plan = fit_plan(features, feature_values(features, columns))
    matrix = encode(plan, columns)
    assert matrix[0].tolist() == [41.0, 0.0]
    assert pd.isna(matrix[1]).tolist() == [True, True]


def a_reward(request_id: str, received: str, **changes: Any) -> Reward:
    known: dict[str, Any] = {
        "request_id": request_id,
        "reward": 0.5,
        "experiment": "colours",
        "version": 2,
        "propensity": 0.25,
        "event_time": received,
        "received_time": received,
    }
    return Reward(**{**known, **changes})


def test_rewards_come_back_in_the_order_they_came_in(
    tmp_path: Path, log: InferenceLogFiles, tables: InferenceTables
) -> None:
    """With what nobody knows of them missing; they are news, and a torn one is left out."""
    early, late = "2013-10-01T00:00:00+00:00", "2013-10-02T00:00:00+00:00"
    assert list(tables.rewards(LINE)) == list(Reward.__struct_fields__)
    unknown = a_reward("b", early, experiment=None, version=None, propensity=None)
    log.append_rewards(LINE, [a_reward("a", late), unknown])
    size = tables.size(LINE)
    log.close()
    (segment,) = segments(tmp_path, "rewards")
    with segment.open("ab") as file:
        file.write(b'{"request_id": "torn')
    frame = tables.rewards(LINE)
    assert frame["request_id"].tolist() == ["b", "a"]
    assert frame["version"].tolist() == [pd.NA, 2]
    assert frame["propensity"].isna().tolist() == [True, False]
    assert frame["reward"].tolist() == [0.5, 0.5]
    assert frame.attrs["torn_lines"] == 1
    assert size > 0


@pytest.mark.parametrize("torn", [b'{"request_id": "torn\n', b'{"request_id": "\xff\xfe"}\n'])
def test_the_server_learns_from_the_rewards_around_a_torn_one(
    tmp_path: Path, log: InferenceLogFiles, torn: bytes
) -> None:
    """It starts all the same."""
    moment = "2013-10-01T00:00:00+00:00"
    log.append_rewards(LINE, [a_reward("a", moment)])
    (segment,) = segments(tmp_path, "rewards")
    with segment.open("ab") as file:
        file.write(torn)
    log.append_rewards(LINE, [a_reward("b", moment)])
    found = [one.request_id for one in RewardSegments(segment.parents[1]).rewards(LINE)]
    assert found == ["a", "b"]
