"""What breaks the schema is what pandera says on the whole table, whichever way it is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from pandera.errors import SchemaErrors

from ml_release.workflows.columns import BLOCK
from ml_release.workflows.schema_evidence import find_breaches
from ml_release.workflows.word_columns import word_columns
from ml_release_tests.small_line import SMALL_LINE, build_schema, trips

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.gates_table import SchemaBreach

    Change = Callable[[pd.DataFrame], pd.DataFrame]


def _rows() -> pd.DataFrame:
    rows = trips("2013-02", rows=60).assign(distance=lambda frame: 10.0 * frame["route"])
    rows.loc[3:5, "distance"] = np.nan
    return rows.drop(columns="route")


def _schema(**changes: Any) -> pa.DataFrameSchema:
    schema: pa.DataFrameSchema = build_schema()
    return schema.update_columns(changes) if changes else schema


def _between(check: Callable[[pd.DataFrame], Any], **settings: Any) -> pa.DataFrameSchema:
    schema = _schema()
    schema.checks = [pa.Check(check, name="between", error="between", **settings)]
    return schema


SCHEMAS = {
    "as declared": _schema(),
    "a check on all values at once": _schema(
        carrier={"checks": [pa.Check(lambda words: words.value_counts().max() < 3, name="rare")]}
    ),
    "unique words": _schema(carrier={"unique": True}),
    "unique numbers": _schema(trip={"unique": True}),
    "made another type": _schema(trip={"coerce": True, "dtype": float}),
    "filled": _schema(distance={"default": 1.0, "nullable": False}),
    "all words named": _schema(
        carrier={"checks": [pa.Check.unique_values_eq(["AA", "BB", "CC"])], "nullable": False}
    ),
    "between columns": _between(lambda rows: ~(rows["distance"] < rows["trip"] / 10)),
    "between columns, of gaps": _between(lambda rows: rows["distance"] >= 0),
    "between columns, cell by cell": _between(lambda rows: rows.notna()),
    "between columns, together": _between(lambda rows: bool(rows["distance"].mean() < 200)),
    "between columns, broken": _between(lambda rows: rows["nowhere"] > 0),
}
CHANGES: dict[str, Change] = {
    "nothing": lambda rows: rows,
    "a word": lambda rows: rows.assign(carrier=rows["carrier"].where(rows.index != 7, "ZZ")),
    "no word": lambda rows: rows.assign(carrier=[*rows["carrier"][:-1], None][: len(rows)]),
    "a number among words": lambda rows: rows.assign(
        carrier=rows["carrier"].where(rows.index % 9 != 0, 1)
    ),
    "words as categories": lambda rows: rows.astype({"carrier": "category"}),
    "a number": lambda rows: rows.assign(distance=rows["distance"].mask(rows.index > 55, 3001)),
    "words for numbers": lambda rows: rows.assign(trip=rows["trip"].astype(str)),
    "no numbers": lambda rows: rows.assign(distance=np.nan),
    "a gap": lambda rows: rows.assign(departure=rows["departure"].mask(rows.index == 2)),
    "a column less": lambda rows: rows.drop(columns="carrier"),
    "a column more": lambda rows: rows.assign(extra="x"),
    "two faults": lambda rows: rows.assign(carrier="ZZ", distance=-1.0),
    "no rows": lambda rows: rows.iloc[:0],
}


def _by_pandera(schema: pa.DataFrameSchema, rows: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Cases per column and check on the whole table; those between columns once per row."""
    try:
        schema.validate(rows.copy(), lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases.astype({"check": str})
        between = cases["check"].eq("between")
        cases = cases[~(between & cases.duplicated(["index", "check"]))]
        names = cases["column"].where(cases["column"].notna(), cases["failure_case"])
        names = names.astype(str).mask(between, "rows")
        return {
            (str(column), str(check)): len(group) if group["index"].notna().all() else -1
            for (column, check), group in cases.groupby([names, "check"])
        }
    return {}


def _found(breaches: tuple[SchemaBreach, ...]) -> dict[tuple[str, str], int]:
    return {(b.column, b.rule): -1 if b.rows is None else b.rows for b in breaches}


# pandera's, where it puts the cases of several rules together.
@pytest.mark.filterwarnings("ignore:The behavior of DataFrame concatenation:FutureWarning")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_breaches_are_those_of_pandera_on_the_whole_table(
    schema: pa.DataFrameSchema, change: Change
) -> None:
    """With any kind of rule and fault; the rows and the schema stay as they are."""
    rows, before = change(_rows()), str(schema)
    kept = rows.copy()
    line = SMALL_LINE.model_copy(update={"schema_of": lambda: schema})
    assert _found(find_breaches(line, rows, word_columns(rows))) == _by_pandera(schema, rows)
    pd.testing.assert_frame_equal(rows, kept)
    assert str(schema) == before


def test_a_check_that_leaves_no_case_has_failed_all_the_same() -> None:
    """On missing values, of which pandera shows none."""
    rows, schema = _rows(), _between(lambda rows: rows.notna(), ignore_na=False)
    line = SMALL_LINE.model_copy(update={"schema_of": lambda: schema})
    (breach,) = find_breaches(line, rows, word_columns(rows))
    assert (breach.column, breach.rows, breach.rule) == ("rows", None, "<Check between: between>")


@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, BLOCK + 5])
def test_a_fault_in_any_block_is_found(place: int) -> None:
    """On the edges, too."""
    rows = pd.DataFrame({"n": np.zeros(BLOCK + 6)})
    rows.loc[place, "n"] = 2.0
    schema = pa.DataFrameSchema({"n": pa.Column(float, pa.Check.in_range(0, 1))})
    line = SMALL_LINE.model_copy(update={"schema_of": lambda: schema})
    (breach,) = find_breaches(line, rows, {})
    assert (breach.column, breach.rows, breach.example) == ("n", 1, "2.0")
