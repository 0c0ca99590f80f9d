"""What every adapter of `Landing` has to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pandas as pd
import pytest

from ml_release.adapters.in_memory import InMemoryLanding
from ml_release.adapters.landing_files import LandingFiles
from ml_release.domain.identity import digest_of_bytes
from ml_release.errors import InputError, IntegrityError, NotFoundError
from ml_release.spec.landing_source import LandingSource

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.ports import Landing


class World(Protocol):
    """A landing zone that a test can deliver to."""

    landing: Landing

    def deliver(self, path: str, table: pd.DataFrame) -> str:
        """Let a table arrive; its digest."""


class InMemoryWorld:
    def __init__(self, _: Path) -> None:
        memory = InMemoryLanding()
        self.landing: Landing = memory
        self.deliver = memory.deliver


class FilesWorld:
    def __init__(self, root: Path) -> None:
        self._root = root / "landing [1]"
        self.landing: Landing = LandingFiles(self._root)

    def deliver(self, path: str, table: pd.DataFrame) -> str:
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".csv":
            table.to_csv(file, index=False)
        else:
            table.to_parquet(file)
        return digest_of_bytes(file.read_bytes())


@pytest.fixture(params=[InMemoryWorld, FilesWorld], ids=["in_memory", "files"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made: World = request.param(tmp_path)
    return made


ROWS = pd.DataFrame({"a": [1.5, None], "b": ["x", None]})
SOURCE = LandingSource(
    rows="flights/{partition}.parquet",
    companions={"weather": "weather.parquet"},
    first_partition="2013-01",
    last_partition="2013-12",
)


def test_what_has_not_arrived_is_not_listed(world: World) -> None:
    """Not even the folder has to exist."""
    assert world.landing.partitions(SOURCE) == ()


def test_partitions_are_listed_in_order_between_the_first_and_the_last(world: World) -> None:
    """Both are included; what is no month is no partition."""
    months = ["2013-12", "2012-12", "2014-01", "2013-01", "2013-02"]
    for name in (*months, "2013-02-draft", "latest", "2013-3"):
        world.deliver(f"flights/{name}.parquet", ROWS)
    world.deliver("flights/2013-05.csv", ROWS)
    world.deliver("other/2013-06.parquet", ROWS)
    assert world.landing.partitions(SOURCE) == ("2013-01", "2013-02", "2013-12")


def test_a_source_without_a_last_partition_goes_on(world: World) -> None:
    """The next month is listed when it arrives."""
    source = LandingSource(rows="{partition}.parquet", first_partition="2013-12")
    world.deliver("2013-12.parquet", ROWS)
    assert world.landing.partitions(source) == ("2013-12",)
    world.deliver("2014-01.parquet", ROWS)
    assert world.landing.partitions(source) == ("2013-12", "2014-01")


@pytest.mark.parametrize(
    "rows", ["m={partition}/rows.parquet", "x-{partition}", "a[b]*/{partition}.parquet"]
)
def test_the_partition_may_stand_anywhere_in_the_path(world: World, rows: str) -> None:
    """Also in a folder's name, and beside characters that a pattern would read."""
    source = LandingSource(rows=rows, first_partition="2013-01")
    world.deliver(rows.replace("{partition}", "2013-01"), ROWS)
    assert world.landing.partitions(source) == ("2013-01",)
    pd.testing.assert_frame_equal(world.landing.read(source, "2013-01")["rows"], ROWS)


def test_a_partition_is_read_with_its_companions(world: World) -> None:
    """Under the names the line gave them."""
    weather = pd.DataFrame({"temp": [1.0]})
    world.deliver("flights/2013-01.parquet", ROWS)
    world.deliver("weather.parquet", weather)
    tables = world.landing.read(SOURCE, "2013-01")
    assert sorted(tables) == ["rows", "weather"]
    pd.testing.assert_frame_equal(tables["rows"], ROWS)
    pd.testing.assert_frame_equal(tables["weather"], weather)


def test_changing_what_was_read_does_not_change_what_arrived(world: World) -> None:
    """The landing zone is read only."""
    source = LandingSource(rows="{partition}.parquet", first_partition="2013-01")
    world.deliver("2013-01.parquet", ROWS)
    rows = world.landing.read(source, "2013-01")["rows"]
    rows.loc[0, "a"] = 7.0
    assert world.landing.read(source, "2013-01")["rows"].loc[0, "a"] == 1.5


