"""Find what breaks the schema of a line; pandera judges, on no more values than it needs."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml_release.domain.gates_table import SchemaBreach
from ml_release.domain.personal_data import masked
from ml_release.workflows.columns import BLOCK
from ml_release.workflows.row_examples import row_example

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandera.pandas as pa

    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.word_columns import WordColumn


def find_breaches(
    line: ReleaseLine, rows: pd.DataFrame, words: Mapping[str, WordColumn]
) -> tuple[SchemaBreach, ...]:
    """Every rule of the schema that the rows break, by column and rule.

    A column that is shown to keep its rules by its distinct words, or block by block, is not read
    again as a whole. One that breaks any is: how many rows do, and which one first, is then
    pandera's to say.
    """
    schema = line.schema_of()
    if not _changes_nothing(schema):
        return _breaches(line, rows, schema, inplace=False)
    kept = [
        name
        for name in schema.columns
        if name in rows and _keeps_rules(schema.columns[name], rows, words.get(name))
    ]
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


def _changes_nothing(schema: pa.DataFrameSchema) -> bool:
    """Whether pandera can validate the rows themselves: nothing fills, parses or drops values."""
    parts = (schema, *schema.columns.values())
    return schema.dtype is None and not (
        schema.add_missing_columns
        or schema.strict == "filter"
        or schema.index is not None
        or any(part.coerce or part.parsers or part.drop_invalid_rows for part in parts)
        or any(column.regex or pd.notna(column.default) for column in schema.columns.values())
    )


def _keeps_rules(column: pa.Column, rows: pd.DataFrame, words: WordColumn | None) -> bool:
    """Whether parts of a column show that all its rows keep its rules."""
    from pandera.errors import SchemaErrors

    # pandera's own mark: the result on the distinct values is the result on all of them.
    marked = all(check.determined_by_unique and check.groupby is None for check in column.checks)
    if not marked:
        return False
    if words is not None:
        parts = iter([rows[[column.name]].iloc[words.first_rows()]])
    # Of its own checks it is known, too, that what holds for every block holds for the whole.
    elif all(check.is_builtin_check(check.name) for check in column.checks):
        parts = (rows.iloc[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
    else:
        return False
    try:
        for part in parts:
            column.validate(part, lazy=True, inplace=True)
    except SchemaErrors:
        return False
    return True


def _without_tolerance(check: pa.Check) -> pa.Check:
    strict = copy(check)
    strict.ignore_na = False
    return strict


def _breaches(
    line: ReleaseLine, rows: pd.DataFrame, schema: pa.DataFrameSchema, *, inplace: bool
) -> tuple[SchemaBreach, ...]:
    from pandera.errors import SchemaErrors

    try:
        schema.validate(rows, lazy=True, inplace=inplace)
    except SchemaErrors as errors:
        # A check that fails on missing values alone leaves no case: it has failed all the same.
        return _by_rule(line, rows, errors.failure_cases) or tuple(
            SchemaBreach(column="rows", rule=str(error.check), rows=None, example="a missing value")
            for error in errors.schema_errors
        )
    return ()


def _by_rule(
    line: ReleaseLine, rows: pd.DataFrame, cases: pd.DataFrame
) -> tuple[SchemaBreach, ...]:
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
            column=str(name),
            rule=str(rule),
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
