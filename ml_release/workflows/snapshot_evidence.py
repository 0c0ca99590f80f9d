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
from ml_release.domain.gates_table import TableEvidence, Unmatched
from ml_release.domain.personal_data import kinds_in, kinds_of_name, masked
from ml_release.workflows.calendar_evidence import count_times
from ml_release.workflows.columns import BLOCK, numbers_of
from ml_release.workflows.key_evidence import duplicate_rows
from ml_release.workflows.leakage_evidence import count_aucs
from ml_release.workflows.row_examples import row_example
from ml_release.workflows.schema_evidence import find_breaches
from ml_release.workflows.word_columns import word_columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy.typing as npt

    from ml_release.domain.identity import SnapshotId
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.word_columns import WordColumn


def gather_evidence(
    line: ReleaseLine,
    rows: pd.DataFrame,
    *,
    snapshot: SnapshotId,
    other_rows: tuple[int, ...],
    references: tuple[PartitionProfile, ...],
    now: datetime,
) -> SnapshotEvidence:
    """Everything the data gates ask about one partition; beside the rows it keeps little.

    Word columns are coded once and counted by their codes. Of a number column there is one copy at
    a time, of several million rows a noticeable one.
    """
    words = word_columns(rows)
    labels = _labels_of(line, rows)
    profile = _profile(line, rows, words, labels, snapshot=snapshot)
    return SnapshotEvidence(
        table=_count_table(line, rows, words, other_rows=other_rows),
        calendar=count_times(line, rows, partition=snapshot.partition, now=now),
        labels=_count_labels(line, rows, labels, now=now),
        profile=profile,
        references=references,
        unseen_examples=_unseen_examples(line, rows, words, profile, references),
        aucs=() if labels is None else count_aucs(line, rows, labels, words),
        personal=_personal(line, rows, words),
    )


def _labels_of(line: ReleaseLine, rows: pd.DataFrame) -> npt.NDArray[np.float64] | None:
    """The label of each row, NaN for missing; None where the column is not one of labels."""
    if line.target not in rows or not pd.api.types.is_numeric_dtype(rows[line.target]):
        return None
    return numbers_of(rows[line.target]).astype(np.float64, copy=False)


def _count_table(
    line: ReleaseLine,
    rows: pd.DataFrame,
    words: Mapping[str, WordColumn],
    *,
    other_rows: tuple[int, ...],
) -> TableEvidence:
    counts, examples = {}, {}
    for name in map(str, rows.columns):
        missing = words[name].codes < 0 if name in words else rows[name].isna().to_numpy()
        counts[name] = int(missing.sum())
        if counts[name]:
            examples[name] = row_example(line, rows, missing)
    keyed = set(line.keys) <= set(rows.columns)
    duplicate = duplicate_rows(rows, line.keys, words) if keyed else None
    return TableEvidence(
        rows=len(rows),
        missing=counts,
        missing_examples=examples,
        duplicate_rows=None if duplicate is None else int(duplicate.sum()),
        duplicate_example="" if duplicate is None else row_example(line, rows, duplicate),
        breaches=find_breaches(line, rows, words),
        other_rows=other_rows,
        unmatched=tuple(
            Unmatched(
                companion=companion,
                rows=counts.get(join.witness),
                example=examples.get(join.witness, ""),
            )
            for companion, join in line.policies.data_gates.joins.items()
        ),
    )


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
        positives=int((known & (labels > 0)).sum()),
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
    words: Mapping[str, WordColumn],
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
            columns[name] = profile_words(words[name].counts(), missing=words[name].missing)
        elif pd.api.types.is_numeric_dtype(column):
            columns[name] = profile_numbers(numbers_of(column))
        elif name == line.event_day and column.dtype.kind == "M":
            columns[f"{name} minute of day"] = profile_numbers(_minutes_of_day(column))
    known = np.array([], dtype=np.bool_) if labels is None else np.isfinite(labels)
    return PartitionProfile(
        partition=snapshot.partition,
        snapshot_digest=snapshot.digest,
        columns=columns,
        positives=0 if labels is None else int((known & (labels > 0)).sum()),
        labelled=int(known.sum()),
    )


def _minutes_of_day(local: pd.Series) -> npt.NDArray[np.float64]:
    values = np.empty(len(local))
    for start in range(0, len(local), BLOCK):
        block = local.iloc[start : start + BLOCK]
        values[start : start + BLOCK] = block.dt.hour * 60 + block.dt.minute
    return values


def _unseen_examples(
    line: ReleaseLine,
    rows: pd.DataFrame,
    words: Mapping[str, WordColumn],
    profile: PartitionProfile,
    references: tuple[PartitionProfile, ...],
) -> dict[str, str]:
    examples = {}
    for name, column in profile.columns.items():
        others = [r.columns[name] for r in references if name in r.columns]
        new = unseen_words(column, others) if column.words is not None and others else ()
        if new:
            key = row_example(line, rows, words[name].rows_with(new[0]))
            examples[name] = f"{masked(repr(new[0]))} at {key}"
    return examples


def _personal(
    line: ReleaseLine, rows: pd.DataFrame, words: Mapping[str, WordColumn]
) -> tuple[PersonalColumn, ...]:
    """Columns with personal data by name, then by value; each distinct text is read once."""
    found = [
        PersonalColumn(column=str(name), kind=kind, rows=None, example="")
        for name in rows
        for kind in kinds_of_name(str(name))
    ]
    for name, column in words.items():
        counts = column.counts()
        hits: dict[str, list[str]] = {}
        for word in counts:
            for kind in kinds_in(word):
                hits.setdefault(kind, []).append(word)
        for kind, held in hits.items():
            key = row_example(line, rows, column.rows_with(held[0]))
            found.append(
                PersonalColumn(
                    column=name,
                    kind=kind,
                    rows=sum(counts[word] for word in held),
                    example=f"for example {masked(held[0])} at {key}",
                )
            )
    return tuple(found)
