"""What every adapter of `Tables` has to do, and what Delta tables do besides."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ml_release.adapters.delta_tables import DeltaTables, content_digest
from ml_release.adapters.in_memory import InMemoryTables
from ml_release.errors import InputError, IntegrityError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ml_release.domain.identity import SnapshotId
    from ml_release.ports import Tables

LINE, TABLE = "flight_delay", "snapshots"


@pytest.fixture(params=["in_memory", "delta"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Tables:
    return InMemoryTables() if request.param == "in_memory" else DeltaTables(tmp_path)


def frame(*numbers: float) -> pd.DataFrame:
    """Rows of every type a line uses, with missing values."""
    n = len(numbers)
    return pd.DataFrame(
        {
            "number": np.array(numbers, dtype=float),
            "word": pd.Series([None if i % 2 else f"w{i}" for i in range(n)], dtype=object),
            "count": np.arange(n, dtype=np.int64),
            "flag": np.arange(n) % 2 == 0,
            "local": pd.date_range("2013-01-01", periods=n, freq="h", unit="us"),
            "instant": pd.date_range("2013-01-01", periods=n, freq="h", tz="UTC", unit="us"),
        }
    )


def write(tables: Tables, rows: pd.DataFrame, partition: str = "2013-01") -> SnapshotId:
    return tables.write(LINE, TABLE, partition, rows)


def partitions(tables: Tables) -> list[tuple[str, str, int]]:
    return [(s.partition, s.digest, s.rows) for s in tables.current(LINE, TABLE)]


def test_rows_are_read_as_they_were_written(tables: Tables) -> None:
    """Values, types, order and missing values."""
    rows = frame(3.0, float("nan"), 1.0, 2.0)
    snapshot = write(tables, rows)
    pd.testing.assert_frame_equal(tables.read(snapshot, TABLE), rows)
    assert (snapshot.line, snapshot.partition, snapshot.rows) == (LINE, "2013-01", 4)


def test_nothing_written_is_no_partition(tables: Tables) -> None:
    """Asking for a table that does not exist is no error."""
    assert tables.current(LINE, TABLE) == ()


def test_current_lists_every_partition_in_order(tables: Tables) -> None:
    """Whatever the order of writing."""
    second, first = write(tables, frame(2), "2013-02"), write(tables, frame(1, 1), "2013-01")
    assert partitions(tables) == [("2013-01", first.digest, 2), ("2013-02", second.digest, 1)]
    for snapshot in tables.current(LINE, TABLE):
        assert len(tables.read(snapshot, TABLE)) == snapshot.rows


def test_the_same_rows_again_write_nothing(tables: Tables) -> None:
    """A retried run leaves no second version."""
    write(tables, frame(1, 2))
    before = tables.current(LINE, TABLE)
    again = write(tables, frame(1, 2))
    assert (again,) == before == tables.current(LINE, TABLE)


def test_other_rows_replace_their_partition_only(tables: Tables) -> None:
    """The partition beside it is untouched."""
    write(tables, frame(1, 2), "2013-01")
    other = write(tables, frame(9), "2013-02")
    new = write(tables, frame(3), "2013-01")
    assert partitions(tables) == [("2013-01", new.digest, 1), ("2013-02", other.digest, 1)]
    assert tables.read(new, TABLE)["number"].tolist() == [3]


def test_a_snapshot_stays_readable_when_its_partition_was_replaced(tables: Tables) -> None:
    """What a model was trained on can be read again."""
    old = write(tables, frame(1, 2))
    write(tables, frame(3))
    assert tables.read(old, TABLE)["number"].tolist() == [1, 2]


def test_the_order_of_rows_is_content(tables: Tables) -> None:
    """A training that depends on it can be repeated."""
    assert write(tables, frame(1, 2)).digest != write(tables, frame(2, 1)).digest


def test_a_partition_may_bring_a_new_column(tables: Tables) -> None:
    """The partitions from before stay what they were, and readable."""
    write(tables, frame(1), "2013-01")
    write(tables, frame(2).assign(new=7.0), "2013-02")
    first, second = tables.current(LINE, TABLE)
    assert tables.read(first, TABLE)["number"].tolist() == [1]
    assert tables.read(second, TABLE)["new"].tolist() == [7]


def test_a_partition_may_have_its_columns_in_another_order(tables: Tables) -> None:
    """Columns are read by name."""
    write(tables, frame(1), "2013-01")
    turned = frame(2)[["word", "number", "local", "count", "flag", "instant"]]
    found = tables.read(write(tables, turned, "2013-02"), TABLE)
    pd.testing.assert_frame_equal(found[list(turned)], turned)


def test_a_column_of_words_may_be_missing_altogether(tables: Tables) -> None:
    """A month without any value of a column is still a month."""
    write(tables, frame(1), "2013-01")
    silent = frame(2).assign(word=None)
    found = tables.read(write(tables, silent, "2013-02"), TABLE)
    assert found["word"].isna().all()


def test_no_rows_are_refused_and_nothing_is_written(tables: Tables) -> None:
    """An empty partition would replace a good one."""
    standing = write(tables, frame(1))
    with pytest.raises(InputError, match="expected rows, found none"):
        write(tables, frame(1).iloc[:0])
    assert partitions(tables) == [("2013-01", standing.digest, 1)]


def test_a_column_of_mixed_types_is_refused(tables: Tables) -> None:
    """It would come back as something else."""
    with pytest.raises(InputError, match="expected columns of one"):
        write(tables, pd.DataFrame({"a": [1, "x"]}))
    assert tables.current(LINE, TABLE) == ()


def test_another_digest_than_the_rows_have_is_an_integrity_error(tables: Tables) -> None:
    """A snapshot is what its digest says or nothing."""
    snapshot = replace(write(tables, frame(1)), digest="sha256:" + "0" * 64)
    with pytest.raises(IntegrityError, match="expected digest sha256:000"):
        tables.read(snapshot, TABLE)


def test_a_partition_that_was_never_written_is_an_integrity_error(tables: Tables) -> None:
    """No rows do not have the digest either."""
    with pytest.raises(IntegrityError):
        tables.read(replace(write(tables, frame(1)), partition="2013-02"), TABLE)


def test_a_table_or_version_that_does_not_exist_is_not_found(tables: Tables) -> None:
    """The caller may have the wrong home folder."""
    snapshot = write(tables, frame(1))
    with pytest.raises(NotFoundError):
        tables.read(snapshot, "other")
    with pytest.raises(NotFoundError):
        tables.read(replace(snapshot, table_version=99), TABLE)


def test_writers_of_different_partitions_lose_nothing(tables: Tables) -> None:
    """Six at once, the table not made yet."""
    names = [f"2013-{month:02d}" for month in range(1, 7)]
    failures: list[BaseException] = []

    def work(number: int, name: str) -> None:
        try:
            write(tables, frame(number), name)
        except BaseException as error:  # noqa: BLE001 (asserted below)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n, name)) for n, name in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [partition for partition, _, _ in partitions(tables)] == names
    read = [tables.read(s, TABLE)["number"].tolist() for s in tables.current(LINE, TABLE)]
    assert read == [[number] for number in range(6)]


def in_batches(tables: Tables, rows: pd.DataFrame, *sizes: int) -> SnapshotId:
    """Write the rows in batches of these sizes, the rest in a last one."""
    ends = [0, *np.cumsum(sizes).tolist(), len(rows)]
    parts = (rows[a:b].reset_index(drop=True) for a, b in pairwise(ends))
    return tables.write_batches(LINE, TABLE, "2013-01", parts)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_scan_gives_the_rows_in_order_and_in_bounds(tables: Tables, size: int) -> None:
    """All of them, in batches of at most as many rows as asked for."""
    rows = frame(3.0, float("nan"), 1.0, 2.0, 5.0)
    found = list(tables.scan(write(tables, rows), TABLE, rows_per_batch=size))
    assert max(map(len, found)) <= size
    pd.testing.assert_frame_equal(pd.concat(found, ignore_index=True), rows)


@pytest.mark.parametrize("sizes", [(), (1,), (2, 2), (0, 3)])
def test_rows_in_batches_are_the_same_rows(tables: Tables, sizes: tuple[int, ...]) -> None:
    """Same digest as in one piece, whatever the batches; the same rows again write nothing."""
    rows = frame(3.0, float("nan"), 1.0, 2.0, 5.0)
    found = in_batches(tables, rows, *sizes)
    pd.testing.assert_frame_equal(tables.read(found, TABLE), rows)
    assert write(tables, rows) == found == tables.current(LINE, TABLE)[0]
    assert in_batches(tables, rows, *sizes) == found


def test_batches_replace_their_partition_only(tables: Tables) -> None:
    """And may bring a new column."""
    old, other = write(tables, frame(1, 2)), write(tables, frame(9), "2013-02")
    new = in_batches(tables, frame(3, 4, 5).assign(new=1.0), 2)
    assert partitions(tables) == [("2013-01", new.digest, 3), ("2013-02", other.digest, 1)]
    assert tables.read(new, TABLE)["new"].tolist() == [1, 1, 1]
    assert tables.read(old, TABLE)["number"].tolist() == [1, 2]
    assert tables.read(tables.current(LINE, TABLE)[1], TABLE)["number"].tolist() == [9]


def test_a_batch_that_cannot_be_had_leaves_what_was(tables: Tables) -> None:
    """What it raises is passed on, and nothing is half-written."""
    standing = write(tables, frame(1))

    def broken() -> Iterator[pd.DataFrame]:
        yield frame(2, 3)
        message = "the model failed"
        raise IntegrityError(message)

    with pytest.raises(IntegrityError, match="the model failed"):
        tables.write_batches(LINE, TABLE, "2013-01", broken())
    assert partitions(tables) == [("2013-01", standing.digest, 1)]


@pytest.mark.parametrize(
    "batches",
    [
        pytest.param([], id="none"),
        pytest.param([frame(1)[:0]], id="an empty one"),
        pytest.param([frame(1), frame(2).drop(columns="word")], id="a column less"),
        pytest.param([frame(1), frame(2).assign(more=1)], id="a column more"),
    ],
)
def test_batches_that_make_no_table_are_refused(
    tables: Tables, batches: list[pd.DataFrame]
) -> None:
    """Nothing is there afterwards."""
    with pytest.raises(InputError, match="expected"):
        tables.write_batches(LINE, TABLE, "2013-01", iter(batches))
    assert tables.current(LINE, TABLE) == ()


def test_a_scan_of_other_rows_gives_none_of_them(tables: Tables) -> None:
    """The digest is compared before the first batch."""
    snapshot = replace(write(tables, frame(1)), digest="sha256:" + "0" * 64)
    with pytest.raises(IntegrityError, match="expected digest sha256:000"):
        tables.scan(snapshot, TABLE, rows_per_batch=1)


def test_writers_of_batches_lose_nothing(tables: Tables) -> None:
    """Two of the same partition, two of others, all at once: one of the two stands whole."""
    names = ["2013-01", "2013-01", "2013-02", "2013-03"]

    def work(number: int, name: str) -> SnapshotId:
        return tables.write_batches(LINE, TABLE, name, iter([frame(number), frame(number)]))

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(work, range(4), names))
    found = {s.partition: tables.read(s, TABLE)["number"].tolist() for s in made[2:]}
    assert found == {"2013-02": [2, 2], "2013-03": [3, 3]}
    first, *_ = tables.current(LINE, TABLE)
    assert [s.partition for s in tables.current(LINE, TABLE)] == sorted(set(names))
    assert tables.read(first, TABLE)["number"].tolist() in ([0, 0], [1, 1])


@pytest.fixture
def delta(tmp_path: Path) -> DeltaTables:
    return DeltaTables(tmp_path)


@pytest.mark.parametrize(
    ("column", "kept"),
    [
        pytest.param(pd.to_datetime(["2013-01-01"]).astype("datetime64[ns]"), "us", id="ns"),
        pytest.param(
            pd.date_range("2013-01-01", periods=1, tz="America/New_York"), "UTC", id="time zone"
        ),
        pytest.param(pd.Categorical(["a"]), "object", id="category"),
        pytest.param(np.array([200], dtype=np.uint8), "int16", id="uint8"),
        pytest.param(np.array([2**32 - 1], dtype=np.uint32), "int64", id="uint32"),
        pytest.param(np.array([1.5], dtype=np.float32), "float32", id="float32"),
        pytest.param([date(2013, 1, 1)], "object", id="date"),
        pytest.param(pd.array(["a"], dtype="string"), "object", id="string"),
    ],
)
def test_delta_keeps_the_values_of_types_it_does_not_have(
    delta: DeltaTables, column: object, kept: str
) -> None:
    """They come back in the nearest type, and the digest knows it."""
    rows = pd.DataFrame({"x": column})
    found = delta.read(delta.write(LINE, TABLE, "2013-01", rows), TABLE)
    assert kept in str(found["x"].dtype)
    assert (found["x"].astype(object) == rows["x"].astype(object)).all()


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(pd.DataFrame({"x": [[1, 2]]}), id="lists"),
        pytest.param(pd.DataFrame({"partition": [1.0]}), id="a reserved name"),
        pytest.param(pd.DataFrame([[1, 2]], columns=["a", "a"]), id="two columns of one name"),
        pytest.param(
            pd.DataFrame({"x": pd.to_datetime(["2013-01-01T00:00:00.000000001"])}),
            id="nanoseconds that would be lost",
        ),
    ],
)
def test_delta_refuses_what_would_come_back_changed(delta: DeltaTables, rows: pd.DataFrame) -> None:
    """And leaves no table behind."""
    with pytest.raises(InputError):
        delta.write(LINE, TABLE, "2013-01", rows)
    assert delta.current(LINE, TABLE) == ()


@pytest.mark.parametrize("partition", ["", "2013-01' OR '1'='1", "a/b", "x" * 65])
def test_delta_refuses_a_partition_that_is_no_plain_name(
    delta: DeltaTables, partition: str
) -> None:
    """It becomes part of a predicate."""
    with pytest.raises(InputError, match="expected a partition"):
        delta.write(LINE, TABLE, partition, frame(1))


def test_delta_keeps_the_type_that_a_column_has_in_earlier_partitions(delta: DeltaTables) -> None:
    """Whole numbers that pandas made floats stay whole; a fraction or a word is refused."""
    delta.write(LINE, TABLE, "2013-01", pd.DataFrame({"x": [1]}))
    kept = delta.write(LINE, TABLE, "2013-02", pd.DataFrame({"x": [1.0, np.nan]}))
    assert delta.read(kept, TABLE)["x"].tolist()[0] == 1
    for bad in (1.5, "1"):
        with pytest.raises(InputError, match="as in earlier partitions"):
            delta.write(LINE, TABLE, "2013-03", pd.DataFrame({"x": [bad]}))
    assert [s.partition for s in delta.current(LINE, TABLE)] == ["2013-01", "2013-02"]


def data_file(root: Path) -> Path:
    (path,) = (root / LINE / TABLE).rglob("*.parquet")
    return path


def test_delta_notices_rows_that_were_changed_on_disk(delta: DeltaTables, tmp_path: Path) -> None:
    """Also when the file is a good one of the same shape, and the log was made to agree."""
    snapshot = write(delta, frame(1, 2))
    path = data_file(tmp_path)
    size = path.stat().st_size
    changed = pd.read_parquet(path, partitioning=None)
    changed["number"] += 1e-9
    changed.to_parquet(path)
    for log in (tmp_path / LINE / TABLE / "_delta_log").glob("*.json"):
        text = log.read_text().replace(f'"size":{size}', f'"size":{path.stat().st_size}')
        log.write_text(text)
    with pytest.raises(IntegrityError, match="expected digest"):
        delta.read(snapshot, TABLE)


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_delta_files_that_cannot_be_read_are_an_integrity_error(
    delta: DeltaTables, tmp_path: Path, damage: str
) -> None:
    """Not an exception of the vendor."""
    snapshot = write(delta, frame(1, 2))
    path = data_file(tmp_path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.unlink()
    with pytest.raises(IntegrityError, match="files that cannot be read"):
        delta.read(snapshot, TABLE)


TABLE_OF_WORDS = pa.table({"a": ["x", None, "", "yz"], "b": [1, 2, None, 4]})


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(pa.concat_tables([TABLE_OF_WORDS[:1], TABLE_OF_WORDS[1:]]), id="chunks"),
        pytest.param(
            TABLE_OF_WORDS.set_column(0, "a", TABLE_OF_WORDS["a"].cast(pa.large_string())),
            id="large strings",
        ),
        pytest.param(
            TABLE_OF_WORDS.set_column(0, "a", TABLE_OF_WORDS["a"].dictionary_encode()),
            id="dictionary",
        ),
        pytest.param(TABLE_OF_WORDS.select(["b", "a"]), id="column order"),
        pytest.param(
            TABLE_OF_WORDS.append_column("c", pa.nulls(4, pa.float64())), id="an empty column"
        ),
        pytest.param(
            pa.concat_tables([TABLE_OF_WORDS[:2], TABLE_OF_WORDS])[2:], id="a slice with offset"
        ),
    ],
)
def test_the_content_digest_does_not_depend_on_the_layout(same: pa.Table) -> None:
    """What a table gives back has the digest of what it got."""
    assert content_digest(same) == content_digest(TABLE_OF_WORDS)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(TABLE_OF_WORDS.rename_columns(["a", "c"]), id="name"),
        pytest.param(
            TABLE_OF_WORDS.set_column(1, "b", TABLE_OF_WORDS["b"].cast(pa.int32())), id="type"
        ),
        pytest.param(
            pa.table({"a": ["x", "", "", "yz"], "b": [1, 2, None, 4]}), id="null is not ''"
        ),
        pytest.param(
            pa.table({"a": ["x", None, "y", "z"], "b": [1, 2, None, 4]}), id="word borders"
        ),
        pytest.param(pa.table({"a": ["x", None, "", "yz"], "b": [1, 2, 0, 4]}), id="null is not 0"),
        pytest.param(TABLE_OF_WORDS[:3], id="fewer rows"),
        pytest.param(TABLE_OF_WORDS.take([1, 0, 2, 3]), id="row order"),
    ],
)
def test_the_content_digest_changes_with_the_content(other: pa.Table) -> None:
    """Names, types, values, missing values and their order."""
    assert content_digest(other) != content_digest(TABLE_OF_WORDS)


def test_delta_keeps_no_file_of_batches_that_were_not_committed(
    delta: DeltaTables, tmp_path: Path
) -> None:
    """Neither of a batch that failed, nor of rows that were there already."""
    rows = frame(1, 2, 3)
    delta.write_batches(LINE, TABLE, "2013-01", iter([rows]))
    delta.write_batches(LINE, TABLE, "2013-01", iter([rows[:1], rows[1:]]))
    with pytest.raises(InputError):
        delta.write_batches(LINE, TABLE, "2013-01", iter([rows, rows.assign(more=1)]))
    data_file(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_delta_files_that_cannot_be_scanned_are_an_integrity_error(
    delta: DeltaTables, tmp_path: Path, damage: str
) -> None:
    """Not an exception of the vendor."""
    snapshot = write(delta, frame(1, 2))
    path = data_file(tmp_path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.unlink()
    with pytest.raises(IntegrityError, match="files that cannot be read"):
        list(delta.scan(snapshot, TABLE, rows_per_batch=1))


def test_many_batches_keep_their_order_through_a_table(delta: DeltaTables) -> None:
    """A stream that is longer than what any writer holds at a time."""
    parts = (pd.DataFrame({"x": np.arange(a, a + 20_000)}) for a in range(0, 400_000, 20_000))
    found = delta.write_batches(LINE, TABLE, "2013-01", parts)
    scanned = delta.scan(found, TABLE, rows_per_batch=7_000)
    assert (np.concatenate([part["x"] for part in scanned]) == np.arange(400_000)).all()
