"""Planted faults on real flights, and which rule catches each: ``python -m`` prints the tables.

Every fault goes through the real `take_snapshot` of the real line, in the month `MONTH`, with the
eleven other months as reference. It has to be caught by the rule that names it, or be refused.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml_release.adapters.in_memory import InMemoryEvidence, InMemoryTables
from ml_release.adapters.landing_files import LandingFiles
from ml_release.domain.verdict import Outcome
from ml_release.errors import InputError
from ml_release.lines.flight_delay.line import LINE
from ml_release.workflows.snapshots import SnapshotTaken, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml_release.spec.landing_source import LandingSource
    from ml_release.spec.release_line import ReleaseLine

    Frames = dict[str, pd.DataFrame]

DATA = Path(__file__).parents[1] / "data"
MONTH = "2013-04"
MONTHS = tuple(f"2013-{number:02d}" for number in range(1, 13))
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One planted fault.

    Attributes
    ----------
    caught_by
        The rule that has to catch it, `REFUSED` for an `InputError`; None: nothing can, ``why``.
    landed
        Changes the landed tables ``rows`` and ``weather``.
    file
        Changes the bytes of the landed file.
    line
        Changes the line: a fault of its own code, behind the landing.
    """

    name: str
    caught_by: str | None
    landed: Callable[[Frames], None] | None = None
    file: Callable[[bytes], bytes] | None = None
    line: Callable[[ReleaseLine], ReleaseLine] | None = None
    now: datetime = NOW
    why: str = ""


@dataclass
class Landed:
    """`Landing` of the real files, with one fault."""

    fault: Fault

    def partitions(self, source: LandingSource) -> tuple[str, ...]:
        return LandingFiles(DATA).partitions(source)

    def read(self, source: LandingSource, partition: str) -> Frames:
        if self.fault.file is not None:
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                (root / "weather.parquet").symlink_to(DATA / "weather.parquet")
                path = root / source.rows.replace("{partition}", partition)
                path.parent.mkdir()
                path.write_bytes(self.fault.file((DATA / path.relative_to(root)).read_bytes()))
                return LandingFiles(root).read(source, partition)
        frames = {name: frame.copy() for name, frame in _real_frames(partition).items()}
        if self.fault.landed is not None:
            self.fault.landed(frames)
        return frames

    def read_file(self, path: str, *, digest: str) -> pd.DataFrame:
        return LandingFiles(DATA).read_file(path, digest=digest)


@cache
def _real_frames(partition: str) -> Frames:
    return LandingFiles(DATA).read(LINE.landing, partition)


def _rows(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Frames], None]:
    def landed(frames: Frames) -> None:
        frames["rows"] = change(frames["rows"])

    return landed


def _weather(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Frames], None]:
    def landed(frames: Frames) -> None:
        frames["weather"] = change(frames["weather"])

    return landed


def _some(rows: pd.DataFrame, share: float) -> np.ndarray:
    """A share of the rows, the same ones each time."""
    return np.random.default_rng(1).uniform(size=len(rows)) < share


def _put(column: str, value: Any, *, share: float = 0.01) -> Callable[[Frames], None]:
    """One value in a share of the rows."""
    return _rows(lambda r: r.assign(**{column: r[column].mask(_some(r, share), value)}))