@pytest.mark.parametrize("missing", ["flights/2013-01.parquet", "weather.parquet"])
def test_a_table_that_has_not_arrived_is_not_found(world: World, missing: str) -> None:
    """The message names it."""
    for path in {"flights/2013-01.parquet", "weather.parquet"} - {missing}:
        world.deliver(path, ROWS)
    with pytest.raises(NotFoundError, match=missing):
        world.landing.read(SOURCE, "2013-01")


def test_a_csv_file_is_read_as_words(world: World) -> None:
    """Leading zeros stay, NA is a word, and nothing between the separators is missing."""
    source = LandingSource(rows="labels/{partition}.csv", first_partition="2013-01")
    rows = pd.DataFrame({"id": ["007", "NA", None], "label": ["1", None, "0"]}, dtype=object)
    world.deliver("labels/2013-01.csv", rows)
    assert world.landing.partitions(source) == ("2013-01",)
    found = world.landing.read(source, "2013-01")["rows"]
    assert list(found) == ["id", "label"]
    assert found.isna().to_numpy().tolist() == rows.isna().to_numpy().tolist()
    assert found.fillna("").to_numpy().tolist() == rows.fillna("").to_numpy().tolist()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"a,b\n1,2,3\n4,5,6\n", id="more fields than names"),
        pytest.param(b"a,b\n1,2\n4,5,6\n", id="more fields in one row"),
        pytest.param(b"\xff\xfe\x00", id="no UTF-8"),
        pytest.param(b'a\n"1', id="an open quote"),
    ],
)
def test_a_file_that_is_no_csv_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    """With the name of the file and what to do."""
    (tmp_path / "2013-01.csv").write_bytes(content)
    source = LandingSource(rows="{partition}.csv", first_partition="2013-01")
    with pytest.raises(InputError, match=r"2013-01\.csv: expected a readable CSV file"):
        LandingFiles(tmp_path).read(source, "2013-01")


@pytest.mark.parametrize("path", ["sets/hard.parquet", "hard.csv"])
def test_a_file_is_read_by_its_path_and_its_digest(world: World, path: str) -> None:
    """Without a partition in its name; in CSV columns are words."""
    rows = pd.DataFrame({"id": ["007", "NA"], "carrier": ["AA", None]}, dtype=object)
    digest = world.deliver(path, rows)
    found = world.landing.read_file(path, digest=digest)
    assert found["id"].tolist() == ["007", "NA"]
    assert found["carrier"].isna().tolist() == [False, True]


@pytest.mark.parametrize("path", ["sets/hard.parquet", "hard.csv"])
def test_a_file_that_was_changed_is_not_read(world: World, path: str) -> None:
    """One value is enough; the message has both digests."""
    declared = world.deliver(path, ROWS)
    changed = world.deliver(path, ROWS.fillna({"a": 1.0}))
    with pytest.raises(IntegrityError, match=f"expected digest {declared}, found {changed}"):
        world.landing.read_file(path, digest=declared)


def test_a_file_that_has_not_arrived_is_not_found(world: World) -> None:
    """The message names it."""
    with pytest.raises(NotFoundError, match=r"hard\.csv"):
        world.landing.read_file("hard.csv", digest="sha256:" + "0" * 64)


@pytest.mark.parametrize("name", ["hard.csv", "hard.parquet"])
def test_a_file_with_its_digest_that_is_no_table_is_an_input_error(
    tmp_path: Path, name: str
) -> None:
    """It is what was declared, and nothing can be read out of it."""
    content = b'a\n"1'
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"expected a readable (CSV|Parquet) file"):
        LandingFiles(tmp_path).read_file(name, digest=digest_of_bytes(content))


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PAR1 but not really PAR1"])
def test_a_file_that_is_no_table_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    """It has arrived, so it is not simply missing."""
    (tmp_path / "2013-01.parquet").write_bytes(content)
    source = LandingSource(rows="{partition}.parquet", first_partition="2013-01")
    with pytest.raises(InputError, match="expected a readable Parquet file") as refused:
        LandingFiles(tmp_path).read(source, "2013-01")
    assert not isinstance(refused.value, NotFoundError)
