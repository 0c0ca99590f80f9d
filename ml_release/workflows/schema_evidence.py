"""Find what breaks the schema of a line; pandera judges, on no more values than it needs."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml_release.domain.gates_table import SchemaBreach
from ml_release.domain.personal_data import masked
from ml_release.workflows.row_examples import row_example

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.word_columns import WordColumn


def find_breaches(
    line: ReleaseLine, rows: pd.DataFrame, words: Mapping[str, WordColumn]
) -> tuple[SchemaBreach, ...]:
    """Every rule of the schema that the rows break, by column and rule.

    A word column whose distinct values keep its rules is not read row by row. One that breaks any
    is: how many rows do, and which one first, is then pandera's to say.
    """
    schema = line.schema_of()
    if not _changes_nothing(schema):
        return _breaches(line, rows, schema, inplace=False)
    kept = [name for name, held in words.items() if _keeps_rules(schema, rows, name, held)]
    schema = schema.update_columns(
        {name: {"dtype": None, "checks": [], "nullable": True} for name in kept}
    )
    if schema.checks and any(
        not rows[name].hasnans for name in rows.columns if str(name) not in words
    ):
        # A check between columns passes a row without any value, and pandera looks at every value
        # of the table to find such rows. A column without a gap shows that there is none. Without
        # this tolerance a check is stricter if anything: who passes it so, passes.
        strict = copy(schema)
        strict.checks = [_without_tolerance(check) for check in schema.checks]
        if not _breaches(line, rows, strict, inplace=True):
            return ()
    return _breaches(line, rows, schema, inplace=True)


def _changes_nothing(schema: Any) -> bool:
    """Whether pandera can validate the rows themselves: nothing fills, parses or drops values."""
    parts = (schema, *schema.columns.values())
    return schema.dtype is None and not (
        schema.add_missing_columns
        or schema.strict == "filter"
        or schema.index is not None
        or any(part.coerce or part.parsers or part.drop_invalid_rows for part in parts)
        or any(column.regex or pd.notna(column.default) for column in schema.columns.values())
    )


def _keeps_rules(schema: Any, rows: pd.DataFrame, name: str, held: WordColumn) -> bool:
    """Whether the distinct values of a column show that all its rows keep its rules."""
    from pandera.errors import SchemaErrors

    column = schema.columns.get(name)
    if column is None or column.unique:
        return False
    # pandera's own mark: the result on the distinct values is the result on all of them.
    if not all(check.determined_by_unique and check.groupby is None for check in column.checks):
        return False
    try:
        column.validate(rows[[name]].iloc[held.first_rows()], lazy=True)
    except SchemaErrors:
        return False
    return True


def _without_tolerance(check: Any) -> Any:
    strict = copy(check)
    strict.ignore_na = False
    return strict


def _breaches(
    line: ReleaseLine, rows: pd.DataFrame, schema: Any, *, inplace: bool
) -> tuple[SchemaBreach, ...]:
    from pandera.errors import SchemaErrors

    try:
        schema.validate(rows, lazy=True, inplace=inplace)
    except SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return ()
    about_columns = cases["check"].astype(str).isin(["column_in_dataframe", "column_in_schema"])
    about_rows = (cases["schema_context"] == "DataFrameSchema") & ~about_columns
    # A missing or undeclared column is the value of its case; a check between columns has a
    # case for each of their values.
    column = cases["column"].where(cases["column"].notna(), cases["failure_case"]).astype(str)
    column = column.mask(about_rows, "rows")
    cases = cases[~(about_rows & cases.duplicated(["index", "check"]))]
    column = column[cases.index]
    return tuple(
        SchemaBreach(
            column=name,
            rule=rule,
            rows=len(group) if group["index"].notna().all() else None,
            example=_example(line, rows, group),
        )
        for (name, rule), group in cases.groupby([column, cases["check"].astype(str)])
    )


def _example(line: ReleaseLine, rows: pd.DataFrame, group: pd.DataFrame) -> str:
    """The first value that breaks the rule, and the key of its row where it has one."""
    value, index = group["failure_case"].iloc[0], group["index"].iloc[0]
    # A text in quotes, to tell '1' from 1.
    spelled = masked(repr(value) if isinstance(value, str) else str(value))
    if pd.isna(index):
        return spelled
    key = row_example(line, rows, np.asarray(rows.index == index))
    return f"{spelled} at {key}" if key else spelled
