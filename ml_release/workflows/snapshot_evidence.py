"""Count on the rows of one partition what the data gates judge; nothing is judged here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml_release.domain.column_profile import PartitionProfile, profile_numbers, profile_words
from ml_release.domain.data_gates import SnapshotEvidence
from ml_release.domain.gates_distribution import unseen_words
from ml_release.domain.gates_labels import LabelEvidence
from ml_release.domain.gates_privacy import PersonalColumn
from ml_release.domain.gates_table import SchemaBreach, TableEvidence, Unmatched
from ml_release.domain.personal_data import kinds_in, kinds_of_name, masked
from ml_release.workflows.calendar_evidence import count_times
from ml_release.workflows.leakage_evidence import count_aucs
from ml_release.workflows.row_examples import row_example

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy.typing as npt

    from ml_release.domain.identity import SnapshotId
    from ml_release.spec.release_line import ReleaseLine


def gather_evidence(
    line: ReleaseLine,
    rows: pd.DataFrame,
    *,
    snapshot: SnapshotId,
    other_rows: tuple[int, ...],
    references: tuple[PartitionProfile, ...],
    now: datetime,
) -> SnapshotEvidence:
    """Everything the data gates ask about one partition, in one pass over each column."""
    words = {str(name): _word_counts(rows[name]) for name in rows if _holds_words(rows[name])}
    labels = _labels_of(line, rows)
    profile = _profile(line, rows, words, labels, snapshot=snapshot)
    return SnapshotEvidence(
        table=_count_table(line, rows, other_rows=other_rows),
        calendar=count_times(line, rows, partition=snapshot.partition, now=now),
        labels=_count_labels(line, rows, labels, now=now),
        profile=profile,
        references=references,
        unseen_examples=_unseen_examples(line, rows, profile, references),
        aucs=() if labels is None else count_aucs(line, rows, labels),
        personal=_personal(line, rows, words),
    )


def _holds_words(column: pd.Series) -> bool:
    return column.dtype == object or isinstance(column.dtype, pd.StringDtype | pd.CategoricalDtype)


def _word_counts(column: pd.Series) -> dict[str, int]:
    """Rows per word; a value of another type counts as what it looks like."""
    counts: dict[str, int] = {}
    for value, rows in column.value_counts(sort=False).items():
        counts[str(value)] = counts.get(str(value), 0) + int(rows)
    return {word: rows for word, rows in counts.items() if rows}


def _labels_of(line: ReleaseLine, rows: pd.DataFrame) -> npt.NDArray[np.float64] | None:
    """The label of each row, NaN for missing; None where the column is not one of labels."""
    if line.target not in rows or not pd.api.types.is_numeric_dtype(rows[line.target]):
        return None
    return rows[line.target].to_numpy(dtype=np.float64, na_value=np.nan)


def _count_table(
    line: ReleaseLine, rows: pd.DataFrame, *, other_rows: tuple[int, ...]
) -> TableEvidence:
    keys = [key for key in line.keys if key in rows]
    duplicate = rows.duplicated(keys) if len(keys) == len(line.keys) else None
    missing = rows.isna()
    counts = {str(column): int(count) for column, count in missing.sum().items()}
    joins = line.policies.data_gates.joins
    return TableEvidence(
        rows=len(rows),
        missing=counts,
        missing_examples={
            column: row_example(line, rows, missing[column].to_numpy())
            for column, count in counts.items()
            if count
        },
        duplicate_rows=None if duplicate is None else int(duplicate.sum()),
        duplicate_example=""
        if duplicate is None
        else row_example(line, rows, duplicate.to_numpy()),
        breaches=_breaches(line, rows),
        other_rows=other_rows,
        unmatched=tuple(
            Unmatched(
                companion=companion,
                rows=counts.get(join.witness),
                example=row_example(line, rows, missing[join.witness].to_numpy())
                if join.witness in counts
                else "",
            )
            for companion, join in joins.items()
        ),
    )


def _breaches(line: ReleaseLine, rows: pd.DataFrame) -> tuple[SchemaBreach, ...]:
    from pandera.errors import SchemaErrors

    try:
        line.schema_of().validate(rows, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
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
                example=_breach_example(line, rows, group),
            )
            for (name, rule), group in cases.groupby([column, cases["check"].astype(str)])
        )
    return ()


def _breach_example(line: ReleaseLine, rows: pd.DataFrame, group: pd.DataFrame) -> str:
    """The first value that breaks the rule, and the key of its row where it has one."""
    value, index = group["failure_case"].iloc[0], group["index"].iloc[0]
    # A text in quotes, to tell '1' from 1.
    spelled = masked(repr(value) if isinstance(value, str) else str(value))
    if pd.isna(index):
        return spelled
    key = row_example(line, rows, np.asarray(rows.index == index))
    return f"{spelled} at {key}" if key else spelled


def _count_labels(
    line: ReleaseLine, rows: pd.DataFrame, labels: npt.NDArray[np.float64] | None, *, now: datetime
) -> LabelEvidence | None:
    times = rows.get(line.event_time)
    if labels is None or times is None or not isinstance(times.dtype, pd.DatetimeTZDtype):
        return None
    known = np.isfinite(labels)
    # A row whose time is not known is not due: nothing says that its label can be known.
    immature = ~(times <= pd.Timestamp(now - line.label_delay)).to_numpy()
    missing = ~immature & ~known
    return LabelEvidence(
        positives=int((labels[known] > 0).sum()),
        known=int(known.sum()),
        immature_rows=int(immature.sum()),
        immature_known=int((immature & known).sum()),
        immature_example=row_example(line, rows, immature),
        matured_rows=int((~immature).sum()),
        matured_missing=int(missing.sum()),
        missing_example=row_example(line, rows, missing),
    )


def _profile(
    line: ReleaseLine,
    rows: pd.DataFrame,
    words: Mapping[str, Mapping[str, int]],
    labels: npt.NDArray[np.float64] | None,
    *,
    snapshot: SnapshotId,
) -> PartitionProfile:
    """The spread of every column but times, target and those with declared personal data."""
    columns = {}
    left_out = {line.target, *line.policies.data_gates.personal_data.allowed}
    for name in map(str, rows.columns):
        column = rows[name]
        if name in left_out:
            continue
        if name in words:
            columns[name] = profile_words(words[name], missing=int(column.isna().sum()))
        elif pd.api.types.is_numeric_dtype(column):
            columns[name] = profile_numbers(column.to_numpy(dtype=np.float64, na_value=np.nan))
        elif name == line.event_day and column.dtype.kind == "M":
            minute = column.dt.hour * 60 + column.dt.minute
            columns[f"{name} minute of day"] = profile_numbers(minute.to_numpy(dtype=np.float64))
    known = np.array([]) if labels is None else labels[np.isfinite(labels)]
    return PartitionProfile(
        partition=snapshot.partition,
        snapshot_digest=snapshot.digest,
        columns=columns,
        positives=int((known > 0).sum()),
        labelled=len(known),
    )


def _unseen_examples(
    line: ReleaseLine,
    rows: pd.DataFrame,
    profile: PartitionProfile,
    references: tuple[PartitionProfile, ...],
) -> dict[str, str]:
    examples = {}
    for name, column in profile.columns.items():
        others = [r.columns[name] for r in references if name in r.columns]
        new = unseen_words(column, others) if column.words is not None and others else ()
        if new:
            key = row_example(line, rows, (rows[name].astype(str) == new[0]).to_numpy())
            examples[name] = f"{masked(repr(new[0]))} at {key}"
    return examples


def _personal(
    line: ReleaseLine, rows: pd.DataFrame, words: Mapping[str, Mapping[str, int]]
) -> tuple[PersonalColumn, ...]:
    """Columns with personal data by name, then by value; each distinct text is read once."""
    found = [
        PersonalColumn(column=str(name), kind=kind, rows=None, example="")
        for name in rows
        for kind in kinds_of_name(str(name))
    ]
    for name, counts in words.items():
        hits: dict[str, list[str]] = {}
        for word in counts:
            for kind in kinds_in(word):
                hits.setdefault(kind, []).append(word)
        for kind, held in hits.items():
            key = row_example(line, rows, (rows[name].astype(str) == held[0]).to_numpy())
            found.append(
                PersonalColumn(
                    column=name,
                    kind=kind,
                    rows=sum(counts[word] for word in held),
                    example=f"for example {masked(held[0])} at {key}",
                )
            )
    return tuple(found)
