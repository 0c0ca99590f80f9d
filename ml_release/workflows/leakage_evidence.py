"""Measure how well each single column separates the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml_release.domain.gates_leakage import ColumnAuc
from ml_release.domain.scores import auc_score
from ml_release.workflows.row_examples import row_example

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ml_release.spec.release_line import ReleaseLine

    Floats = npt.NDArray[np.float64]


def count_aucs(line: ReleaseLine, rows: pd.DataFrame, labels: Floats) -> tuple[ColumnAuc, ...]:
    """The AUC of every column but target and event time, and of its being missing.

    A category is scored by the share of label 1 that its word has in the even rows, and judged on
    the odd rows: a word's own label never speaks for itself.
    """
    return tuple(_aucs(line, rows, labels))


def _aucs(line: ReleaseLine, rows: pd.DataFrame, labels: Floats) -> Iterator[ColumnAuc]:
    known = np.isfinite(labels)
    odd = np.arange(len(rows)) % 2 == 1
    limit = line.policies.data_gates.leakage.single_auc_limit_score

    def auc(name: str, how: str, score: Floats, used: npt.NDArray[np.bool_]) -> ColumnAuc:
        target = labels[used]
        area = auc_score(target, score[used])
        larger = max(area, 1 - area) if np.isfinite(area) else None
        example = ""
        if larger is not None and larger > limit:
            extreme = np.where(used, score if area > 1 - area else -score, -np.inf)
            key = row_example(line, rows, extreme == extreme.max())
            example = f"the end where label 1 is: for example {key}"
        return ColumnAuc(
            column=name,
            how=how,
            auc_score=larger,
            positives=int((target > 0).sum()),
            negatives=int((target <= 0).sum()),
            example=example,
        )

    for name in map(str, rows.columns):
        if name in {line.target, line.event_time, line.event_day}:
            continue
        column = rows[name]
        missing = column.isna().to_numpy()
        numbers = _numbers(column)
        if numbers is not None:
            yield auc(name, "value", numbers, known & np.isfinite(numbers))
        else:
            codes = (pd.factorize(column.astype(object))[0] + 1).astype(np.int64)
            learned = known & ~odd
            shares = _label_shares(codes, labels, learned)
            yield auc(name, "share of label 1 per word", shares, known & odd)
        if missing.any():
            yield auc(name, "is missing", missing.astype(np.float64), known)


def _numbers(column: pd.Series) -> Floats | None:
    if column.dtype.kind == "M":
        moments = column.to_numpy(dtype="datetime64[us]")
        return np.where(np.isnat(moments), np.nan, moments.astype(np.int64).astype(np.float64))
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return None


def _label_shares(
    codes: npt.NDArray[np.int64], labels: Floats, learned: npt.NDArray[np.bool_]
) -> Floats:
    """Per row the share of label 1 of its word among the learned rows, of all where it has none."""
    size = int(codes.max(initial=0)) + 1
    rows = np.bincount(codes[learned], minlength=size)
    positives = np.bincount(codes[learned], weights=labels[learned], minlength=size)
    overall = labels[learned].mean() if learned.any() else 0.0
    shares: Floats = np.where(rows > 0, positives / np.maximum(rows, 1), overall)[codes]
    return shares