def _swap(first: str, second: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda r: r.rename(columns={first: second, second: first})


def _flipped(rows: pd.DataFrame) -> pd.DataFrame:
    other = (60.0 * (rows["arr_delay"] <= 30)).astype(float)
    chosen = _some(rows, 0.3) & rows["arr_delay"].notna()
    return rows.assign(arr_delay=rows["arr_delay"].mask(chosen, other))


def _later(rows: pd.DataFrame, hours: int) -> pd.DataFrame:
    """The same flights some hours later, local and UTC alike; those beyond midnight left out."""
    moved = rows.assign(
        hour=(rows["hour"] + hours).astype("int16"),
        time_hour=rows["time_hour"] + timedelta(hours=hours),
    )
    return moved[moved["hour"] < 24]


def _doubled(rows: pd.DataFrame) -> pd.DataFrame:
    again = rows.assign(flight=(rows["flight"] % 4999 + 5000).astype("int32"))
    return pd.concat([rows, again], ignore_index=True)


def _with_column(
    name: str, value: Callable[[pd.DataFrame], Any], kind: Any
) -> Callable[[ReleaseLine], ReleaseLine]:
    """The author adds a column of what is known afterwards, declared in schema and policy."""

    def change(line: ReleaseLine) -> ReleaseLine:
        def assemble(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
            rows = line.assemble_rows(tables)
            flights = tables["rows"].assign(
                scheduled_departure_utc=tables["rows"]["time_hour"]
                + pd.to_timedelta(tables["rows"]["minute"], unit="min")
            )
            found = flights.set_index(list(line.keys)).sort_index()
            keys = pd.MultiIndex.from_frame(rows[list(line.keys)])
            return rows.assign(**{name: np.asarray(value(found.loc[keys]))})

        def schema() -> Any:
            import pandera.pandas as pa

            return line.schema_of().add_columns({name: pa.Column(kind, nullable=True)})

        gates = line.policies.data_gates
        limits = {**gates.missing_share_limits, name: 0.1}
        gates = gates.model_copy(update={"missing_share_limits": limits})
        policies = line.policies.model_copy(update={"data_gates": gates})
        return line.model_copy(
            update={"assemble": assemble, "schema_of": schema, "policies": policies}
        )

    return change


def _undeclared(line: ReleaseLine) -> ReleaseLine:
    """The author passes a landed column on without declaring it."""
    return line.model_copy(
        update={
            "assemble": lambda tables: line.assemble_rows(tables).assign(
                dep_delay=tables["rows"]["dep_delay"].to_numpy()
            )
        }
    )


def _hashed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(arr_delay=np.random.default_rng(1).permutation(rows["arr_delay"]))


SCHEMA, KEYS, NULLS = "schema_is_valid", "keys_are_unique", "nulls_are_within_limits"
BELONG, COVERED, VOLUME = "rows_belong_to_partition", "days_are_covered", "volume_is_expected"
BALANCE, MATURED, JOINS = "classes_are_balanced", "labels_are_matured", "joins_are_complete"
SPREAD, WORDS, VARY = "distributions_are_expected", "categories_are_expected", "columns_vary"
LEAK, PERSONAL = "no_single_feature_tells_all", "no_personal_data"

FAULTS = (
    # Files.
    Fault(name="truncated file", caught_by=REFUSED, file=lambda b: b[: len(b) // 2]),
    Fault(name="empty file", caught_by=REFUSED, file=lambda _: b""),
    Fault(
        name="corrupt Parquet: a damaged page",
        caught_by=REFUSED,
        file=lambda b: b[: len(b) // 3] + bytes(2000) + b[len(b) // 3 + 2000 :],
    ),
    Fault(name="a web page instead of a file", caught_by=REFUSED, file=lambda _: b"<html>" * 99),
    Fault(name="no rows", caught_by=REFUSED, landed=_rows(lambda r: r.iloc[:0])),
    # Columns and types.
    Fault(
        name="column dest missing",
        caught_by=REFUSED,
        landed=_rows(lambda r: r.drop(columns="dest")),
    ),
    Fault(name="column nobody declared", caught_by=SCHEMA, line=_undeclared),
    Fault(
        name="wrong type: distance as text with its unit",
        caught_by=REFUSED,
        landed=_rows(lambda r: r.assign(distance=r["distance"].astype(str) + " mi")),
    ),
    Fault(
        name="wrong type: carrier as a number",
        caught_by=SCHEMA,
        landed=_rows(lambda r: r.assign(carrier=pd.factorize(r["carrier"])[0])),
    ),
    Fault(
        name="swapped columns: origin and dest",
        caught_by=SCHEMA,
        landed=_rows(_swap("origin", "dest")),
    ),
    Fault(
        name="swapped columns: hour and minute",
        caught_by=BELONG,
        landed=_rows(_swap("hour", "minute")),
    ),
    Fault(
        name="swapped columns: scheduled departure and arrival",
        caught_by=SPREAD,
        landed=_rows(_swap("sched_dep_time", "sched_arr_time")),
    ),
    Fault(
        name="swapped columns: distance and flight number",
        caught_by=SPREAD,
        landed=_rows(_swap("distance", "flight")),
    ),
    Fault(
        name="swapped columns: temperature and humidity",
        caught_by=SCHEMA,
        landed=_weather(_swap("temp", "humid")),
    ),
    # Values.
    Fault(name="negative distance in 1 %", caught_by=SCHEMA, landed=_put("distance", -1)),
    Fault(name="6 % nulls in distance", caught_by=NULLS, landed=_put("distance", None, share=0.06)),
    Fault(
        name="9999 for a missing distance in 1 %", caught_by=SCHEMA, landed=_put("distance", 9999)
    ),
    Fault(
        name="constant distance", caught_by=VARY, landed=_rows(lambda r: r.assign(distance=1000))
    ),
    Fault(
        name="constant temperature",
        caught_by=VARY,
        landed=_weather(lambda w: w.assign(temp=50.0, dewp=40.0, humid=68.5)),
    ),
    Fault(
        name="every carrier is UA", caught_by=VARY, landed=_rows(lambda r: r.assign(carrier="UA"))
    ),
    Fault(name="new carrier in 2 %", caught_by=WORDS, landed=_put("carrier", "ZZ", share=0.02)),
    Fault(
        name="carrier code lower-cased",
        caught_by=SCHEMA,
        landed=_rows(lambda r: r.assign(carrier=r["carrier"].str.lower())),
    ),
    Fault(
        name="airport code lower-cased",
        caught_by=SCHEMA,
        landed=_rows(lambda r: r.assign(dest=r["dest"].str.lower())),
    ),
    Fault(
        name="tailnum with a blank behind it",
        caught_by=WORDS,
        landed=_rows(lambda r: r.assign(tailnum=r["tailnum"] + " ")),
    ),
    Fault(
        name="miles to kilometres",
        caught_by=SPREAD,
        landed=_rows(lambda r: r.assign(distance=r["distance"] * 1.609344)),
    ),
    Fault(
        name="Fahrenheit to Celsius",
        caught_by=SCHEMA,
        landed=_weather(
            lambda w: w.assign(temp=(w["temp"] - 32) / 1.8, dewp=(w["dewp"] - 32) / 1.8)
        ),
    ),
    # Times.
    Fault(
        name="one hour shifted, local time only",
        caught_by=BELONG,
        landed=_rows(lambda r: r.assign(hour=(r["hour"] + 1) % 24)),
    ),
    Fault(
        name="one hour shifted, local and UTC alike",
        caught_by=SPREAD,
        landed=_rows(lambda r: _later(r, 1)),
    ),
    Fault(
        name="mixed time zones: UTC in 30 %",
        caught_by=BELONG,
        landed=_rows(
            lambda r: r.assign(
                time_hour=r["time_hour"].mask(_some(r, 0.3), r["time_hour"] - timedelta(hours=4))
            )
        ),
    ),
    Fault(
        name="rows of the next month", caught_by=BELONG, landed=_rows(lambda r: r.assign(month=5))
    ),
    Fault(
        name="50 rows of the future",
        caught_by=BELONG,
        landed=_rows(lambda r: pd.concat([r, r.head(50).assign(year=2027)], ignore_index=True)),
    ),
    Fault(
        name="day and month swapped where possible",
        caught_by=BELONG,
        landed=_rows(
            lambda r: r.assign(
                day=r["day"].mask(r["day"] <= 12, 4),
                month=r["month"].mask(r["day"] <= 12, r["day"]),
            )
        ),
    ),
    # Volume, days, keys.
    Fault(
        name="missing week", caught_by=COVERED, landed=_rows(lambda r: r[~r["day"].between(8, 14)])
    ),
    Fault(
        name="half delivered day",
        caught_by=COVERED,
        landed=_rows(lambda r: r[(r["day"] != 30) | (r["hour"] < 13)]),
    ),
    Fault(name="half of the rows", caught_by=VOLUME, landed=_rows(lambda r: r[_some(r, 0.5)])),
    Fault(name="double the rows, other flight numbers", caught_by=VOLUME, landed=_rows(_doubled)),
    Fault(
        name="duplicated day",
        caught_by=KEYS,
        landed=_rows(lambda r: pd.concat([r, r[r["day"] == 3]], ignore_index=True)),
    ),
    Fault(
        name="1 % duplicate rows",
        caught_by=KEYS,
        landed=_rows(lambda r: pd.concat([r, r[_some(r, 0.01)]], ignore_index=True)),
    ),
    # Weather.
    Fault(name="no weather", caught_by=JOINS, landed=_weather(lambda w: w.iloc[:0])),
    Fault(
        name="weather of JFK missing",
        caught_by=JOINS,
        landed=_weather(lambda w: w[w["origin"] != "JFK"]),
    ),
    Fault(
        name="weather under the instants of another month",
        caught_by=JOINS,
        landed=_weather(lambda w: w.assign(time_hour=w["time_hour"] + timedelta(days=30))),
    ),
    Fault(
        name="weather rows doubled",
        caught_by=REFUSED,
        landed=_weather(lambda w: pd.concat([w, w], ignore_index=True)),
    ),
    # Labels.
    Fault(name="30 % of the labels flipped", caught_by=BALANCE, landed=_rows(_flipped)),
    Fault(
        name="all labels missing",
        caught_by=MATURED,
        landed=_rows(lambda r: r.assign(arr_delay=np.nan)),
    ),
    Fault(
        name="all labels of one class",
        caught_by=BALANCE,
        landed=_rows(lambda r: r.assign(arr_delay=0.0)),
    ),
    Fault(
        name="delays in hours: hardly a label is 1",
        caught_by=BALANCE,
        landed=_rows(lambda r: r.assign(arr_delay=r["arr_delay"] / 60)),
    ),
    Fault(
        name="labels known before the flight",
        caught_by=MATURED,
        now=datetime(2013, 4, 20, tzinfo=UTC),
    ),
    # Leakage.
    Fault(
        name="dep_delay as a declared column",
        caught_by=LEAK,
        line=_with_column("dep_delay", lambda f: f["dep_delay"], float),
    ),
    Fault(
        name="arrival status as a declared column",
        caught_by=LEAK,
        line=_with_column(
            "status", lambda f: np.where(f["arr_delay"] > 15, "late", "on time"), str
        ),
    ),
    Fault(
        name="dep_delay in the place of distance",
        caught_by=LEAK,
        landed=_rows(lambda r: r.assign(distance=(r["dep_delay"].fillna(0) + 100).clip(10, 4000))),
    ),
    # Personal data.
    Fault(
        name="e-mail addresses in tailnum",
        caught_by=PERSONAL,
        landed=_put("tailnum", "ada@example.org"),
    ),
    Fault(
        name="phone numbers in tailnum",
        caught_by=PERSONAL,
        landed=_put("tailnum", "+1 212-555-0123"),
    ),
    Fault(
        name="credit card numbers in tailnum",
        caught_by=PERSONAL,
        landed=_put("tailnum", "4111 1111 1111 1111"),
    ),
    Fault(
        name="a column named passenger_email",
        caught_by=PERSONAL,
        line=_with_column("passenger_email", lambda f: f["tailnum"], str),
    ),
    Fault(
        name="labels shuffled among the rows",
        caught_by="labels_follow_some_column",
        landed=_rows(_hashed),
    ),
    Fault(
        name="wind in kilometres per hour",
        caught_by="numbers_keep_their_steps",
        landed=_weather(
            lambda w: w.assign(
                wind_speed=w["wind_speed"] * 1.609344, wind_gust=w["wind_gust"] * 1.609344
            )
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """What became of one fault."""

    fault: Fault
    rules: tuple[str, ...]
    sentence: str
    seconds: float

    @property
    def as_declared(self) -> bool:
        """Caught by the named rule; or by nothing where nothing can."""
        return self.fault.caught_by in self.rules if self.fault.caught_by else not self.rules


@dataclass
class World:
    """Every real month snapshotted once; faults come and go in `MONTH`."""

    tables: InMemoryTables = field(default_factory=InMemoryTables)
    evidence: InMemoryEvidence = field(default_factory=InMemoryEvidence)

    def take(self, month: str, fault: Fault) -> SnapshotTaken:
        line = LINE if fault.line is None else fault.line(LINE)
        return take_snapshot(
            line,
            month,
            landing=Landed(fault),
            tables=self.tables,
            evidence=self.evidence,
            now=fault.now,
        )

    def real_months(self) -> dict[str, tuple[SnapshotTaken, float]]:
        """Every month untouched, in order: each is compared with those before it."""
        found = {}
        for month in MONTHS:
            start = time.perf_counter()
            taken = self.take(month, Fault(name="none", caught_by=None))
            found[month] = (taken, time.perf_counter() - start)
        return found

    def plant(self, fault: Fault) -> Caught:
        """Let the fault arrive and say what caught it."""
        start = time.perf_counter()
        try:
            verdict = self.take(MONTH, fault).verdict
        except InputError as error:
            rules, sentence = [REFUSED], str(error)
        else:
            held = [f for f in verdict.objections if f.outcome is Outcome.FAIL]
            rules = list(dict.fromkeys(finding.rule for finding in held))
            named = [f for f in held if f.rule == fault.caught_by] or held
            sentence = named[0].sentence() if named else "passes"
        return Caught(
            fault=fault,
            rules=tuple(rules),
            sentence=sentence,
            seconds=time.perf_counter() - start,
        )


def main() -> int:
    """Print both tables; 1 if a month fails or a fault is not caught as declared."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import track
    from rich.table import Table

    console, world = Console(), World()
    months = Table("month", "rows", "findings", "outcome", "seconds", title="Untouched real months")
    real = world.real_months()
    for month, (taken, seconds) in real.items():
        months.add_row(
            month,
            str(taken.snapshot.rows),
            str(len(taken.verdict.findings)),
            taken.verdict.outcome.value,
            f"{seconds:.2f}",
        )
    console.print(months)
    faults = Table("planted fault", "caught by", "also", "what it says", title=f"Faults in {MONTH}")
    found = [
        world.plant(fault)
        for fault in track(FAULTS, "planting", console=console, disable=not console.is_terminal)
    ]
    for caught in found:
        declared = caught.fault.caught_by
        others = [rule for rule in caught.rules if rule != declared]
        faults.add_row(
            caught.fault.name,
            ("" if caught.as_declared else "[red]NOT AS DECLARED: ") + (declared or "nothing"),
            ", ".join(others),
            escape(caught.fault.why or caught.sentence[:160]),
        )
    console.print(faults)
    good = sum(taken.verdict.outcome is Outcome.PASS for taken, _ in real.values())
    seen = sum(bool(caught.rules) for caught in found)
    unseen = [caught.fault.name for caught in found if not caught.rules]
    console.print(
        f"{good} of {len(real)} real months pass; {seen} of {len(found)} faults are caught"
    )
    console.print(f"not caught: {', '.join(unseen) or 'none'}")
    return 0 if good == len(real) and all(caught.as_declared for caught in found) else 1


if __name__ == "__main__":
    sys.exit(main())
